//! The command line.

use chrono::{DateTime, Utc};
use clap::Parser;
use mkt_email::Mailbox;
use mkt_email::template::Language;
use mkt_examples::option;
use std::path::{Path, PathBuf};

/// Runs a journey: a sequence of emails that follows what contacts do.
///
/// Reads what happened (one JSON object per line), sends what is due through a durable outbox, and says who is where and
/// what it led to. Run it again, from cron or after a crash: no step is done twice and none is lost.
#[derive(Debug, Parser)]
#[command(
    name = "journey",
    max_term_width = 80,
    after_long_help = "\
TRIGGERS, one JSON object per line
  {\"kind\": \"cart_updated\", \"contact\": \"jean@example.org\",
   \"entity\": \"cart-7\", \"at\": \"2026-10-26T09:00:00Z\",
   \"payload\": {\"first_name\": \"Jean\", \"currency\": \"EUR\",
     \"items\": [{\"name\": \"Teapot\", \"quantity\": 1, \"price\": 39.9}]}}
  (on one line). A line that cannot be read is quarantined, the others count.
  The kinds consent_given and consent_withdrawn are records of consent to
  marketing email too. docs/journeys.md has every key, also of definitions.

KEYS, from the environment: others see the command line
  JOURNEY_UNSUBSCRIBE_KEY  24 bytes or more; signs the links to unsubscribe in
                           marketing email. Not needed with maildir
  and those of the provider, as welcome_email has them

WHAT IT WRITES
  state  definitions, triggers, instances and emails: keep it. It names people;
         only its owner can read it
  journey.svg  beside the state, with --explain: the definition, drawn
  mails        beside the state, with maildir: the emails as .eml files

KEYS OF --json
  journey, version  what runs, and the number of its content
  triggers          read = new + known + quarantined
  advanced          what this run did: contacts, entered, sent, withheld,
                    skipped, suppressed, failed, ended
  emails            the outbox: recipients = sent + failed + suppressed +
                    cancelled + unknown + pending
  next_due          when something is due next, if anything is
  report            who reached the goal after which email, those held out
                    beside those written to; rates only where there is somebody
  whereabouts, drawing  with --explain

EXIT CODE
  0    done, as far as it is due
  1    it could not be done; standard error says why in one sentence
  2    invalid options
  3    emails are pending, or left unknown by the provider
  130  interrupted by Ctrl-C; run it again to go on

EXAMPLES
  cargo run --release --example journey -- --definition cart \\
      --state journey/state.db --triggers examples/data/carts.ndjson \\
      --clock virtual --explain
  cargo run --release --example journey -- --definition journey.toml \\
      --state journey/state.db --triggers today.ndjson --provider smtp \\
      --from 'La Boutique <bonjour@boutique.example>' --json"
)]
pub(crate) struct Arguments {
    /// The definition: a TOML file, or one that is shipped: welcome, cart.
    #[arg(long, value_name = "FILE|welcome|cart")]
    pub(crate) definition: String,

    /// The state: one SQLite file.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: PathBuf,

    /// What happened, one JSON object per line.
    #[arg(long, value_name = "FILE.ndjson")]
    pub(crate) triggers: Option<PathBuf>,

    /// Draw the definition and list who is where and why.
    #[arg(long)]
    pub(crate) explain: bool,

    /// Name people in the list.
    #[arg(long, requires = "explain")]
    pub(crate) addresses: bool,

    /// The clock: system does what is due now; virtual jumps from one due time to the next, from the first trigger on.
    #[arg(long, value_parser = ["system", "virtual"], default_value = "system")]
    pub(crate) clock: String,

    /// Go on until then [default: system: now; virtual: until nothing is due].
    #[arg(long, value_name = "TIME", value_parser = option::timestamp)]
    pub(crate) until: Option<DateTime<Utc>>,

    /// Who sends the emails.
    #[arg(long, value_parser = ["brevo", "mailgun", "smtp", "maildir"], default_value = "maildir")]
    pub(crate) provider: String,

    /// Who the emails are from, as `Name <address>`. Links lead to its domain.
    #[arg(long, value_name = "ADDR", default_value = "La Maison du Thé <bonjour@shop.example.org>")]
    pub(crate) from: Mailbox,

    /// What the promotion of the cart offers.
    #[arg(long, value_name = "TEXT", default_value = "10 %")]
    pub(crate) offer: String,

    /// Language of contacts whose triggers name none.
    #[arg(long, value_name = "fr|en", default_value = "fr")]
    pub(crate) lang: Language,

    /// Print one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Arguments {
    /// The folder that the state is in.
    pub(crate) fn folder(&self) -> &Path {
        match self.state.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }
}
