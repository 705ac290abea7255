//! Step 6: write to people. Everything is rendered before the first mail leaves; the outbox remembers who was written
//! to, so that running again writes to nobody twice.

use crate::customers;
use crate::failure::{Context, Step};
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::campaign::{CampaignTags, TagFamily};
use mkt_connect::{Currency, Money, Secret};
use mkt_email::message::{DisplayName, ListUnsubscribe};
use mkt_email::outbox::Consent;
use mkt_email::subscribers::Row;
use mkt_email::template::{CartItem, CartRelaunch, Language, Rendered, Welcome};
use mkt_email::unsubscribe::{UnsubscribeClaim, UnsubscribeKeys};
use mkt_email::{
    Counts, DedupKey, Enqueued, Mailbox, Maildir, ManualClock, Message, NewEmail, Outbox, RunOptions, Stop,
    Subscribers, Template,
};
use mkt_warehouse::report::AbandonedCart;
use std::path::Path;
use url::Url;

const SHOP: &str = "La Maison du Thé";
const SENDER: &str = "La Maison du Thé <bonjour@shop.example.org>";
const SHOP_URL: &str = "https://shop.example.org/";
const CART_URL: &str = "https://shop.example.org/panier";
const UNSUBSCRIBE_URL: &str = "https://shop.example.org/desinscription";
/// Signs the links to unsubscribe of a shop that does not exist. That of a shop is kept where its passwords are.
const UNSUBSCRIBE_KEY: &str = "a key for the quickstart only";

/// A cart older than this is history, not a reason to write.
const RELAUNCH_WITHIN: TimeDelta = TimeDelta::days(30);

/// What became of the mails.
#[derive(Debug, Default)]
pub(crate) struct Mails {
    /// Welcome mails and relaunch mails that the outbox holds, sent now or before.
    pub(crate) welcome: usize,
    pub(crate) relaunch: usize,
    /// Accepted by the mail directory in this run.
    pub(crate) accepted: u64,
    /// Accepted in an earlier run.
    pub(crate) already_sent: u64,
    /// Kept back for lack of consent.
    pub(crate) suppressed: u64,
    /// Recent carts of visitors whose address nobody gave us.
    pub(crate) unreachable: usize,
    /// Carts too old to write about.
    pub(crate) too_old: usize,
    /// Rows of `inscrits.csv` and mails that could not be rendered, set aside.
    pub(crate) quarantined: u64,
    pub(crate) duplicates: u64,
    pub(crate) counts: Counts,
}

/// Writes the welcome mails and the first relaunch mails that are due at `now`.
pub(crate) async fn write(
    data: &Path,
    out: &Path,
    carts: &[AbandonedCart],
    now: DateTime<Utc>,
    stop: Stop,
) -> Step<Mails> {
    // The outbox lives in the warehouse's file: one file to back up, one to remove.
    let outbox = Outbox::open(out.join("mkt.sqlite")).await?;
    let maildir = Maildir::open(out.join("mails"))?;
    // A log that cannot be kept is found out before the first mail leaves.
    let log = out.join("send_log.ndjson");
    let unkept = || format!("cannot keep {}", log.display());
    outbox.write_send_log(&log).await.context(unkept)?;
    let mut mails = Mails::default();

    let mut queue = welcome_mails(&data.join("inscrits.csv"), &mut mails)?;
    mails.welcome = queue.len();
    let (consents, relaunches) = relaunch_mails(&data.join("customers.csv"), carts, now, &mut mails)?;
    mails.relaunch = relaunches.len();
    queue.extend(relaunches);

    outbox.record_consents(&consents).await?;
    for answer in outbox.enqueue(&queue, now).await? {
        match answer {
            Enqueued::AlreadyThere(_, mkt_email::State::Accepted) => mails.already_sent += 1,
            Enqueued::Suppressed(..) => mails.suppressed += 1,
            _ => {}
        }
    }
    let mut options = RunOptions::default();
    options.stop = stop;
    mails.accepted = outbox.run(&maildir, &ManualClock::skipping(now), &options).await?.accepted;
    mails.counts = outbox.counts(None).await?;
    outbox.write_send_log(&log).await.context(unkept)?;
    outbox.close().await;
    Ok(mails)
}

