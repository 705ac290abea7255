//! Deliverability: whether the DNS of a sender's domain, and the emails themselves, are what large mailbox providers ask for.
//!
//! SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489), MX (RFC 5321), one-click unsubscribe (RFC 8058). Gmail and Yahoo ask for
//! all of them from who sends 5 000 emails a day, Outlook.com too (<https://support.google.com/a/answer/81126>).
//!
//! The check is pure but for its questions, which a [`Resolver`] answers: that of a program, or [`StaticResolver`] in tests.
//! What cannot be looked up is reported as unknown, and never as missing.
//!
//! ```
//! use mkt_email::deliverability::{DeliverabilityCheck, StaticResolver, Verdict};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> mkt_email::Result<()> {
//! let dns = StaticResolver::new()
//!     .txt("shop.example", "v=spf1 include:spf.relay.example -all")
//!     .txt("spf.relay.example", "v=spf1 ip4:192.0.2.0/24 -all")
//!     .mx("shop.example", 10, "mx.shop.example");
//! let report = DeliverabilityCheck::new("shop.example")?.spf_includes("spf.relay.example").run(&dns).await;
//! assert_eq!(report.verdict("spf"), Some(Verdict::Good));
//! assert_eq!(report.verdict("dmarc"), Some(Verdict::Bad));
//! println!("{report}");
//! # Ok(()) }
//! # main().unwrap();
//! ```

mod check;
mod dns;
mod report;

pub use check::DeliverabilityCheck;
pub use dns::{Resolver, StaticResolver};
pub use report::{DeliverabilityReport, Finding, Verdict};
