//! The command line.

use clap::Parser;
use mkt_email::template::Language;
use mkt_email::{EmailAddress, Mailbox};
use std::path::{Path, PathBuf};

/// Welcomes everybody in a file of sign-ups, once: "Bienvenue Jean !".
///
/// Reads email, prenom and date_inscription (names, delimiters and encodings as in common exports), renders every email
/// before the first one leaves, and sends through a durable outbox: run it again, from cron or after a crash, and nobody
/// is sent to twice and nobody is forgotten.
#[derive(Debug, Parser)]
#[command(
    name = "welcome_email",
    max_term_width = 80,
    after_long_help = "\
KEYS, from the environment: others see the command line
  brevo    BREVO_API_KEY
  mailgun  MAILGUN_API_KEY and MAILGUN_DOMAIN; MAILGUN_REGION=eu for a domain
           in Europe
  smtp     SMTP_URL, such as smtps://user:password@smtp.example.org, or
           smtp://user:app-password@smtp.gmail.com:587 (always with TLS,
           unless ?tls=none)
  maildir  none: mails become .eml files in the folder mails beside the state

WHAT IT WRITES
  state  who was welcomed, and how that went. Keep it: without it everybody is
         new. The default depends on the directory you are in; give cron a
         --state of its own.
  log    one JSON object per line for every outcome of an email: recipient,
         outcome, the provider's id or its reason. It names people; only its
         owner can read it.

THE EMAIL
  Answers a sign-up, so it is transactional: it needs no consent, and only
  somebody who is suppressed for everything (a hard bounce, a complaint) does
  not get it. The site's name and link are taken from --from: its display
  name, and https:// before its domain. A --template is an HTML file whose
  <title> is the subject. It may use {{ prenom }}, {{ site }},
  {{ link | tag }}, {{ email }} and {{ date_inscription }}; a row that lacks
  what it uses is quarantined, the others go.

KEYS OF --json
  rows            rows of the file, without the header
  quarantined     bad rows, and people whose email could not be rendered
  duplicates      repetitions of an earlier row's address
  recipients      the others: rows = recipients + quarantined + duplicates
  sent            accepted by the provider, in this run or an earlier one
  failed          rejected for good
  suppressed      must not be sent to
  cancelled       cancelled in the outbox
  unknown         the connection broke before the answer came; not sent again
  pending         still to be sent: run it again
  recipients = sent + failed + suppressed + cancelled + unknown + pending
  already_sent    those of sent that an earlier run sent
  seconds         how long it took

EXIT CODE
  0    nothing is left to do
  1    it could not be done; standard error says why in one sentence. What was
       sent is remembered
  2    invalid options
  3    emails are pending, this run left some unknown, or the provider
       rejected everybody
  130  interrupted by Ctrl-C; run it again to go on

EXAMPLES
  cargo run --release --example welcome_email -- \\
      --subscribers examples/data/inscrits.csv --dry-run
  cargo run --release --example welcome_email -- \\
      --subscribers examples/data/inscrits.csv
  BREVO_API_KEY=… cargo run --release --example welcome_email -- \\
      --subscribers inscrits.csv --provider brevo --json \\
      --from 'La Boutique <bonjour@boutique.example>'"
)]
pub(crate) struct Arguments {
    /// The CSV file of sign-ups.
    #[arg(long, value_name = "FILE")]
    pub(crate) subscribers: PathBuf,

    /// Who sends the emails.
    #[arg(long, value_parser = ["brevo", "mailgun", "smtp", "maildir"], default_value = "maildir")]
    pub(crate) provider: String,

    /// Another address of the provider's API. It must be https, except on this machine.
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,

    /// Who the emails are from, as `Name <address>` [default: La Maison du Thé <bonjour@shop.example.org>, with mailgun
    /// bonjour@MAILGUN_DOMAIN].
    #[arg(long, value_name = "ADDR")]
    pub(crate) from: Option<Mailbox>,

    /// An HTML file with a <title> in place of the built-in email (with the feature mjml also an .mjml file).
    #[arg(long, value_name = "FILE")]
    pub(crate) template: Option<PathBuf>,

    /// Language of the built-in email.
    #[arg(long, value_name = "fr|en", default_value = "fr")]
    pub(crate) lang: Language,

    /// The send log [default: send_log.ndjson beside the state].
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,

    /// The outbox: one SQLite file.
    #[arg(long, value_name = "FILE", default_value = "welcome_email/outbox.sqlite")]
    pub(crate) state: PathBuf,

    /// Read and render everything, show the first email and what would be sent; send and write nothing. Needs no key.
    #[arg(long)]
    pub(crate) dry_run: bool,

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

    pub(crate) fn log(&self) -> PathBuf {
        self.log.clone().unwrap_or_else(|| self.folder().join("send_log.ndjson"))
    }

    /// The sender: as asked, else the example shop's.
    pub(crate) fn sender(&self) -> Mailbox {
        const NAME: &str = "La Maison du Thé";
        let address = |text: &str| text.parse::<EmailAddress>().ok();
        let named = |address| Mailbox::named(address, NAME).ok();
        let domain = std::env::var("MAILGUN_DOMAIN").ok().filter(|_| self.provider == "mailgun");
        self.from
            .clone()
            .or_else(|| named(address(&format!("bonjour@{}", domain?.trim()))?))
            .or_else(|| named(address("bonjour@shop.example.org")?))
            .unwrap_or_else(|| unreachable!("an address that is written here is one"))
    }
}
