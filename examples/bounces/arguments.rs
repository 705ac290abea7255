//! The command line.

use clap::Parser;
use mkt_email::EmailAddress;
use std::path::PathBuf;
use std::str::FromStr;

/// Reads bounces, complaints and unsubscriptions from a mailbox into the outbox that sent the emails.
///
/// An address that does not exist, or whose owner complained, is suppressed at once; soft bounces suppress after three in
/// 14 days. An email is found by its Message-ID or its signed return path, never by an address alone: a message that leads
/// to no email of the outbox changes nothing.
#[derive(Debug, Parser)]
#[command(
    name = "bounces",
    max_term_width = 80,
    after_long_help = "\
MAILBOXES
  maildir:DIR   messages without the flag S; what was read gets it
  mbox:FILE     every message, from the beginning; the file is not changed
  -             one message on standard input, for an alias of a mail server:
                bounces: \"|/usr/local/bin/bounces --from - --state /var/lib/shop.db\"
  imaps://USER@HOST[:PORT][/FOLDER]
                unread messages of a folder [INBOX]; what was read gets \\Seen.
                USER is percent-encoded: shop%40example.com
  A message that says something and leads to no email of the outbox is flagged
  too, for a person to look at.

SECRETS, from the environment: others see the command line
  MKT_IMAP_PASSWORD    for imaps://; for Gmail, an app password
  MKT_UNSUBSCRIBE_KEY  of the signed tokens in emails to unsubscribe; several,
                       separated by commas, the current one first
  MKT_RETURN_PATH_KEY  of signed return paths; several likewise

KEYS OF --json
  read          messages read
  bounces       emails that were not delivered
  hard          those whose address is no good
  soft          the others; bounces = hard + soft
  blocked       those of soft where sender or content was refused
  complaints    reports of spam
  unsubscribes  requests to unsubscribe
  matched       bounces and complaints about an email of the outbox, and signed
                requests to unsubscribe
  known         those of matched that were recorded before
  ignored       everything else: delays, deliveries, automatic replies, letters;
                read = bounces + complaints + unsubscribes + ignored
  delayed, delivered, auto_replies
                those of ignored that are that

EXIT CODE
  0    done, also when there was nothing to read
  1    it could not be done; standard error says why in one sentence
  2    invalid options
  75   as 1, with --from -: the mail server keeps the message
  130  interrupted by Ctrl-C; run it again to go on

EXAMPLES
  cargo run --release --example bounces -- \\
      --from maildir:/home/bounces/Maildir --state outbox.sqlite
  MKT_IMAP_PASSWORD=… cargo run --release --example bounces -- --json \\
      --from imaps://bounces%40shop.example@imap.shop.example \\
      --state outbox.sqlite"
)]
pub(crate) struct Arguments {
    /// The mailbox: maildir:DIR, mbox:FILE, - or imaps://USER@HOST.
    #[arg(long, value_name = "WHERE")]
    pub(crate) from: From,

    /// The outbox that sent the emails: one SQLite file.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: PathBuf,

    /// The address of signed return paths, without what stands after the plus.
    #[arg(long, value_name = "ADDR")]
    pub(crate) return_path: Option<EmailAddress>,

    /// Believe signed return paths only, and no Message-ID.
    #[arg(long)]
    pub(crate) signed_only: bool,

    /// Print one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where messages are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    Maildir(PathBuf),
    Mbox(PathBuf),
    StandardInput,
    /// A URL, without a password.
    Imap(String),
}

impl FromStr for From {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "-" => Ok(Self::StandardInput),
            Some(("maildir", path)) if !path.is_empty() => Ok(Self::Maildir(path.into())),
            Some(("mbox", path)) if !path.is_empty() => Ok(Self::Mbox(path.into())),
            Some(("imaps" | "imap", _)) => Ok(Self::Imap(text.to_owned())),
            // What was given may hold a password: it is not repeated here.
            _ => Err("expected maildir:DIR, mbox:FILE, - or imaps://USER@HOST/FOLDER"),
        }
    }
}
