//! The arguments of each event kind, and their conversion to an event of the library.

use chrono::{DateTime, TimeDelta, Utc};
use clap::{ArgGroup, Args};
use mparticle::{
    AppState, Batch, CommerceEvent, CustomEvent, CustomEventType, FirstRun, Product, ProductAction, ScreenView,
    Session, Uninstall,
};
use uuid::Uuid;

use super::values;
use crate::exit;

/// The arguments that all events have in common.
#[derive(Args)]
pub struct Details {
    /// Attribute of the event: text, or JSON after :=, for example length:=512; can be repeated
    #[arg(long = "attr", value_name = "NAME=TEXT", value_parser = values::parse_attribute)]
    attributes: Vec<values::EventAttribute>,

    /// Time of the event, for example 2026-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = values::parse_time)]
    at: Option<DateTime<Utc>>,
}

impl Details {
    fn time(&self) -> DateTime<Utc> {
        self.at.unwrap_or_else(Utc::now)
    }
}

/// Adds an event with its details to the batch. A macro, since the payloads share these setters by name and not by a trait.
macro_rules! with_event {
    ($batch:expr, $event:expr, $details:expr) => {{
        let details: Details = $details;
        values::check_distinct("--attr", details.attributes.iter().map(|(name, _)| name.as_str()))?;
        let event = $event.timestamp(details.time());
        let attributes = details.attributes.into_iter();
        Ok($batch.event(attributes.fold(event, |event, (name, value)| event.attribute(name, value))))
    }};
}

#[derive(Args)]
pub struct CustomArguments {
    /// Name of the event
    #[arg(value_parser = values::parse_text)]
    name: String,

    /// Type of the event
    #[arg(long = "type", value_name = "TYPE", value_parser = values::custom_event_type_parser())]
    kind: CustomEventType,

    #[command(flatten)]
    details: Details,
}

impl CustomArguments {
    pub fn add_to(self, batch: Batch) -> exit::Result<Batch> {
        with_event!(batch, CustomEvent::new(self.name, self.kind), self.details)
    }
}

#[derive(Args)]
pub struct ScreenArguments {
    /// Name of the screen
    #[arg(value_parser = values::parse_text)]
    name: String,

    #[command(flatten)]
    details: Details,
}

impl ScreenArguments {
    pub fn add_to(self, batch: Batch) -> exit::Result<Batch> {
        with_event!(batch, ScreenView::new(self.name), self.details)
    }
}

/// The arguments of an event without arguments of its own.
#[derive(Args)]
pub struct PlainArguments {
    #[command(flatten)]
    details: Details,
}

impl PlainArguments {
    pub fn app_state(self, batch: Batch, event: AppState) -> exit::Result<Batch> {
        with_event!(batch, event, self.details)
    }

    pub fn first_run(self, batch: Batch, event: FirstRun) -> exit::Result<Batch> {
        with_event!(batch, event, self.details)
    }

    pub fn uninstall(self, batch: Batch, event: Uninstall) -> exit::Result<Batch> {
        with_event!(batch, event, self.details)
    }
}

#[derive(Args)]
pub struct SessionStartArguments {
    /// UUID of the session [default: a random one]
    #[arg(long, value_name = "UUID")]
    session: Option<Uuid>,

    #[command(flatten)]
    details: Details,
}

impl SessionStartArguments {
    pub fn add_to(self, batch: Batch) -> exit::Result<Batch> {
        let start = self.details.time();
        let session = Session::resume(self.session.unwrap_or_else(Uuid::new_v4), start);
        with_event!(batch, session.start_event(), Details { at: Some(start), ..self.details })
    }
}

#[derive(Args)]
pub struct SessionEndArguments {
    /// UUID of the session, the same as in session-start
    #[arg(long, value_name = "UUID")]
    session: Uuid,

    /// Duration of the session, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32))]
    duration: u32,

    #[command(flatten)]
    details: Details,
}

impl SessionEndArguments {
    pub fn add_to(self, batch: Batch) -> exit::Result<Batch> {
        let end = self.details.time();
        let session = Session::resume(self.session, end - TimeDelta::seconds(self.duration.into()));
        with_event!(batch, session.end_event(end), Details { at: Some(end), ..self.details })
    }
}

#[derive(Args)]
pub struct PurchaseArguments {
    /// Product, for example TEA-12,Assam,12.99,2; price and quantity are optional; can be repeated
    #[arg(long = "product", value_name = "SKU,NAME,PRICE,QUANTITY", value_parser = values::parse_product, required = true)]
    products: Vec<Product>,

