#![doc = include_str!("../README.md")]
//!
//! Shared parts of marketing connectors: secrets, errors, money, campaign tags, HTTP, tables, SQL, charts.
//!
//! | part | what it is for | feature |
//! |---|---|---|
//! | [`Secret`] | an API key that cannot be printed by accident | |
//! | [`Error`], [`ErrorKind`], [`Delivery`] | what failed, whether it can be retried, whether the request arrived | |
//! | [`Channel`] | marketing channels: one closed vocabulary | |
//! | [`campaign`] | campaign tags in URLs (UTM, Matomo, AT Internet) and the campaign id made of them | |
//! | [`Money`], [`Currency`] | exact amounts with their currency | |
//! | [`Stop`] | asks long work to end, in two steps | |
//! | `clock` | a clock that is passed in: the system clock, or a manual one for tests | `clock` |
//! | `http` | HTTP client for one host, retry decision, rate limits, paging as a stream | `http` |
//! | `sql` | errors by code, opening, migrations and locks on SQLite and PostgreSQL | `sqlite`, `postgres` |
//! | `table` | reader of delimited text (CSV): encodings, header, cells, quarantined rows | `table` |
//! | `testing` | scripted HTTP server on loopback, for tests | `testing` |
//! | `chart` | charts as SVG (with `png` as PNG), and an HTML page | `chart`, `png` |
//!
//! A connector sends requests with `http` and maps its vendor's statuses to error kinds in one closure. Each error says
//! whether the request may have arrived, so that nothing is sent twice by mistake:
//!
//! ```
//! # #[cfg(all(feature = "http", feature = "testing"))]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use mkt_connect::http::{Client, Policy, Request};
//! use mkt_connect::testing::{Answer, Server};
//! use mkt_connect::{Delivery, ErrorKind, Secret};
//!
//! // The vendor accepts the request, and its gateway loses the response.
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
//! assert_eq!(error.to_string(), "brevo is unavailable (send)");
//! assert_eq!(error.delivery(), Delivery::Answered);
//! assert_eq!(vendor.hits(), 1); // it may have been sent: no retry
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! The crate reads no proxy settings, reads the environment only in [`Secret::from_env`], starts no runtime and sets
//! nothing global.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod campaign;
mod channel;
#[cfg(feature = "chart")]
pub mod chart;
#[cfg(feature = "clock")]
pub mod clock;
mod currency;
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
pub use currency::Currency;
pub use error::{Delivery, Error, ErrorKind, Result, sentence};
pub use money::{Money, MoneyError};
pub use secret::Secret;
pub use stop::Stop;
