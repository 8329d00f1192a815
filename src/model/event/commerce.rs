//! Commerce events: exactly one of an action with products, one with promotions, and impressions.

use super::flags;
use crate::generated::types::{
    CommerceEvent, Event, Product, ProductAction, ProductImpression, PromotionAction, ShoppingCart,
};

impl CommerceEvent {
    /// Something was done with products.
    ///
    /// ```
    /// use mparticle::{CommerceEvent, Product, ProductAction};
    ///
    /// let action = ProductAction::purchase()
    ///     .transaction_id("T-117")
    ///     .product(Product::new("TEA-12", "Assam 250 g").price(12.99).quantity(2.0))
    ///     .tax(4.15)
    ///     .total(30.13);
    /// let event = CommerceEvent::product(action).currency_code("EUR");
    /// ```
    #[must_use]
    pub fn product(action: ProductAction) -> Self {
        Self { product_action: Some(action), ..Self::default() }
    }

    /// Something was done with promotions.
    #[must_use]
    pub fn promotion(action: PromotionAction) -> Self {
        Self { promotion_action: Some(action), ..Self::default() }
    }

    /// Products were shown; it takes at least one list of them.
    #[must_use]
    pub fn impressions(impressions: impl IntoIterator<Item = ProductImpression>) -> Self {
        Self { product_impressions: impressions.into_iter().collect(), ..Self::default() }
    }

    /// What is in the cart.
    #[must_use]
    pub fn shopping_cart(mut self, products: impl IntoIterator<Item = Product>) -> Self {
        self.shopping_cart = Some(ShoppingCart::with_required(products.into_iter().collect()));
        self
    }
}

flags!(CommerceEvent);

impl From<ProductAction> for CommerceEvent {
    fn from(action: ProductAction) -> Self {
        Self::product(action)
    }
}

impl From<PromotionAction> for CommerceEvent {
    fn from(action: PromotionAction) -> Self {
        Self::promotion(action)
    }
}

impl From<ProductAction> for Event {
    fn from(action: ProductAction) -> Self {
        CommerceEvent::from(action).into()
    }
}

impl From<PromotionAction> for Event {
    fn from(action: PromotionAction) -> Self {
        CommerceEvent::from(action).into()
    }
}
