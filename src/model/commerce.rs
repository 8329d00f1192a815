//! The parts of commerce events: products, product actions, promotions, impressions.

use chrono::{DateTime, Utc};

use super::{Number, Text, unixtime_ms};
use crate::generated::types::{
    CommerceEvent, Product, ProductAction, ProductActionType, ProductImpression, Promotion, PromotionAction,
    PromotionActionType,
};

impl Product {
    /// Creates a product with its id (SKU) and its name.
    #[must_use]
    pub fn new(id: impl Into<Text>, name: impl Into<String>) -> Self {
        Self { id: Some(id.into().into()), name: Some(name.into()), ..Self::default() }
    }

    /// Sets the time at which the product was added to the cart.
    #[must_use]
    pub fn added_to_cart_at(mut self, time: impl Into<DateTime<Utc>>) -> Self {
        self.added_to_cart_time_ms = Some(unixtime_ms(time));
        self
    }

    /// Sets a custom attribute of the product. Its value is text.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<Text>) -> Self {
        self.custom_attributes.insert(name.into(), value.into().into());
        self
    }
}

/// One constructor for each action.
macro_rules! actions {
    ($($name:ident = $action:ident: $what:literal,)*) => {
        impl ProductAction {
            $(
                #[doc = concat!("Creates the action of ", $what, ".")]
                #[must_use]
                pub fn $name() -> Self {
                    Self::new(ProductActionType::$action)
                }
            )*
        }
    };
}

actions! {
    add_to_cart = AddToCart: "adding products to the cart",
    remove_from_cart = RemoveFromCart: "removing products from the cart",
    checkout = Checkout: "beginning the checkout, or going on to its next step",
    checkout_option = CheckoutOption: "choosing an option in the checkout",
    click = Click: "clicking products",
    view_detail = ViewDetail: "viewing the details of products",
    purchase = Purchase: "purchasing products",
    refund = Refund: "refunding a purchase",
    add_to_wishlist = AddToWishlist: "adding products to the wish list",
    remove_from_wishlist = RemoveFromWishList: "removing products from the wish list",
}

impl ProductAction {
    /// Creates an action whose type is known only at run time. Each type also has a constructor of its own.
    #[must_use]
    pub fn new(action: ProductActionType) -> Self {
        Self::with_required(action)
    }

    /// Adds a product of the action.
    #[must_use]
    pub fn product(mut self, product: Product) -> Self {
        self.products.push(product);
        self
    }

    /// Adds several products of the action.
    #[must_use]
    pub fn products(mut self, products: impl IntoIterator<Item = Product>) -> Self {
        self.products.extend(products);
        self
    }

    /// Sets the total amount, including tax and shipping, in units of the event's currency: 30.13 for 30 euros and 13 cents.
    #[must_use]
    pub fn total(mut self, total_amount: impl Into<Number>) -> Self {
        self.total_amount = Some(total_amount.into().into());
        self
    }

    /// Sets the tax included in the total.
    #[must_use]
    pub fn tax(mut self, tax_amount: impl Into<Number>) -> Self {
        self.tax_amount = Some(tax_amount.into().into());
        self
    }

    /// Sets the shipping included in the total.
    #[must_use]
    pub fn shipping(mut self, shipping_amount: impl Into<Number>) -> Self {
        self.shipping_amount = Some(shipping_amount.into().into());
        self
    }

    /// Returns the commerce event of this action, which has a time, a session, a currency and attributes.
    ///
    /// An action that needs none of these can be given to [`Batch::event`](crate::Batch::event) as it is.
    ///
    /// ```
    /// use mparticle::{Product, ProductAction};
    ///
    /// let tea = Product::new("TEA-12", "Assam 250 g").price(12.99).quantity(2);
    /// let event = ProductAction::purchase().product(tea).total(25.98).into_event().currency_code("EUR");
    /// ```
    #[must_use]
    pub fn into_event(self) -> CommerceEvent {
        CommerceEvent::product_action(self)
    }
}

impl ProductImpression {
    /// Creates an impression of products that were shown together, in a list with this name.
    #[must_use]
    pub fn new(product_impression_list: impl Into<String>, products: impl IntoIterator<Item = Product>) -> Self {
        Self::with_required(product_impression_list, products.into_iter().collect())
    }
}

impl Promotion {
    /// Creates a promotion with its id.
    #[must_use]
    pub fn new(id: impl Into<Text>) -> Self {
        Self { id: Some(id.into().into()), ..Self::default() }
    }
}

impl PromotionAction {
    /// Creates the action of promotions that were viewed.
    #[must_use]
    pub fn view(promotions: impl IntoIterator<Item = Promotion>) -> Self {
        Self { promotions: promotions.into_iter().collect(), ..Self::with_required(PromotionActionType::View) }
    }

    /// Creates the action of promotions that were clicked.
    #[must_use]
    pub fn click(promotions: impl IntoIterator<Item = Promotion>) -> Self {
        Self { promotions: promotions.into_iter().collect(), ..Self::with_required(PromotionActionType::Click) }
    }
}
