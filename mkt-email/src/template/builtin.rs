//! The built-in templates, in French and English: the request to confirm a subscription, the welcome email, and the first
//! reminder of an abandoned cart.

use super::{Template, TemplateError};
use mkt_connect::{Currency, Money};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The languages of the built-in templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Language {
    /// Français.
    #[serde(rename = "fr")]
    French,
    /// English.
    #[serde(rename = "en")]
    English,
}

impl Language {
    /// The ISO 639-1 code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::French => "fr",
            Self::English => "en",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "fr" => Ok(Self::French),
            "en" => Ok(Self::English),
            _ => Err("the language is neither fr nor en".to_owned()),
        }
    }
}

/// The values of the welcome templates.
#[derive(Clone, Serialize)]
pub struct Welcome {
    /// The first name (`prenom` in the template). Without it rendering fails, so that "Bienvenue  !" is never sent.
    #[serde(rename = "prenom", skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// The shop's or site's name.
    pub site: String,
    /// The link to it.
    pub link: String,
}

/// The values of the confirmation templates.
#[derive(Clone, Serialize)]
pub struct Confirmation {
    /// The shop's or site's name.
    pub site: String,
    /// The link of [`ConfirmKeys::link`](crate::confirm::ConfirmKeys::link).
    pub link: String,
}

/// The largest number of products in a reminder.
pub const MAX_ITEMS: usize = 6;

/// A product left in a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CartItem {
    /// Name of the product.
    pub name: String,
    /// Quantity.
    pub quantity: u32,
    /// Unit price as text; see [`format_money`].
    pub price: String,
}

/// The values of the reminder templates. Created by [`CartRelaunch::new`].
#[derive(Clone, Serialize)]
pub struct CartRelaunch {
    #[serde(rename = "prenom", skip_serializing_if = "Option::is_none")]
    first_name: Option<String>,
    site: String,
    link: String,
    items: Vec<CartItem>,
    more: usize,
    seen: Vec<CartItem>,
}

impl CartRelaunch {
    /// Shows the first [`MAX_ITEMS`] products, and the number of further ones.
    #[must_use]
    pub fn new(first_name: Option<&str>, site: &str, link: &str, mut items: Vec<CartItem>) -> Self {
        let more = items.len().saturating_sub(MAX_ITEMS);
        items.truncate(MAX_ITEMS);
        let first_name = first_name.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        Self { first_name, site: site.to_owned(), link: link.to_owned(), items, more, seen: Vec::new() }
    }

    /// Shows products that were looked at too, as far as there are fewer than [`MAX_ITEMS`] in the cart.
    #[must_use]
    pub fn seen(mut self, mut products: Vec<CartItem>) -> Self {
        products.truncate(MAX_ITEMS.saturating_sub(self.items.len()));
        self.seen = products;
        self
    }
}

/// The values of the promotion templates: a reminder with an offer. Created by [`CartPromotion::new`].
#[derive(Clone, Serialize)]
pub struct CartPromotion {
    #[serde(flatten)]
    cart: CartRelaunch,
    offer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

impl CartPromotion {
    /// An offer, such as `10 %`, on what is in a cart.
    #[must_use]
    pub fn new(cart: CartRelaunch, offer: &str) -> Self {
        Self { cart, offer: offer.to_owned(), code: None }
    }

    /// The code that the shop asks for.
    #[must_use]
    pub fn code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }
}

macro_rules! hide_in_debug {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

hide_in_debug!(CartPromotion);
hide_in_debug!(Welcome);
hide_in_debug!(Confirmation);
hide_in_debug!(CartRelaunch);

impl Template {
    /// The welcome email ("Bienvenue Jean !"); rendered with [`Welcome`].
    ///
    /// # Errors
    /// None: the templates are compiled by a test.
    pub fn welcome(language: Language) -> Result<Self, TemplateError> {
        match language {
            Language::French => Self::new(
                "Bienvenue {{ prenom }} !",
                include_str!("../../templates/welcome.fr.html"),
                Some(include_str!("../../templates/welcome.fr.txt")),
            ),
            Language::English => Self::new(
                "Welcome, {{ prenom }}!",
                include_str!("../../templates/welcome.en.html"),
                Some(include_str!("../../templates/welcome.en.txt")),
            ),
        }
    }

    /// The email that asks a person to confirm their subscription (double opt-in); rendered with [`Confirmation`]. Send it
    /// as transactional email: there is no consent yet.
    ///
    /// # Errors
    /// None: the templates are compiled by a test.
    pub fn confirmation(language: Language) -> Result<Self, TemplateError> {
        match language {
            Language::French => Self::new(
                "Confirmez votre inscription à {{ site }}",
                include_str!("../../templates/confirmation.fr.html"),
                Some(include_str!("../../templates/confirmation.fr.txt")),
            ),
            Language::English => Self::new(
                "Confirm your subscription to {{ site }}",
                include_str!("../../templates/confirmation.en.html"),
                Some(include_str!("../../templates/confirmation.en.txt")),
            ),
        }
    }

    /// The first email about an abandoned cart; rendered with [`CartRelaunch`].
    ///
    /// # Errors
    /// None: the templates are compiled by a test.
    pub fn cart_relaunch(language: Language) -> Result<Self, TemplateError> {
        match language {
            Language::French => Self::new(
                "{% if prenom is defined %}{{ prenom }}, votre panier vous attend{% else %}Votre panier vous attend\
                 {% endif %}",
                include_str!("../../templates/cart_relaunch.fr.html"),
                None,
            ),
            Language::English => Self::new(
                "{% if prenom is defined %}{{ prenom }}, your cart is waiting{% else %}Your cart is waiting\
                 {% endif %}",
                include_str!("../../templates/cart_relaunch.en.html"),
                None,
            ),
        }
    }
}

impl Template {
    /// The second email about an abandoned cart, with an offer; rendered with [`CartPromotion`].
    ///
    /// # Errors
    /// None: the templates are compiled by a test.
    pub fn cart_promotion(language: Language) -> Result<Self, TemplateError> {
        match language {
            Language::French => Self::new(
                "{{ offer }} de remise sur votre panier{% if prenom is defined %}, {{ prenom }}{% endif %}",
                include_str!("../../templates/cart_promotion.fr.html"),
                None,
            ),
            Language::English => Self::new(
                "{{ offer }} off your cart{% if prenom is defined %}, {{ prenom }}{% endif %}",
                include_str!("../../templates/cart_promotion.en.html"),
                None,
            ),
        }
    }
}

/// Formats an amount for a language: `19,90 €` with a no-break space, `€19.90`. Currencies without a
/// common sign keep their code.
#[must_use]
pub fn format_money(money: Money, language: Language) -> String {
    let sign = match money.currency {
        Currency::EUR => Some("€"),
        Currency::USD => Some("$"),
        Currency::GBP => Some("£"),
        _ => None,
    };
    // Rounded first, half to even as `Money` is: a precision given to `Decimal`'s own Display cuts digits off.
    let amount = format!("{:.2}", money.amount.round_dp(2));
    match (language, sign) {
        (Language::French, Some(sign)) => format!("{}\u{a0}{sign}", amount.replace('.', ",")),
        (Language::French, None) => format!("{}\u{a0}{}", amount.replace('.', ","), money.currency),
        (Language::English, Some(sign)) => match amount.strip_prefix('-') {
            Some(positive) => format!("-{sign}{positive}"),
            None => format!("{sign}{amount}"),
        },
        (Language::English, None) => format!("{amount}\u{a0}{}", money.currency),
    }
}
