use mparticle::{CommerceEvent, ProductAction, Promotion, PromotionAction};

fn main() {
    let _ = CommerceEvent::product(ProductAction::purchase()).promotion(PromotionAction::view([Promotion::new("P")]));
}
