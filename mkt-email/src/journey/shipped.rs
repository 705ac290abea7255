//! The journeys that come with the crate.

use super::definition::{Definition, DefinitionError};

impl Definition {
    /// **Welcome**: a sign-up (`signed_up`) is welcomed at once, as soon as the quiet hours of the night are over. The
    /// email answers an action of the contact, so it is transactional. Template: `welcome`.
    ///
    /// # Errors
    /// None: the definition is read by a test.
    pub fn welcome() -> Result<Self, DefinitionError> {
        Self::from_toml(include_str!("../../journeys/welcome.toml"))
    }

    /// **Cart relaunch** in two steps: a cart that was left for an hour is recalled with up to six products; if nothing
    /// was bought 24 hours later, a promotion follows. A purchase ends it at any point, a changed cart restarts the wait,
    /// an emptied cart ends it. Triggers: `cart_updated` and `cart_emptied` about the cart, `purchase` of the contact.
    /// Templates: `cart_relaunch`, `cart_promotion`.
    ///
    /// # Errors
    /// None: the definition is read by a test.
    pub fn cart_relaunch() -> Result<Self, DefinitionError> {
        Self::from_toml(include_str!("../../journeys/cart_relaunch.toml"))
    }
}
