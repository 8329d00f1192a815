//! Commerce events, each of exactly one kind: a product action, a promotion action, or impressions.

use super::flags;
use crate::generated::types::{
    CommerceEvent, Event, Product, ProductAction, ProductImpression, PromotionAction, ShoppingCart,
};

impl CommerceEvent {
    /// Creates the event of a product action.
    ///
    /// ```
    /// use mparticle::{CommerceEvent, Product, ProductAction};
    ///
    /// let action = ProductAction::purchase()
    ///     .transaction_id("T-117")
    ///     .product(Product::new("TEA-12", "Assam 250 g").price(12.99).quantity(2))
    ///     .tax(4.15)
    ///     .total(30.13);
    /// let event = CommerceEvent::product_action(action).currency_code("EUR");
    /// ```
    #[must_use]
    pub fn product_action(action: ProductAction) -> Self {
        Self { product_action: Some(action.into()), ..Self::default() }
    }

    /// Creates the event of a promotion action.
    #[must_use]
    pub fn promotion_action(action: PromotionAction) -> Self {
        Self { promotion_action: Some(action.into()), ..Self::default() }
    }

    /// Creates the event of products that were shown. The service requires at least one impression.
    #[must_use]
    pub fn impressions(impressions: impl IntoIterator<Item = ProductImpression>) -> Self {
        Self { product_impressions: impressions.into_iter().collect(), ..Self::default() }
    }

    /// Sets the products in the shopping cart.
    #[must_use]
    pub fn shopping_cart(mut self, products: impl IntoIterator<Item = Product>) -> Self {
        self.shopping_cart = Some(Box::new(ShoppingCart::with_required(products.into_iter().collect())));
        self
    }
}

flags!(CommerceEvent);

impl From<ProductAction> for CommerceEvent {
    fn from(action: ProductAction) -> Self {
        Self::product_action(action)
    }
}

impl From<PromotionAction> for CommerceEvent {
    fn from(action: PromotionAction) -> Self {
        Self::promotion_action(action)
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