fn welcome_mails(path: &Path, mails: &mut Mails) -> Step<Vec<NewEmail>> {
    let template = tagged(Template::welcome(Language::French)?, "bienvenue");
    let mut subscribers = Subscribers::open(path).context(|| format!("cannot read {}", path.display()))?;
    let mut queue = Vec::new();
    for row in subscribers.by_ref() {
        let Row::Subscriber(person) = row.context(|| format!("cannot read {}", path.display()))? else {
            continue;
        };
        let context = Welcome {
            first_name: person.first_name.as_ref().map(|name| name.as_str().to_owned()),
            site: SHOP.to_owned(),
            link: SHOP_URL.to_owned(),
        };
        let to = Mailbox { address: person.email.clone(), name: person.first_name.clone() };
        // A row that cannot be rendered is set aside; the others go.
        match template.render(&context) {
            Ok(rendered) => {
                let key = DedupKey::for_address("bienvenue", &person.email);
                queue.push(NewEmail::transactional(key, message(to, rendered, None)?));
            }
            Err(_) => mails.quarantined += 1,
        }
    }
    let counts = subscribers.counts();
    mails.quarantined += counts.quarantined;
    mails.duplicates = counts.duplicates;
    Ok(queue)
}

/// First relaunch mails: one per cart, in the customer's language. Whether the customer agreed is the outbox's business.
fn relaunch_mails(
    path: &Path,
    carts: &[AbandonedCart],
    now: DateTime<Utc>,
    mails: &mut Mails,
) -> Step<(Vec<Consent>, Vec<NewEmail>)> {
    let customers = customers::read(path)?;
    let french = tagged(Template::cart_relaunch(Language::French)?, "panier-1");
    let english = tagged(Template::cart_relaunch(Language::English)?, "panier-1");
    let (keys, leave) = (UnsubscribeKeys::new(&Secret::new(UNSUBSCRIBE_KEY))?, Url::parse(UNSUBSCRIBE_URL)?);
    let (mut consents, mut queue) = (Vec::new(), Vec::new());
    for cart in carts {
        if now - cart.last_added_at > RELAUNCH_WITHIN {
            mails.too_old += 1;
            continue;
        }
        let Some(customer) = customers.get(&cart.user_id) else {
            mails.unreachable += 1;
            continue;
        };
        if let Some(since) = customer.consent {
            consents.push(Consent::granted(customer.address.clone(), since, "customers.csv"));
        }
        let language = customer.language;
        let template = if language == Language::French { &french } else { &english };
        let name = customer.first_name.as_ref().map(DisplayName::as_str);
        let context = CartRelaunch::new(name, SHOP, CART_URL, items(cart, language));
        let key = DedupKey::new("panier-1", &cart.user_id).about(&cart.cart_id);
        let to = Mailbox { address: customer.address.clone(), name: customer.first_name.clone() };
        match template.render(&context) {
            Ok(rendered) => {
                let claim = UnsubscribeClaim::marketing(&customer.address, "panier-1");
                let unsubscribe = keys.link(&leave, &claim)?;
                queue.push(NewEmail::marketing(key, message(to, rendered, Some(unsubscribe))?));
            }
            Err(_) => mails.quarantined += 1,
        }
    }
    Ok((consents, queue))
}

fn items(cart: &AbandonedCart, language: Language) -> Vec<CartItem> {
    let currency = cart.currency.unwrap_or(Currency::EUR);
    cart.products()
        .into_iter()
        .filter(|product| product.in_cart)
        .filter_map(|product| {
            Some(CartItem {
                name: product.name.or(product.sku)?,
                quantity: u32::try_from(product.quantity).unwrap_or(1),
                price: mkt_email::template::format_money(Money::new(product.price?, currency), language),
            })
        })
        .collect()
}

/// Every link of a template carries the campaign's tags, so that the next extract knows where the visit came from.
fn tagged(template: Template, campaign: &'static str) -> Template {
    let tags = CampaignTags::new("newsletter", "email", campaign);
    template.tagging(tags, TagFamily::Utm)
}

fn message(to: Mailbox, rendered: Rendered, unsubscribe: Option<ListUnsubscribe>) -> Step<Message> {
    let mut message =
        Message::builder(SENDER.parse()?, to, rendered.subject).html(rendered.html).text(rendered.text);
    if let Some(unsubscribe) = unsubscribe {
        message = message.list_unsubscribe(unsubscribe);
    }
    Ok(message.build()?)
}
