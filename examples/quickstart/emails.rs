//! Step 6: write to people. Everything is rendered before the first email leaves; the outbox remembers who was sent what,
//! so that running again sends nothing twice.

use crate::arguments::Arguments;
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use mkt_connect::campaign::{CampaignTags, TagFamily};
use mkt_connect::{Currency, Money, Secret};
use mkt_email::message::DisplayName;
use mkt_email::outbox::Consent;
use mkt_email::template::{CartItem, CartRelaunch, Language};
use mkt_email::unsubscribe::{UnsubscribeClaim, UnsubscribeKeys};
use mkt_email::{
    DedupKey, EmailAddress, Enqueued, Mailbox, Maildir, ManualClock, Message, NewEmail, Outbox, RunOptions,
    State, Template,
};
use mkt_examples::mailing::{Mailing, Standing};
use mkt_examples::{Context, Step};
use mkt_warehouse::report::AbandonedCart;
use serde::Serialize;
use std::path::Path;

/// Signs the links to unsubscribe. A real shop's key is kept where its passwords are.
const UNSUBSCRIBE_KEY: &str = "a key for the quickstart only";
/// An older cart is history, not a reason to write.
const RELAUNCH_WITHIN: TimeDelta = TimeDelta::days(30);

/// What became of the emails; as JSON the object `mails`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Emails {
    pub(crate) accepted: u64,
    already_sent: u64,
    /// Not sent for lack of consent.
    pub(crate) suppressed: u64,
    /// Recent carts of visitors without a known address.
    pub(crate) unreachable: usize,
    quarantined: u64,
    pending: u64,
    unknown: u64,
    #[serde(skip)]
    pub(crate) sent: u64,
}

/// Who left a cart: what `customers.csv` says of them.
#[derive(serde::Deserialize)]
struct Customer {
    user_id: String,
    email: String,
    first_name: String,
    lang: String,
    consent_marketing: String,
    consent_since: String,
}

/// Sends the welcome emails, and the first emails about carts, that are due at `now`, into a folder of `.eml` files.
pub(crate) async fn write(
    arguments: &Arguments,
    data: &Path,
    carts: &[AbandonedCart],
    now: DateTime<Utc>,
) -> Step<Emails> {
    let mut emails = Emails::default();
    let Some(sender) = arguments.sender() else { return Ok(emails) };
    // The outbox is in the warehouse's file: one file to back up, one to remove.
    let outbox = Outbox::open(arguments.out.join("mkt.sqlite")).await?;
    let maildir = Maildir::open(arguments.out.join("mails"))?;
    let log = arguments.out.join("send_log.ndjson");
    let unkept = || format!("cannot keep {}", log.display());
    // A log that cannot be kept is found out before the first email leaves.
    outbox.write_send_log(&log).await.context(unkept)?;

    let welcome = Template::welcome(Language::French)?;
    let mut mailing = Mailing::open(&data.join("inscrits.csv"), welcome, sender.clone(), "bienvenue")?;
    let mut queue = mailing.next(usize::MAX)?;
    emails.quarantined = mailing.standing(Standing::default()).quarantined;
    let customers = customers(&data.join("customers.csv"))?;
    for cart in carts.iter().filter(|cart| now - cart.last_added_at <= RELAUNCH_WITHIN) {
        let customer = customers.iter().find(|customer| customer.user_id.trim() == cart.user_id);
        match customer.map(|customer| relaunch(&sender, cart, customer)) {
            None => emails.unreachable += 1,
            // No address that can be written to, or no name where the template needs one.
            Some(Err(_)) => emails.quarantined += 1,
            Some(Ok((consent, mail))) => {
                outbox.record_consents(consent.as_slice()).await?;
                queue.push(mail);
            }
        }
    }
    for answer in outbox.enqueue(&queue, now).await? {
        match answer {
            Enqueued::AlreadyThere(_, State::Accepted) => emails.already_sent += 1,
            Enqueued::Suppressed(..) => emails.suppressed += 1,
            _ => {}
        }
    }
    emails.accepted =
        outbox.run(&maildir, &ManualClock::skipping(now), &RunOptions::default()).await?.accepted;
    let counts = outbox.counts(None).await?;
    (emails.pending, emails.unknown, emails.sent) = (counts.pending, counts.unknown, counts.sent);
    outbox.write_send_log(&log).await.context(unkept)?;
    outbox.close().await;
    Ok(emails)
}

