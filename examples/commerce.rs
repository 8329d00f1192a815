//! A shop: a promotion is seen, products are shown, one goes into the cart, and is bought. `cargo run --example commerce`

use chrono::Utc;
use mparticle::mock::MockServer;
use mparticle::{
    Batch, Client, CommerceEvent, Environment, Product, ProductAction, ProductImpression, Promotion, PromotionAction,
};

#[tokio::main]
async fn main() -> Result<(), mparticle::Error> {
    let server = MockServer::start().await;
    let client = Client::for_mock(&server)?;

    let now = Utc::now();
    let tea = Product::new("TEA-12", "Assam 250 g").brand("Leaf").category("Tea").price(12.99);
    let cup = Product::new("CUP-3", "Cup").variant("blue").price(19.50);

    let seen = PromotionAction::view([Promotion::new("WINTER").name("Winter sale").position("top")]);
    let shown = ProductImpression::new("Search results", [tea.clone().position(1), cup.clone().position(2)]);
    let purchase = ProductAction::purchase()
        .transaction_id("T-2026-000117")
        .product(tea.clone().quantity(2.0))
        .product(cup)
        .coupon_code("WINTER")
        .tax(7.26)
        .shipping(0.0)
        .total(45.48);

    let batch = Batch::new(Environment::Development)
        .customer_id("customer-10482")
        // An action becomes an event by itself; what belongs to the event is set on the event.
        .event(seen)
        .event(CommerceEvent::impressions([shown]).screen_name("Search"))
        .event(CommerceEvent::product_action(ProductAction::add_to_cart().product(tea.added_to_cart_at(now))))
        .event(CommerceEvent::product_action(purchase).timestamp(now).currency_code("EUR"));
    client.upload(batch).await?;

    println!("the mock received: {:#}", server.batches()[0]);
    Ok(())
}
