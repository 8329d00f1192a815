//! Each event type with the minimum and the maximum of fields, as reviewed JSON.
//!
//! `UPDATE_GOLDEN=1 cargo test --test golden` rewrites the files: review their diff.

mod support;

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mparticle::types::{
    AppTransition, LocationSource, Orientation, PushApplicationState, PushMessageBehavior, PushMessageType,
};
use mparticle::{
    AppState, Batch, Breadcrumb, CommerceEvent, CrashReport, CustomEvent, CustomEventType, DeviceCurrentState,
    Environment, Event, FirstRun, IdentityType, Location, NetworkPerformance, OptOut, Product, ProductAction,
    ProductImpression, Profile, ProfileEventType, Promotion, PromotionAction, PushMessage, PushRegistration,
    ScreenView, Session, SessionEnd, SessionStart, Uninstall, UserAttributeChange, UserIdentity, UserIdentityChange,
    contract,
};
use serde_json::{Value, json};

fn now() -> DateTime<Utc> {
    "2026-01-01T00:00:00.123Z".parse().expect("a time")
}

fn session() -> Session {
    Session::resume("4E1C7D5A-09E4-4F3B-8A55-2A4B7F0D1C33", now() - Duration::from_secs(60))
}

/// Calls every setter that all event types share.
macro_rules! full {
    ($event:expr) => {
        $event
            .timestamp(now())
            .start_timestamp(now() - Duration::from_secs(1))
            .attribute("text", "é")
            .attribute("whole", 9_007_199_254_740_993_i64)
            .attribute("part", 0.5)
            .attribute("truth", false)
            .attribute("none", None::<bool>)
            .session(&session())
            .location(
                Location::new(52.52, 13.405)
                    .accuracy(25.0)
                    .country_code("DE")
                    .region_code("BE")
                    .city_name("Berlin")
                    .postal_code("10117")
                    .dma_code(501)
                    .location_source(LocationSource::LatLong),
            )
            .device_state(device_state())
            .source_message_id("message-1")
            .event_num(0)
            .lifetime_value(9.5, "spent")
            .is_goal_defined(true)
            .is_main_thread(false)
            .data_connection_type("wifi")
            .view_controller("MainView")
            .canonical_name("canonical")
    };
}

fn device_state() -> DeviceCurrentState {
    DeviceCurrentState::default()
        .time_since_start_ms(1)
        .battery_level(0.5)
        .cpu("7")
        .data_connection_type("wifi")
        .data_connection_type_detail("5 GHz")
        .gps_state(true)
        .device_orientation(Orientation::LandscapeLeft)
        .status_bar_orientation(Orientation::Portrait)
        .total_system_memory_usage_bytes(2)
        .disk_space_free_bytes(3)
        .external_disk_space_free_bytes(4)
        .system_memory_low(false)
        .system_memory_available_bytes(5.0)
        .system_memory_threshold_bytes(6.0)
        .application_memory_available_bytes(7.0)
        .application_memory_max_bytes(8.0)
        .application_memory_total_bytes(9.0)
}

fn product() -> Product {
    Product::new("TEA-12", "Assam 250 g")
        .brand("Leaf")
        .category("Tea")
        .variant("tin")
        .position(1)
        .price(12.99)
        .quantity(2.0)
        .total_product_amount(25.98)
        .coupon_code("WINTER")
        .added_to_cart_at(now())
        .attribute("harvest", "spring")
}

fn identity(identity: &str) -> UserIdentity {
    UserIdentity::new(IdentityType::Email, identity, now()).created_this_batch(true)
}

