use mparticle::{CommerceEvent, ProductAction, Promotion, PromotionAction};

fn main() {
    let _ = CommerceEvent::product_action(ProductAction::purchase()).promotion_action(PromotionAction::view([Promotion::new("P")]));
}