/// The first email about a cart, and the consent that it needs: whether there is one is the outbox's decision.
fn relaunch(
    sender: &Mailbox,
    cart: &AbandonedCart,
    customer: &Customer,
) -> Step<(Option<Consent>, NewEmail)> {
    let address = EmailAddress::parse(customer.email.trim())?;
    let name = DisplayName::parse(customer.first_name.trim()).ok();
    let language: Language = customer.lang.trim().parse().unwrap_or(Language::French);
    // Every link carries the campaign's tags, so that the next load knows where the visit came from.
    let tags = CampaignTags::new("newsletter", "email", "panier-1");
    let template = Template::cart_relaunch(language)?.tagging(tags, TagFamily::Utm);
    let context = CartRelaunch::new(
        name.as_ref().map(DisplayName::as_str),
        &shop(sender),
        &url(sender, "panier"),
        items(cart, language),
    );
    let claim = UnsubscribeClaim::marketing(&address, "panier-1");
    let keys = UnsubscribeKeys::new(&Secret::new(UNSUBSCRIBE_KEY))?;
    let leave = keys.link(&url(sender, "desinscription").parse()?, &claim)?;
    let to = Mailbox { address: address.clone(), name };
    let rendered = template.render(&context)?;
    let message =
        Message::builder(sender.clone(), to, rendered.subject).html(rendered.html).text(rendered.text);
    let message = message.list_unsubscribe(leave).build()?;
    let key = DedupKey::new("panier-1", &cart.user_id).about(&cart.cart_id);
    // Only a clear yes with its date is a consent.
    let agreed =
        matches!(customer.consent_marketing.trim().to_lowercase().as_str(), "true" | "1" | "yes" | "oui");
    let since = NaiveDateTime::parse_from_str(customer.consent_since.trim(), "%Y-%m-%d %H:%M:%S").ok();
    let since = since.filter(|_| agreed).map(|since| since.and_utc());
    Ok((
        since.map(|since| Consent::granted(address, since, "customers.csv")),
        NewEmail::marketing(key, message),
    ))
}

fn items(cart: &AbandonedCart, language: Language) -> Vec<CartItem> {
    let currency = cart.currency.unwrap_or(Currency::EUR);
    let held = cart.products().into_iter().filter(|product| product.in_cart);
    held.filter_map(|product| {
        Some(CartItem {
            name: product.name.or(product.sku)?,
            quantity: u32::try_from(product.quantity).unwrap_or(1),
            price: mkt_email::template::format_money(Money::new(product.price?, currency), language),
        })
    })
    .collect()
}

fn shop(sender: &Mailbox) -> String {
    sender.name.as_ref().map_or_else(|| sender.address.domain().to_owned(), |name| name.as_str().to_owned())
}

fn url(sender: &Mailbox, path: &str) -> String {
    format!("https://{}/{path}", sender.address.domain())
}

/// The lines that can be read: the load, which reads the same file, counts the others.
fn customers(path: &Path) -> Step<Vec<Customer>> {
    let cannot = || format!("cannot read {}", path.display());
    let bytes = std::fs::read(path).context(cannot)?;
    // As the load reads it: UTF-8, else Windows-1252; the delimiter that the header holds most of.
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(other) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(other.as_bytes()).0.into_owned(),
    };
    let header = text.lines().next().unwrap_or_default();
    let delimiter =
        [b'\t', b';', b','].into_iter().max_by_key(|mark| header.matches(char::from(*mark)).count());
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter.unwrap_or(b','))
        .flexible(true)
        .from_reader(text.as_bytes());
    Ok(reader.deserialize().filter_map(Result::ok).collect())
}

impl Emails {
    pub(crate) fn sentence(&self) -> String {
        format!(
            "{} emails written, {} written before, {} suppressed for lack of consent, {} carts without an address",
            self.accepted, self.already_sent, self.suppressed, self.unreachable
        )
    }
}