/// Returns each event type: its name, an event with only the required fields, and an event with all fields.
#[expect(clippy::too_many_lines, reason = "a table")]
fn events() -> [(&'static str, Event, Event); 17] {
    let purchase = ProductAction::purchase()
        .transaction_id("T-117")
        .affiliation("Web shop")
        .coupon_code("ALL")
        .checkout_step(3)
        .checkout_options("express")
        .product_action_list("Search")
        .product_list_source("Home")
        .product(product())
        .products([Product::default()])
        .total(30.13)
        .tax(4.15)
        .shipping(0.0);
    [
        (
            "custom_event",
            CustomEvent::new("Example", CustomEventType::Other).into(),
            full!(CustomEvent::new("Example", CustomEventType::Navigation)).flag("flag", 1).into(),
        ),
        (
            "commerce_event",
            ProductAction::add_to_cart().into(),
            full!(CommerceEvent::product_action(purchase))
                .shopping_cart([product()])
                .currency_code("EUR")
                .screen_name("Checkout")
                .is_non_interactive(false)
                .event_name("Bought")
                .flag("flag", "x")
                .into(),
        ),
        ("session_start", SessionStart::new().into(), full!(SessionStart::new()).into()),
        (
            "session_end",
            SessionEnd::new(Duration::ZERO).into(),
            full!(SessionEnd::new(Duration::from_millis(1_500))).into(),
        ),
        (
            "screen_view",
            ScreenView::new("Home").into(),
            full!(ScreenView::new("Home")).activity_type("tab").flag("flag", true).into(),
        ),
        (
            "application_state_transition",
            AppState::new(AppTransition::ApplicationInitialized).into(),
            full!(AppState::install())
                .successfully_closed(true)
                .push_notification_payload("{}")
                .launch_referral("example.link")
                .into(),
        ),
        (
            "crash_report",
            CrashReport::new("error", "index out of range").into(),
            full!(CrashReport::new("error", "index out of range"))
                .class_name("CartView")
                .stack_trace("CartView.total")
                .exception_handled(false)
                .topmost_context("Cart")
                .breadcrumb(Breadcrumb::new("Opened cart").session_number(3))
                .pl_crash_report_file_base64("AA==")
                .ios_image_base_address(u64::MAX)
                .ios_image_size(4096)
                .session_number(3)
                .into(),
        ),
        (
            "breadcrumb",
            Breadcrumb::new("Opened cart").into(),
            full!(Breadcrumb::new("Opened cart")).session_number(3).into(),
        ),
        (
            "network_performance",
            NetworkPerformance::new("https://api.shop.example/cart", 200).into(),
            full!(NetworkPerformance::new("https://api.shop.example/cart", 200))
                .http_verb("GET")
                .data("q=tea")
                .time_elapsed(Duration::from_millis(184))
                .bytes_in(5120)
                .bytes_out(310)
                .into(),
        ),
        ("opt_out", OptOut::opted_in().into(), full!(OptOut::opted_out()).into()),
        (
            "push_registration",
            PushRegistration::unregistered("token").into(),
            full!(PushRegistration::registered("token")).into(),
        ),
        (
            "push_message",
            PushMessage::new("token", PushMessageType::Sent, "{}").into(),
            full!(PushMessage::new("token", PushMessageType::Action, "{}"))
                .message("Your parcel is on its way")
                .network("apn")
                .application_state(PushApplicationState::Background)
                .action_identifier("track_parcel")
                .push_message_behavior(PushMessageBehavior::DirectOpen)
                .into(),
        ),
        (
            "profile",
            Profile::new(ProfileEventType::Signup, 0, -1).into(),
            full!(Profile::new(ProfileEventType::Login, i64::MIN, i64::MAX)).into(),
        ),
        (
            "user_attribute_change",
            UserAttributeChange::new("plans").into(),
            full!(UserAttributeChange::new("plans"))
                .new_value(["free", "pro"])
                .old_value(5)
                .deleted(false)
                .is_new_attribute(false)
                .into(),
        ),
        (
            "user_identity_change",
            UserIdentityChange::new(identity("a@example.com")).into(),
            full!(UserIdentityChange::new(identity("a@example.com"))).old_value(identity("b@example.com")).into(),
        ),
        ("first_run", FirstRun::new().into(), full!(FirstRun::new()).into()),
        ("uninstall", Uninstall::new().into(), full!(Uninstall::new()).into()),
    ]
}

fn agree(name: &str, event: &Event) {
    let written = format!("{:#}\n", serde_json::to_value(event).expect("JSON"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &written).expect("the golden file");
    }
    assert_eq!(written, std::fs::read_to_string(&path).expect(name), "{name}");

    let batch = json!({ "environment": "development", "events": [event] });
    assert_eq!(support::errors(contract::check_batch(&batch)), [], "{name}");
}

#[test]
fn event_types_match_their_golden_files() {
    for (name, minimal, full) in events() {
        for event in [&minimal, &full] {
            assert_eq!(serde_json::to_value(event).expect("JSON")["event_type"], name);
        }
        agree(&format!("{name}.minimal"), &minimal);
        agree(&format!("{name}.full"), &full);
    }
    for (name, event) in
        [("commerce_event.promotion", promotion().into()), ("commerce_event.impressions", impressions().into())]
    {
        agree(name, &event);
    }
}

fn promotion() -> CommerceEvent {
    let promotion = Promotion::new("P-1").name("Winter").creative("snow").position("top");
    CommerceEvent::promotion_action(PromotionAction::view([promotion]))
}

fn impressions() -> CommerceEvent {
    CommerceEvent::impressions([ProductImpression::new("Search", [product()]), ProductImpression::new("Home", [])])
}

#[test]
fn full_event_omits_only_fields_that_the_service_sets() {
    let document: Value = serde_json::from_str(contract::DOCUMENT).expect("the document");
    let schemas = &document["components"]["schemas"];
    // Fields that the service sets, and fields that exclude another field.
    let left_out = [
        "event_id",
        "event_system_notification_info",
        "custom_event_type",
        "promotion_action",
        "product_impressions",
        "session_id",
        "is_upgrade",
        "is_first_run",
    ];
    for (branch, (name, _, full)) in schemas["Event"]["oneOf"].as_array().expect("branches").iter().zip(events()) {
        let payload = branch["properties"]["data"]["$ref"].as_str().expect("a payload").rsplit('/').next();
        let data = &serde_json::to_value(&full).expect("JSON")["data"];
        let common = schemas["CommonEventData"]["properties"].as_object().expect("common fields");
        let own = schemas[payload.expect("a name")]["allOf"][1]["properties"].as_object().expect("own fields");
        for field in common.keys().chain(own.keys()) {
            assert!(data.get(field).is_some() || left_out.contains(&field.as_str()), "{name} has no {field}");
        }
    }
}

#[test]
fn serialization_is_deterministic() {
    let batch = Batch::new(Environment::Production)
        .user_attributes((0..50).map(|n| (format!("name {n}"), n)))
        .events(events().into_iter().map(|(_, _, full)| full));
    assert_eq!(serde_json::to_string(&batch).expect("JSON"), serde_json::to_string(&batch.clone()).expect("JSON"));
}
