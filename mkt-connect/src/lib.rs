//! What marketing connectors share, and nothing that only one of them needs.
//!
//! | part | what it is for | feature |
//! |---|---|---|
//! | [`Secret`] | a key that cannot be printed by accident | |
//! | [`Error`], [`ErrorKind`], [`Delivery`] | what failed, whether it may be repeated, whether it arrived | |
//! | [`Channel`] | where a visitor came from: one vocabulary | |
//! | [`campaign`] | tags in URLs (utm, Matomo, AT Internet), and the one id of a campaign | |
//! | [`Money`], [`Currency`] | exact amounts; two currencies are never added | |
//! | [`Stop`] | asks long work to end, in two steps | |
//! | `clock` | time handed in, so that waiting is tested without waiting | `clock` |
//! | `http` | requests to one host over TLS, the retry decision, rate budgets, pages as a stream | `http` |
//! | `sql` | errors by code, opening, migrations and locks on SQLite and PostgreSQL | `sqlite`, `postgres` |
//! | `table` | the one reader of delimited text | `table` |
//! | `testing` | a scripted HTTP server on loopback that can misbehave | `testing` |
//! | `chart` | charts as SVG, and a page of them | `chart` |
//!
//! A newsletter's link, the line of costs and the landing URL in a log are the same campaign:
//!
//! ```
//! use mkt_connect::campaign::{CampaignTags, TagFamily, campaign_id, tag_url};
//!
//! let tags = CampaignTags::new("Newsletter", "email", "Soldes d'été");
//! let link = tag_url("https://shop.example/soldes", &tags, TagFamily::Matomo)?;
//! let landed = CampaignTags::parse(link.as_str()).unwrap_or_default();
//! assert_eq!(landed.campaign_id(), Some(campaign_id("newsletter", "email", "soldes d'ete")));
//! # Ok::<(), mkt_connect::campaign::TagError>(())
//! ```
//!
//! A connector asks through `http` and says in one place what its vendor's answers mean. Whatever fails, the error
//! tells whether the request may have arrived, so that nothing is sent twice by mistake:
//!
//! ```
//! # #[cfg(all(feature = "http", feature = "testing"))]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use mkt_connect::http::{Client, Policy, Request};
//! use mkt_connect::testing::{Answer, Server};
//! use mkt_connect::{Delivery, ErrorKind, Secret};
//!
//! // The vendor takes the request, and then its gateway loses the answer.
//! let vendor = Server::start(|_| Answer::status(502)).await?;
//! let client = Client::builder("brevo", &vendor.url())
//!     .allow_insecure_host(&vendor.authority()) // only because the fake speaks plain http
//!     .secret_header("api-key", &Secret::new("xkeysib-0123"))
//!     .build()?;
//! let request = Request::post("smtp/email").operation("send").json(&["hello"]);
//! let error = client
//!     .send_with(&request, &Policy::default(), |response| match response.status() {
//!         200..=299 => Ok(()),
//!         429 => Err(response.error(ErrorKind::RateLimited)),
//!         500.. => Err(response.error(ErrorKind::Unavailable)),
//!         _ => Err(response.error(ErrorKind::Input)),
//!     })
//!     .await
//!     .unwrap_err();
//! assert_eq!(error.to_string(), "brevo is not available (send)");
//! assert_eq!(error.delivery(), Delivery::Answered);
//! assert_eq!(vendor.hits(), 1); // it may have been sent: not repeated
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! What is not here: a proxy or the environment is never read, no runtime is started, nothing global is set.

pub mod campaign;
mod channel;
#[cfg(feature = "chart")]
pub mod chart;
#[cfg(feature = "clock")]
pub mod clock;
mod error;
mod markup;
mod money;
pub mod notebook;
mod secret;
mod stop;

#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "sql")]
pub mod sql;
#[cfg(feature = "table")]
pub mod table;
#[cfg(feature = "testing")]
pub mod testing;

pub use campaign::{CampaignTags, campaign_id};
pub use channel::{Channel, UnknownChannel};
pub use error::{Delivery, Error, ErrorKind, Result, sentence};
pub use money::{Currency, Money, MoneyError};
pub use secret::Secret;
pub use stop::Stop;
