//! What marketing connectors share, and nothing that only one of them needs.
//!
//! | module | what it is for |
//! |---|---|
//! | [`Secret`] | a key that cannot be printed by accident |
//! | [`Error`], [`ErrorKind`], [`Delivery`] | what failed, whether it may be repeated, whether it arrived |
//! | [`Channel`] | where a visitor came from: one vocabulary |
//! | [`campaign`] | tags in URLs (utm, Matomo, AT Internet), the one campaign id |
//! | [`Money`], [`Currency`] | exact amounts; two currencies are never added |

pub mod campaign;
mod channel;
#[cfg(feature = "chart")]
pub mod chart;
mod error;
mod money;
mod secret;

#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "testing")]
pub mod testing;

pub use campaign::{CampaignTags, campaign_id};
pub use channel::{Channel, UnknownChannel};
pub use error::{Delivery, Error, ErrorKind, Result};
pub use money::{Currency, Money, MoneyError};
pub use secret::Secret;
