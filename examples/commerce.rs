//! A visit to a shop, from a promotion to a purchase: `cargo run --example commerce`.

use mparticle::chrono::Utc;
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

    let promotion = PromotionAction::view([Promotion::new("WINTER").name("Winter sale").position("top")]);
    let results = ProductImpression::new("Search results", [tea.clone().position(1), cup.clone().position(2)]);
    let purchase = ProductAction::purchase()
        .transaction_id("T-2026-000117")
        .products([tea.clone().quantity(2), cup])
        .coupon_code("WINTER")
        .tax(7.26)
        .shipping(0.0)
        .total(45.48);

    let batch = Batch::new(Environment::Development)
        .customer_id("customer-10482")
        .event(promotion)
        .event(CommerceEvent::impressions([results]).screen_name("Search"))
        .event(ProductAction::add_to_cart().product(tea.added_to_cart_at(now)))
        // `into_event` gives access to the fields of the event, such as its time and currency.
        .event(purchase.into_event().timestamp(now).currency_code("EUR"));
    client.upload(batch).await?;

    println!("the mock received: {:#}", server.batches()[0]);
    Ok(())
}
