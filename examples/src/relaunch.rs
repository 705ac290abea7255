//! The email about a cart that was left, to the customers of a file.

use crate::failure::{Context, Step};
use crate::mailing::site_of;
use chrono::{DateTime, NaiveDateTime, Utc};
use mkt_connect::campaign::{CampaignTags, TagFamily};
use mkt_connect::table::{Table, cell};
use mkt_connect::{Currency, Money, Secret};
use mkt_email::message::DisplayName;
use mkt_email::outbox::Consent;
use mkt_email::template::{CartItem, CartRelaunch, Language, format_money};
use mkt_email::unsubscribe::{UnsubscribeClaim, UnsubscribeKeys};
use mkt_email::{DedupKey, EmailAddress, Mailbox, Message, NewEmail, Template};
use mkt_warehouse::report::AbandonedCart;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

/// The campaign of the first email about a cart.
const CAMPAIGN: &str = "panier-1";

/// Writes to those who left a cart.
#[derive(Debug)]
pub struct Relaunch {
    customers: HashMap<String, Customer>,
    sender: Mailbox,
    keys: UnsubscribeKeys,
}

/// What the file says of a customer.
#[derive(Debug)]
struct Customer {
    address: String,
    name: Option<DisplayName>,
    language: Language,
    agreed_at: Option<DateTime<Utc>>,
}

impl Relaunch {
    /// Reads the customers: `user_id`, `email`, `first_name`, `lang`, `consent_marketing` and `consent_since`. Rows that
    /// cannot be read are left out: the load, which reads the same file, counts them. `key` signs the links to unsubscribe.
    ///
    /// # Errors
    /// A file that cannot be read, and a key that is empty.
    pub fn open(path: &Path, sender: Mailbox, key: &Secret) -> Step<Self> {
        let cannot = || format!("cannot read {}", path.display());
        let mut table = Table::open(File::open(path).context(cannot)?).context(cannot)?;
        let header = table.header().clone();
        let column = |name: &str| header.find(&[name]).context(cannot);
        let [id, email, name, lang, agreed, since] = [
            column("user_id")?,
            column("email")?,
            column("first_name")?,
            column("lang")?,
            column("consent_marketing")?,
            column("consent_since")?,
        ];
        let mut customers = HashMap::new();
        while let Some(row) = table.next().context(cannot)? {
            let Ok(row) = row else { continue };
            let cell_of = |column: Option<usize>| column.map_or("", |column| row.cell(column));
            // Only a clear yes with its date is a consent.
            let since = NaiveDateTime::parse_from_str(cell_of(since), "%Y-%m-%d %H:%M:%S").ok();
            let customer = Customer {
                address: cell_of(email).to_owned(),
                name: DisplayName::parse(cell_of(name)).ok(),
                language: cell_of(lang).parse().unwrap_or(Language::French),
                agreed_at: since
                    .filter(|_| cell::boolean(cell_of(agreed)) == Ok(true))
                    .map(|at| at.and_utc()),
            };
            customers.entry(cell_of(id).to_owned()).or_insert(customer);
        }
        Ok(Self { customers, sender, keys: UnsubscribeKeys::new(key)? })
    }

    /// The first email about a cart, and the consent that it needs: whether there is one is the outbox's decision. `None`
    /// where nobody in the file left the cart.
    ///
    /// # Errors
    /// No address that can be written to, or no name where the template needs one.
    pub fn email(&self, cart: &AbandonedCart) -> Step<Option<(Option<Consent>, NewEmail)>> {
        let Some(customer) = self.customers.get(&cart.user_id) else { return Ok(None) };
        let address = EmailAddress::parse(&customer.address)?;
        // Every link carries the campaign's tags, so that the next load knows where the visit came from.
        let tags = CampaignTags::new("newsletter", "email", CAMPAIGN);
        let template = Template::cart_relaunch(customer.language)?.tagging(tags, TagFamily::Utm);
        let name = customer.name.as_ref().map(DisplayName::as_str);
        let items = items(cart, customer.language);
        let rendered =
            template.render(&CartRelaunch::new(name, &site_of(&self.sender), &self.url("panier"), items))?;
        let claim = UnsubscribeClaim::marketing(&address, CAMPAIGN);
        let leave = self.keys.link(&self.url("desinscription").parse()?, &claim)?;
        let to = Mailbox { address: address.clone(), name: customer.name.clone() };
        let message = Message::builder(self.sender.clone(), to, rendered.subject)
            .html(rendered.html)
            .text(rendered.text)
            .list_unsubscribe(leave)
            .build()?;
        let key = DedupKey::new(CAMPAIGN, &cart.user_id).about(&cart.cart_id);
        let consent = customer.agreed_at.map(|at| Consent::granted(address, at, "customers.csv"));
        Ok(Some((consent, NewEmail::marketing(key, message))))
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}/{path}", self.sender.address.domain())
    }
}

fn items(cart: &AbandonedCart, language: Language) -> Vec<CartItem> {
    let currency = cart.currency.unwrap_or(Currency::EUR);
    let held = cart.products().into_iter().filter(|product| product.in_cart);
    held.filter_map(|product| {
        Some(CartItem {
            name: product.name.or(product.sku)?,
            quantity: u32::try_from(product.quantity).unwrap_or(1),
            price: format_money(Money::new(product.price?, currency), language),
        })
    })
    .collect()
}
