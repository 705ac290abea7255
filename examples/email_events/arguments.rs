//! The command line.

use clap::Parser;
use mkt_email::template::Language;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Receives what Brevo and Mailgun report about emails, and the unsubscribe and confirmation links that people follow.
///
/// Every event is kept once in the state, in the same file as the outbox of the emails; hard bounces, complaints and
/// unsubscriptions stop further emails at once. A vendor is answered 200 after that is on disk.
#[derive(Debug, Parser)]
#[command(
    name = "email_events",
    max_term_width = 80,
    after_long_help = "\
KEYS, from the environment: others see the command line. At least one is needed
  MAILGUN_WEBHOOK_KEY   the webhook signing key; several separated by commas
  BREVO_WEBHOOK_TOKEN   the bearer token of the webhook; several as above
  MKT_UNSUBSCRIBE_KEY   the secret that signs unsubscribe and confirmation
                        links, 24 bytes or more; several separated by commas,
                        of which the first signs

ROUTES
  POST /webhooks/mailgun      with MAILGUN_WEBHOOK_KEY
  POST /webhooks/brevo        with BREVO_WEBHOOK_TOKEN
  GET  /unsubscribe/{token}   shows a page with a button (French or English)
  POST /unsubscribe/{token}   unsubscribes; mail programs do so by one click
  GET  /confirm/{token}       shows a page with a button (double opt-in)
  POST /confirm/{token}       records the consent
  GET  /healthz               200 while the state can be read

  Put a proxy that ends TLS in front of it. Neither vendor signs the body of a
  call: Mailgun proves that it made the token, which is taken once; Brevo's
  caller proves that it knows the bearer token.

SIGNALS
  The first Ctrl-C or SIGTERM stops taking calls and answers those under way;
  the second does not wait for them.

KEYS OF --report --json
  events      all events by type
  campaigns   one object each: campaign (null: not known), sent, delivered,
              bounced (hard_bounced, soft_bounced, blocked), opened
              (opened_human, opened_proxy), clicked, unsubscribed, complained:
              emails, each counted once; rates, whose names say of what they
              are a share (null: of nothing); events by type

EXAMPLES
  MAILGUN_WEBHOOK_KEY=… cargo run --release --example email_events -- \\
      --listen 127.0.0.1:8080 --state outbox.sqlite
  cargo run --release --example email_events -- --state outbox.sqlite \\
      --report --json"
)]
pub(crate) struct Arguments {
    /// Where to listen, such as 127.0.0.1:8080.
    #[arg(long, value_name = "ADDR", required_unless_present = "report")]
    pub(crate) listen: Option<SocketAddr>,
    /// The file of the outbox, where events, suppressions and consents are kept.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: PathBuf,
    /// The language of pages for readers who ask for neither French nor English.
    #[arg(long, value_name = "fr|en", default_value = "en")]
    pub(crate) lang: Language,
    /// Prints what became of the emails of each campaign, and ends.
    #[arg(long, conflicts_with = "listen")]
    pub(crate) report: bool,
    /// Prints the report as JSON.
    #[arg(long, requires = "report")]
    pub(crate) json: bool,
}
