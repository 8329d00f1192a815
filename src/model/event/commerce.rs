//! Commerce events: exactly one of an action with products, one with promotions, and impressions.

use super::flags;
use crate::generated::types::{
    CommerceEvent, Event, Product, ProductAction, ProductImpression, PromotionAction, ShoppingCart,
};
use crate::model::setters;

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
        self.shopping_cart = Some(ShoppingCart { products: products.into_iter().collect() });
        self
    }
}

setters!(CommerceEvent {
    /// The currency of all amounts, as three capital letters (ISO 4217).
    currency_code: String,
    /// The screen that it happened on.
    screen_name: String,
    /// Whether it happened without the user doing anything.
    is_non_interactive: bool,
    /// A name, at most 256 characters.
    event_name: String,
});

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
