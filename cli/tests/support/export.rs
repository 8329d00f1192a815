//! A generated export of a data warehouse: batches of many users as lines of JSON, with events of every type, names in many scripts,
//! and occasional long values. The same seed generates the same lines.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use mparticle::{
    AppState, Batch, Breadcrumb, CommerceEvent, CrashReport, CustomEvent, CustomEventType, Environment, Event,
    IdentityType, NetworkPerformance, OptOut, Product, ProductAction, ProductImpression, Profile, ProfileEventType,
    Promotion, PromotionAction, PushMessage, PushMessageType, PushRegistration, ScreenView, Session, SessionEnd,
    SessionStart, Uninstall, UserAttributeChange, UserIdentity, UserIdentityChange,
};

const USERS: u64 = 20_000;

const NAMES: [&str; 8] = ["Zoë", "Jürgen", "Анна", "美咲", "Nguyễn", "O'Brien", "محمد", "Smith \"JJ\""];
const PLACES: [&str; 6] = ["Home", "Köln / Neu", "東京", "Search 🔍", "Checkout\tStep", "Profile"];
const PRODUCTS: [&str; 5] = ["Earl Grey, 250 g", "Crème brûlée", "Кофе", "USB-C cable 2 m", "緑茶"];

/// Returns lines with `events` events in total.
pub fn lines(events: u64, seed: u64) -> impl Iterator<Item = String> {
    let mut export = Export { rng: Rng::with_seed(seed), left: events, written: 0 };
    std::iter::from_fn(move || export.line())
}

struct Export {
    rng: Rng,
    left: u64,
    written: u64,
}

impl Export {
    fn line(&mut self) -> Option<String> {
        let events = self.rng.u64(1..=6).min(self.left);
        self.left -= events;
        (events > 0).then(|| {
            let user = self.rng.u64(0..USERS);
            let mut batch = Batch::new(Environment::Development)
                .customer_id(format!("customer-{user:06}"))
                .email(format!("user.{user}@example.com"))
                // Not exactly representable as a double.
                .mpid(9_007_199_254_740_993 + i64::try_from(user).expect("few users"))
                .user_attribute("$firstname", self.one_of(&NAMES))
                .user_attribute("seats", self.rng.i64(1..50))
                .user_attribute("plans", ["free", "pro"]);
            if self.rng.u8(..) == 0 {
                batch = batch.user_attribute("notes", "a long story … ".repeat(200));
            }
            for _ in 0..events {
                batch = batch.event(self.event());
            }
            serde_json::to_string(&batch).expect("JSON")
        })
    }

    fn event(&mut self) -> Event {
        let at = self.time();
        let session = Session::start(at - TimeDelta::minutes(1));
        let (name, place) = (self.one_of(&NAMES), self.one_of(&PLACES));
        self.written += 1;
        // One of each type in turn.
        match self.written % 19 {
            0 => ScreenView::new(place).timestamp(at).attribute("from", "Home").session(&session).into(),
            1 => AppState::install().timestamp(at).into(),
            2 => AppState::background().timestamp(at).session(&session).into(),
            3 => SessionStart::new().timestamp(at).into(),
            4 => SessionEnd::new(Duration::from_secs(self.rng.u64(1..9000))).timestamp(at).into(),
            5 => CommerceEvent::product_action(ProductAction::purchase().product(self.product()).total(21.49).tax(1.5))
                .timestamp(at)
                .into(),
            6 => CommerceEvent::product_action(ProductAction::add_to_cart().product(self.product()))
                .timestamp(at)
                .currency_code("EUR")
                .into(),
            7 => CommerceEvent::promotion_action(PromotionAction::view([Promotion::new("summer").name("Лето")]))
                .timestamp(at)
                .into(),
            8 => CommerceEvent::impressions([ProductImpression::new("Search", [self.product()])]).timestamp(at).into(),
            9 => {
                CrashReport::new("error", "index out of bounds").breadcrumb(Breadcrumb::new(place)).timestamp(at).into()
            }
            10 => PushRegistration::registered("token").timestamp(at).into(),
            11 => PushMessage::new("token", PushMessageType::Received, "{\"aps\":{\"alert\":\"Olá\"}}")
                .timestamp(at)
                .into(),
            12 => NetworkPerformance::new("https://example.com/api?q=1", 200)
                .time_elapsed(Duration::from_millis(87))
                .timestamp(at)
                .into(),
            13 => {
                let event = if self.rng.bool() { OptOut::opted_out() } else { OptOut::opted_in() };
                event.timestamp(at).into()
            }
            14 => Profile::new(ProfileEventType::Login, 1, 2).timestamp(at).into(),
            15 => UserAttributeChange::new("$lastname").new_value(name).is_new_attribute(true).timestamp(at).into(),
            16 => UserIdentityChange::new(UserIdentity::new(IdentityType::Email, "a@example.com", at))
                .timestamp(at)
                .into(),
            17 => Uninstall::new().timestamp(at).into(),
            _ => CustomEvent::new(format!("Added Note {}", self.rng.u8(..)), CustomEventType::UserContent)
                .timestamp(at)
                .attribute("title", format!("{name}: {place}"))
                .attribute("length", self.rng.i64(..))
                .attribute("shared", self.rng.bool())
                .attribute("ratio", self.rng.f64())
                .into(),
        }
    }

    fn product(&mut self) -> Product {
        let name = self.one_of(&PRODUCTS);
        Product::new(format!("sku-{}", self.rng.u32(..)), name).price(19.99).quantity(f64::from(self.rng.u8(1..4)))
    }

    fn time(&mut self) -> DateTime<Utc> {
        let start = DateTime::from_timestamp(1_767_225_600, 0).expect("a time");
        start + TimeDelta::milliseconds(self.rng.i64(0..86_400_000))
    }

    fn one_of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.rng.usize(..texts.len())]
    }
}
