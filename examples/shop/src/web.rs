//! The HTTP service: sign-up, cart, checkout and health.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use mparticle::chrono::Utc;
use mparticle::{Batch, Consent, CustomEvent, CustomEventType, Product, ProductAction, Session, UploaderStatus};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::orders::{Message, Order};
use crate::{Shop, Visit};

/// Returns the routes of the service.
pub fn router(shop: Shop) -> Router {
    Router::new()
        .route("/customers", post(sign_up))
        .route("/customers/{customer}/cart", post(add_to_cart))
        .route("/customers/{customer}/checkout", post(check_out))
        .route("/health", get(health))
        .with_state(shop)
}

/// The form of the sign-up. The fields that are serialized become attributes of the event.
#[derive(Serialize, Deserialize)]
struct SignUp {
    #[serde(skip_serializing)]
    customer: String,
    #[serde(skip_serializing)]
    email: String,
    #[serde(skip_serializing)]
    first_name: Option<String>,
    #[serde(skip_serializing, default)]
    newsletter: bool,
    channel: Channel,
    seats: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    referrer: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Channel {
    Web,
    App,
}

/// A line of a cart.
#[derive(Clone, Deserialize)]
pub struct Line {
    sku: String,
    name: String,
    price: f64,
    quantity: u32,
}

impl Line {
    pub(crate) fn product(&self) -> Product {
        Product::new(&self.sku, &self.name).price(self.price).quantity(self.quantity)
    }

    pub(crate) fn total(&self) -> f64 {
        self.price * f64::from(self.quantity)
    }
}

#[derive(Deserialize)]
struct Checkout {
    coupon: Option<String>,
}

/// The error of an event that was not tracked. It is logged, and the customer's request still succeeds.
struct NotTracked(mparticle::Error);

impl<E: Into<mparticle::Error>> From<E> for NotTracked {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for NotTracked {
    fn into_response(self) -> Response {
        warn!(error = %self.0, "an event was not tracked");
        StatusCode::OK.into_response()
    }
}

async fn sign_up(State(shop): State<Shop>, Form(form): Form<SignUp>) -> Result<StatusCode, NotTracked> {
    let now = Utc::now();
    let session = Session::start(now);
    let visit = Visit { session: session.to_string(), cart: Vec::new() };
    shop.visits().insert(form.customer.clone(), visit);

    let signed_up = CustomEvent::new("Signed Up", CustomEventType::Other).attributes_of(&form)?;
    let batch = shop
        .batch(&form.customer)
        .email(form.email)
        .when_some(form.first_name, Batch::user_firstname)
        .user_attribute("signed_up_at", now)
        .gdpr_consent("newsletter", Consent::answered(form.newsletter, now))
        .event(session.start_event())
        .event(signed_up)
        .in_session(&session);
    shop.uploader.try_send(batch)?;
    Ok(StatusCode::CREATED)
}

async fn add_to_cart(
    State(shop): State<Shop>,
    Path(customer): Path<String>,
    Form(line): Form<Line>,
) -> Result<StatusCode, NotTracked> {
    let mut visits = shop.visits();
    let Some(visit) = visits.get_mut(&customer) else { return Ok(StatusCode::NOT_FOUND) };
    visit.cart.push(line.clone());

    let session: Session = visit.session.parse()?;
    let added = ProductAction::add_to_cart().product(line.product()).into_event();
    let event = added.session(&session).attribute("items", visit.cart.len());
    shop.uploader.track(shop.batch(&customer), event)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn check_out(
    State(shop): State<Shop>,
    Path(customer): Path<String>,
    Form(form): Form<Checkout>,
) -> Result<StatusCode, NotTracked> {
    let Some(visit) = shop.visits().remove(&customer) else { return Ok(StatusCode::NOT_FOUND) };
    let session: Session = visit.session.parse()?;
    let order = Order::new(&customer, session.clone(), visit.cart, form.coupon);
    if shop.orders.send(Message::new(order).0).await.is_err() {
        return Ok(StatusCode::SERVICE_UNAVAILABLE);
    }
    shop.uploader.try_send(shop.batch(&customer).event(session.end_event(Utc::now())))?;
    Ok(StatusCode::CREATED)
}

/// Responds 503 only if an operator has to act. During an outage of mParticle the uploader retries by itself.
async fn health(State(shop): State<Shop>) -> (StatusCode, String) {
    let status = shop.uploader.status();
    let code = match status {
        UploaderStatus::Running | UploaderStatus::Retrying(_) => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, format!("{status}; {}", shop.uploader.stats()))
}
