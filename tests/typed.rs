//! The contract accepts everything that the typed API builds: any event type, setter, text and number within the limits.
//! Text with a documented format (a UUID, a country, a currency) is generated in that format, since the types do not check it.

mod support;

use std::time::Duration;

use chrono::{DateTime, Utc};
use mparticle::types::{
    AttributeValue, CustomEventType, IdentityType, ProductActionType, PushMessageType, UserAttributeValue,
};
use mparticle::{
    AppState, Batch, Breadcrumb, CcpaConsent, CommerceEvent, Consent, CrashReport, CustomEvent, DeviceInfo,
    Environment, Event, FirstRun, Location, NetworkPerformance, OptOut, Platform, Product, ProductAction,
    ProductImpression, Profile, ProfileEventType, Promotion, PromotionAction, PushMessage, PushRegistration,
    ScreenView, Session, SessionId, Uninstall, UserAttributeChange, UserIdentity, UserIdentityChange, contract,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn text() -> impl Strategy<Value = String> + Clone {
    vec(any::<char>(), 0..20).prop_map(String::from_iter)
}

fn number() -> impl Strategy<Value = f64> + Clone {
    any::<f64>().prop_filter("finite", |number| number.is_finite())
}

fn time() -> impl Strategy<Value = DateTime<Utc>> + Clone {
    (-8_000_000_000_000_i64..8_000_000_000_000)
        .prop_map(|ms| DateTime::from_timestamp_millis(ms).expect("within chrono's range"))
}

fn value() -> impl Strategy<Value = AttributeValue> + Clone {
    prop_oneof![
        text().prop_map(AttributeValue::from),
        any::<i64>().prop_map(AttributeValue::from),
        number().prop_map(AttributeValue::from),
        any::<bool>().prop_map(AttributeValue::from),
        any::<Option<bool>>().prop_map(AttributeValue::from),
    ]
}

fn user_value() -> impl Strategy<Value = UserAttributeValue> {
    prop_oneof![
        text().prop_map(UserAttributeValue::from),
        any::<i64>().prop_map(UserAttributeValue::from),
        number().prop_map(UserAttributeValue::from),
        any::<bool>().prop_map(UserAttributeValue::from),
        vec(text(), 0..4).prop_map(UserAttributeValue::from),
        Just(UserAttributeValue::Null),
    ]
}

fn session() -> impl Strategy<Value = Session> {
    let id = prop_oneof![
        any::<i64>().prop_map(SessionId::from),
        any::<u128>().prop_map(|bits| SessionId::from(uuid::Uuid::from_u128(bits))),
    ];
    (id, time()).prop_map(|(id, start)| Session::resume(id, start))
}

fn location() -> impl Strategy<Value = Location> {
    (number(), number(), number(), "[A-Z]{2}", any::<i32>()).prop_map(|(north, east, accuracy, country, dma)| {
        Location::new(north, east).accuracy(accuracy).country_code(country).dma_code(dma)
    })
}

fn product() -> impl Strategy<Value = Product> {
    (text(), text(), number(), number(), any::<i32>(), time()).prop_map(
        |(id, name, price, quantity, position, time)| {
            Product::new(id, &*name)
                .price(price)
                .quantity(quantity)
                .position(position)
                .added_to_cart_at(time)
                .attribute(name, "x")
        },
    )
}

fn identity() -> impl Strategy<Value = UserIdentity> {
    let identity_type = select(vec![IdentityType::CustomerId, IdentityType::Email, IdentityType::OtherId10]);
    (identity_type, text(), time()).prop_map(|(kind, identity, time)| UserIdentity::new(kind, identity, time))
}

/// The setters that all event types share.
#[derive(Debug, Clone)]
struct Common {
    at: Option<DateTime<Utc>>,
    attributes: Vec<(String, AttributeValue)>,
    session: Option<Session>,
    location: Option<Location>,
    lifetime: f64,
}

prop_compose! {
    fn common()(
        at in proptest::option::of(time()),
        attributes in vec((text(), value()), 0..4),
        session in proptest::option::of(session()),
        location in proptest::option::of(location()),
        lifetime in number(),
    ) -> Common {
        Common { at, attributes, session, location, lifetime }
    }
}

macro_rules! with_common {
    ($event:expr, $common:expr) => {{
        let Common { at, attributes, session, location, lifetime } = $common;
        let mut event = $event.lifetime_value(lifetime, "ltv");
        if let Some(at) = at {
            event = event.timestamp(at).start_timestamp(at);
        }
        for (name, value) in attributes {
            event = event.attribute(name, value);
        }
        if let Some(session) = session {
            event = event.session(&session);
        }
        if let Some(location) = location {
            event = event.location(location);
        }
        Event::from(event)
    }};
}

fn event() -> impl Strategy<Value = Event> {
    let product_action = (select(ProductActionType::ALL), vec(product(), 0..3), number(), text());
    let promotions = vec((text(), text()), 0..3).prop_map(|promotions| {
        promotions.into_iter().map(|(id, name)| Promotion::new(id).name(name)).collect::<Vec<_>>()
    });
    let commerce = prop_oneof![
        product_action.prop_map(|(action, products, amount, id)| {
            CommerceEvent::product_action(
                ProductAction::new(action).products(products).total(amount).transaction_id(id),
            )
        }),
        promotions.clone().prop_map(|promotions| CommerceEvent::promotion_action(PromotionAction::view(promotions))),
        promotions.prop_map(|promotions| CommerceEvent::promotion_action(PromotionAction::click(promotions))),
        (text(), vec(product(), 0..3))
            .prop_map(|(list, products)| CommerceEvent::impressions([ProductImpression::new(list, products)])),
    ];
    prop_oneof![
        (text(), select(CustomEventType::ALL), value(), common())
            .prop_map(|(name, kind, flag, common)| with_common!(CustomEvent::new(name, kind).flag("f", flag), common)),
        (commerce, "[A-Z]{3}", vec(product(), 0..2), common()).prop_map(|(event, currency, cart, common)| {
            with_common!(event.currency_code(currency).shopping_cart(cart), common)
        }),
        (session(), common()).prop_map(|(session, common)| with_common!(session.start_event(), common)),
        (session(), time(), common()).prop_map(|(session, end, common)| with_common!(session.end_event(end), common)),
        (text(), common()).prop_map(|(name, common)| with_common!(ScreenView::new(name), common)),
        (select(app_states()), common()).prop_map(|(state, common)| with_common!(state, common)),
        (text(), text(), any::<u64>(), common()).prop_map(|(severity, message, address, common)| {
            let crash = CrashReport::new(severity, &*message).ios_image_base_address(address);
            with_common!(crash.breadcrumb(Breadcrumb::new(message)), common)
        }),
        (text(), any::<i32>(), common())
            .prop_map(|(label, n, common)| with_common!(Breadcrumb::new(label).session_number(n), common)),
        (text(), any::<u16>(), any::<Duration>(), common()).prop_map(|(url, code, elapsed, common)| {
            with_common!(NetworkPerformance::new(url, code).time_elapsed(elapsed), common)
        }),
        (any::<bool>(), common())
            .prop_map(|(out, common)| with_common!(if out { OptOut::opted_out() } else { OptOut::opted_in() }, common)),
        (any::<bool>(), text(), common()).prop_map(|(register, token, common)| with_common!(
            if register { PushRegistration::registered(token) } else { PushRegistration::unregistered(token) },
            common
        )),
        (text(), text(), common()).prop_map(|(token, json, common)| with_common!(
            PushMessage::new(token, PushMessageType::Sent, json),
            common
        )),
        (any::<i64>(), any::<i64>(), common())
            .prop_map(|(from, to, common)| with_common!(Profile::new(ProfileEventType::Login, from, to), common)),
        (text(), user_value(), user_value(), common()).prop_map(|(name, new, old, common)| {
            with_common!(UserAttributeChange::new(name).new_value(new).old_value(old), common)
        }),
        (identity(), proptest::option::of(identity()), common()).prop_map(|(new, old, common)| {
            let change = UserIdentityChange::new(new);
            with_common!(old.into_iter().fold(change, UserIdentityChange::old_value), common)
        }),
        common().prop_map(|common| with_common!(FirstRun::new(), common)),
        common().prop_map(|common| with_common!(Uninstall::new(), common)),
    ]
}

fn app_states() -> Vec<AppState> {
    vec![AppState::install(), AppState::upgrade(), AppState::foreground(), AppState::background(), AppState::exit()]
}

prop_compose! {
    fn batch()(
        production in any::<bool>(),
        identities in vec((select(vec![IdentityType::Email, IdentityType::Other, IdentityType::Yahoo]), text()), 0..3),
        attributes in vec((text(), user_value()), 0..5),
        ip in any::<std::net::IpAddr>(),
        mpid in any::<i64>(),
        age in any::<u32>(),
        consent in (time(), any::<bool>(), text()),
        plan in (text(), any::<i64>()),
        location in location(),
        device in (any::<u128>(), any::<i32>(), text()),
        module in any::<u32>(),
        events in vec(event(), 0..4),
    ) -> Batch {
        let (at, granted, purpose) = consent;
        let consent = if granted { Consent::granted(at) } else { Consent::denied(at) };
        let environment = if production { Environment::Production } else { Environment::Development };
        let device = DeviceInfo::default()
            .platform(Platform::IOS)
            .ios_idfv(uuid::Uuid::from_u128(device.0).to_string())
            .timezone_offset(device.1)
            .device_model(device.2);
        let batch = Batch::new(environment)
            .user_attributes(attributes)
            .user_age(age)
            .deleted_user_attribute(&*purpose)
            .ip(ip)
            .mpid(mpid)
            .gdpr_consent(purpose, consent)
            .ccpa_consent(CcpaConsent::opted_in(at))
            .data_plan((&*plan.0, plan.1))
            .location(location)
            .device_info(device)
            .integration_attribute(module, &*plan.0, "v")
            .partner_identity_for("Partner_Id", plan.0)
            .events(events);
        identities.into_iter().fold(batch, |batch, (kind, identity)| batch.identity(kind, identity))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_batch_that_the_setters_build_is_valid(batch in batch()) {
        let sealed = batch.clone().seal().expect("finite numbers");
        let json: serde_json::Value = serde_json::from_slice(sealed.json()).expect("JSON");
        prop_assert_eq!(support::errors(contract::check_batch(&json)), []);
        for event in json["events"].as_array().into_iter().flatten() {
            prop_assert!(event["data"]["source_message_id"].is_string());
        }
    }
}