    /// Total amount, including tax and shipping
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true, value_parser = values::parse_amount)]
    total: Option<f64>,

    /// Tax included in the total
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true, value_parser = values::parse_amount)]
    tax: Option<f64>,

    /// Shipping included in the total
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true, value_parser = values::parse_amount)]
    shipping: Option<f64>,

    /// Currency of all amounts, for example EUR
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,

    /// Your ID of the purchase
    #[arg(long, value_name = "ID", value_parser = values::parse_text)]
    transaction_id: Option<String>,

    /// Coupon code
    #[arg(long, value_name = "CODE", value_parser = values::parse_text)]
    coupon: Option<String>,

    #[command(flatten)]
    details: Details,
}

impl PurchaseArguments {
    pub fn add_to(self, batch: Batch) -> exit::Result<Batch> {
        let mut action = ProductAction::purchase().products(self.products);
        if let Some(amount) = self.total {
            action = action.total(amount);
        }
        if let Some(amount) = self.tax {
            action = action.tax(amount);
        }
        if let Some(amount) = self.shipping {
            action = action.shipping(amount);
        }
        if let Some(id) = self.transaction_id {
            action = action.transaction_id(id);
        }
        if let Some(code) = self.coupon {
            action = action.coupon_code(code);
        }
        let mut event = CommerceEvent::product_action(action);
        if let Some(code) = self.currency {
            event = event.currency_code(code);
        }
        with_event!(batch, event, self.details)
    }
}

#[derive(Args)]
pub struct OptOutArguments {
    /// Opt the user in again
    #[arg(long)]
    undo: bool,

    #[command(flatten)]
    details: Details,
}

impl OptOutArguments {
    pub fn add_to(self, batch: Batch) -> exit::Result<Batch> {
        let event = if self.undo { mparticle::OptOut::opted_in() } else { mparticle::OptOut::opted_out() };
        with_event!(batch, event, self.details)
    }
}

#[derive(Args)]
#[command(group(ArgGroup::new("answers").required(true).multiple(true).args(["gdpr", "ccpa"])))]
pub struct ConsentArguments {
    /// GDPR consent for a purpose, for example analytics=granted; can be repeated
    #[arg(long, value_name = "PURPOSE=ANSWER", value_parser = values::parse_consent_answer)]
    gdpr: Vec<(String, values::ConsentAnswer)>,

    /// CCPA choice about the sale of data
    #[arg(long, value_name = "ANSWER")]
    ccpa: Option<CcpaAnswer>,

    /// Document, or its version, that the user was shown
    #[arg(long, value_name = "TEXT")]
    document: Option<String>,

    /// Time of the choice, for example 2026-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = values::parse_time)]
    at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum CcpaAnswer {
    OptedOut,
    NotOptedOut,
}

impl ConsentArguments {
    pub fn add_to(self, mut batch: Batch) -> exit::Result<Batch> {
        let at = self.at.unwrap_or_else(Utc::now);
        values::check_distinct("--gdpr", self.gdpr.iter().map(|(purpose, _)| purpose.as_str()))?;
        for (purpose, answer) in self.gdpr {
            let mut consent = match answer {
                values::ConsentAnswer::Granted => mparticle::Consent::granted(at),
                values::ConsentAnswer::Denied => mparticle::Consent::denied(at),
            };
            if let Some(document) = &self.document {
                consent = consent.document(document);
            }
            batch = batch.gdpr_consent(purpose, consent);
        }
        let Some(answer) = self.ccpa else { return Ok(batch) };
        let mut consent = match answer {
            CcpaAnswer::OptedOut => mparticle::CcpaConsent::opted_out(at),
            CcpaAnswer::NotOptedOut => mparticle::CcpaConsent::opted_in(at),
        };
        if let Some(document) = self.document {
            consent = consent.document(document);
        }
        Ok(batch.ccpa_consent(consent))
    }
}

#[derive(Args)]
pub struct AttributeArguments {
    /// User attribute: text, or JSON after :=, for example age:=42
    #[arg(value_name = "NAME=TEXT", value_parser = values::parse_user_attribute, required_unless_present = "delete")]
    set: Vec<values::UserAttribute>,

    /// Name of a user attribute to delete; can be repeated
    #[arg(long, value_name = "NAME", value_parser = values::parse_text)]
    delete: Vec<String>,
}

impl AttributeArguments {
    pub fn add_to(self, batch: Batch) -> exit::Result<Batch> {
        let names = self.set.iter().map(|(name, _)| name).chain(&self.delete);
        values::check_distinct("a user attribute", names.map(String::as_str))?;
        Ok(self.delete.into_iter().fold(batch.user_attributes(self.set), Batch::deleted_user_attribute))
    }
}
