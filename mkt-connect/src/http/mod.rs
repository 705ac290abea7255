//! HTTP for connectors: requests as data, one host per client, and errors that say whether a request may have arrived.
//!
//! | part | what it does | what it will not do |
//! |---|---|---|
//! | [`Client`] | one exchange with the one configured host | follow redirects, read proxies from the environment, log a URL |
//! | [`Request`], [`Response`] | a request and a complete response, as data | decide whether a status is an error: the connector knows its vendor |
//! | [`retry`] | decides whether a failed request may be sent again, and when | wait or send |
//! | [`rate`] | keeps an account within its rate limits and pauses | persist across restarts |
//! | [`page`] | pages as a stream that stops when dropped | follow a link |
//! | [`address`] | which hosts and addresses a client may connect to | |
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use mkt_connect::http::{Client, Request};
//! use mkt_connect::testing::{Answer, Server};
//! use mkt_connect::Secret;
//!
//! let server = Server::start(|_| Answer::json(r#"{"value":"5.2.0"}"#)).await?;
//! let client = Client::builder("matomo", &server.url()).allow_insecure_host(&server.authority()).build()?;
//! let request = Request::post("index.php")
//!     .operation("read version")
//!     .form([("module", "API"), ("method", "API.getMatomoVersion")])
//!     .secret_form_field("token_auth", &Secret::new("0123456789abcdef"));
//! let response = client.send(&request).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(server.requests()[0].form_value("module").as_deref(), Some("API"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

pub mod address;
mod builder;
mod client;
mod failure;
pub mod page;
pub mod rate;
mod request;
mod response;
pub mod retry;

pub use builder::ClientBuilder;
pub use client::Client;
pub use page::{Page, Paging};
pub use rate::{Limits, RateBudget};
pub use request::{Method, Replay, Request, path_segment};
pub use response::Response;
pub use retry::Policy;
