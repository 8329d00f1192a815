//! The consumer of the order queue. It acknowledges an order once its purchase is delivered.

use mparticle::uuid::Uuid;
use mparticle::{Batch, DeliveryError, Environment, ProductAction, Session, Uploader};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::warn;

use crate::web::Line;

/// An order of a customer.
pub struct Order {
    pub id: Uuid,
    pub customer: String,
    pub currency: String,
    session: Session,
    lines: Vec<Line>,
    coupon: Option<String>,
}

impl Order {
    /// Creates an order with a new id, in euros.
    #[must_use]
    pub fn new(customer: &str, session: Session, lines: Vec<Line>, coupon: Option<String>) -> Self {
        Self { id: Uuid::new_v4(), customer: customer.into(), currency: "EUR".into(), session, lines, coupon }
    }
}

/// A message of the queue, which stands in for that of a real broker.
pub struct Message {
    order: Order,
    acknowledge: oneshot::Sender<Ack>,
}

/// The acknowledgement of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    Done,
    /// The order can never be delivered: the broker dead-letters it.
    Reject,
    /// The broker delivers the order again.
    Requeue,
}

impl Message {
    /// Creates a message, and returns it with the receiver of its acknowledgement.
    #[must_use]
    pub fn new(order: Order) -> (Self, oneshot::Receiver<Ack>) {
        let (acknowledge, acknowledged) = oneshot::channel();
        (Self { order, acknowledge }, acknowledged)
    }
}

/// Consumes the queue until it is closed. The uploader packs the orders into few requests; each is acknowledged on its own.
pub async fn consume(uploader: Uploader, environment: Environment, mut orders: mpsc::Receiver<Message>) {
    let mut deliveries = JoinSet::new();
    while let Some(Message { order, acknowledge }) = orders.recv().await {
        let id = order.id;
        let purchase = ProductAction::purchase()
            .transaction_id(id)
            .products(order.lines.iter().map(Line::product))
            .total(order.lines.iter().map(Line::total).sum::<f64>())
            .when_some(order.coupon, ProductAction::coupon_code)
            .into_event()
            .currency_code(order.currency)
            .session(&order.session);
        // The service drops a repeated id, so an order that the broker delivers twice counts once.
        let batch = Batch::new(environment).customer_id(order.customer).source_request_id(id).event(purchase);
        let delivered = uploader.send(batch).delivered();
        deliveries.spawn(async move {
            let ack = match delivered.await {
                Ok(()) | Err(DeliveryError::Spooled) => Ack::Done,
                Err(error) if error.is_retryable() => Ack::Requeue,
                Err(error) => {
                    warn!(order = %id, error = %error.error().detailed(), "an order was rejected");
                    Ack::Reject
                }
            };
            let _ = acknowledge.send(ack);
        });
        while deliveries.try_join_next().is_some() {}
    }
    deliveries.join_all().await;
}
