use mparticle::{Promotion, PromotionAction};

fn main() {
    let _ = PromotionAction::click([Promotion::new("P")]).tax(1.5);
}
