//! What commerce events are made of: products, actions with them, promotions, impressions.

use chrono::{DateTime, Utc};

use super::unixtime_ms;
use crate::generated::types::{
    Product, ProductAction, ProductActionType, ProductImpression, Promotion, PromotionAction, PromotionActionType,
};

impl Product {
    /// A product, by your id of it (its SKU) and its name.
    #[must_use]
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: Some(id.into()), name: Some(name.into()), ..Self::default() }
    }

    /// When it was put into the cart.
    #[must_use]
    pub fn added_to_cart_at(mut self, time: DateTime<Utc>) -> Self {
        self.added_to_cart_time_ms = Some(unixtime_ms(time));
        self
    }

    /// What else you tell of the product.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.custom_attributes.insert(name.into(), value.into());
        self
    }
}

/// One constructor for each action.
macro_rules! actions {
    ($($(#[$words:meta])* $name:ident = $action:ident,)*) => {
        impl ProductAction {
            $(
                $(#[$words])*
                #[must_use]
                pub fn $name() -> Self {
                    Self::new(ProductActionType::$action)
                }
            )*
        }
    };
}

actions! {
    /// Products were put into the cart.
    add_to_cart = AddToCart,
    /// Products were taken out of the cart.
    remove_from_cart = RemoveFromCart,
    /// The checkout began, or went a step on.
    checkout = Checkout,
    /// Something was chosen in the checkout.
    checkout_option = CheckoutOption,
    /// Products were clicked.
    click = Click,
    /// The details of products were seen.
    view_detail = ViewDetail,
    /// Products were bought.
    purchase = Purchase,
    /// A purchase was paid back.
    refund = Refund,
    /// Products were put on the wish list.
    add_to_wishlist = AddToWishlist,
    /// Products were taken off the wish list.
    remove_from_wishlist = RemoveFromWishList,
}

impl ProductAction {
    /// An action that is known only at run time. Each action also has a constructor of its own.
    #[must_use]
    pub fn new(action: ProductActionType) -> Self {
        Self::with_required(action)
    }

    /// Adds a product that it was done with.
    #[must_use]
    pub fn product(mut self, product: Product) -> Self {
        self.products.push(product);
        self
    }

    /// Adds many products that it was done with.
    #[must_use]
    pub fn products(mut self, products: impl IntoIterator<Item = Product>) -> Self {
        self.products.extend(products);
        self
    }

    /// The whole amount, with tax and shipping.
    #[must_use]
    pub fn total(mut self, total_amount: f64) -> Self {
        self.total_amount = Some(total_amount);
        self
    }

    /// The tax within the total.
    #[must_use]
    pub fn tax(mut self, tax_amount: f64) -> Self {
        self.tax_amount = Some(tax_amount);
        self
    }

    /// The shipping within the total.
    #[must_use]
    pub fn shipping(mut self, shipping_amount: f64) -> Self {
        self.shipping_amount = Some(shipping_amount);
        self
    }
}

impl ProductImpression {
    /// Products that were shown together, in the list of this name.
    #[must_use]
    pub fn new(product_impression_list: impl Into<String>, products: impl IntoIterator<Item = Product>) -> Self {
        Self::with_required(product_impression_list, products.into_iter().collect())
    }
}

impl Promotion {
    /// A promotion, by your id of it.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: Some(id.into()), ..Self::default() }
    }
}

impl PromotionAction {
    /// Promotions were seen.
    #[must_use]
    pub fn view(promotions: impl IntoIterator<Item = Promotion>) -> Self {
        Self { promotions: promotions.into_iter().collect(), ..Self::with_required(PromotionActionType::View) }
    }

    /// Promotions were clicked.
    #[must_use]
    pub fn click(promotions: impl IntoIterator<Item = Promotion>) -> Self {
        Self { promotions: promotions.into_iter().collect(), ..Self::with_required(PromotionActionType::Click) }
    }
}
