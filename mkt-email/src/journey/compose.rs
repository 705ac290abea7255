//! From a due step to a message.

use super::decide::Happened;
use super::definition::Scope;
use crate::message::DisplayName;
use crate::template::{Language, MAX_ITEMS, format_money};
use crate::unsubscribe::{UnsubscribeClaim, UnsubscribeKeys};
use crate::{EmailAddress, Mailbox, Message, Template};
use chrono::{DateTime, Utc};
use mkt_connect::campaign::{CampaignTags, TagFamily};
use mkt_connect::{Currency, Error, ErrorKind, Money, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use url::Url;

/// An email that is due: what its composer may know.
///
/// `Debug` shows neither the address nor the payload.
pub struct JourneyEmail<'a> {
    pub(super) journey: &'a str,
    pub(super) step: &'a str,
    pub(super) template: &'a str,
    pub(super) campaign: &'a str,
    pub(super) scope: &'a Scope,
    pub(super) contact: &'a EmailAddress,
    pub(super) entity: &'a str,
    pub(super) payload: &'a Map<String, Value>,
    pub(super) past: &'a [Happened],
    pub(super) entered_at: DateTime<Utc>,
}

impl JourneyEmail<'_> {
    /// The journey's name.
    #[must_use]
    pub fn journey(&self) -> &str {
        self.journey
    }

    /// The step's name.
    #[must_use]
    pub fn step(&self) -> &str {
        self.step
    }

    /// The template that the step names.
    #[must_use]
    pub fn template(&self) -> &str {
        self.template
    }

    /// The campaign in the outbox.
    #[must_use]
    pub fn campaign(&self) -> &str {
        self.campaign
    }

    /// The purpose.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        self.scope
    }

    /// The recipient.
    #[must_use]
    pub fn contact(&self) -> &EmailAddress {
        self.contact
    }

    /// What it is about, such as a cart.
    #[must_use]
    pub fn entity(&self) -> &str {
        self.entity
    }

    /// The payloads of the triggers with which the instance entered and restarted, later ones over earlier ones.
    #[must_use]
    pub fn payload(&self) -> &Map<String, Value> {
        self.payload
    }

    /// The payloads of the contact's triggers of a kind since the entry, whatever they are about, by time.
    pub fn since_entry(&self, kind: &str) -> impl DoubleEndedIterator<Item = &Map<String, Value>> {
        self.past.iter().filter(move |it| it.kind == kind && it.at >= self.entered_at).map(|it| &it.payload)
    }
}

impl fmt::Debug for JourneyEmail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JourneyEmail")
            .field("journey", &self.journey)
            .field("step", &self.step)
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

/// Makes the messages of journeys.
///
/// It is called within the transaction that enqueues: it must not wait for anything. The same email may be asked for
/// again, if the transaction did not commit.
pub trait Composer: fmt::Debug + Send + Sync + 'static {
    /// Whether it knows a template. Nothing is sent by journeys with a template that it does not know.
    fn knows(&self, template: &str) -> bool;

    /// Makes the message, addressed to the [contact](JourneyEmail::contact). Marketing email needs an
    /// [unsubscribe link](crate::MessageBuilder::list_unsubscribe).
    ///
    /// # Errors
    /// There is no message for this contact: the step is recorded as failed, with the error's
    /// [detail](mkt_connect::Error::detail), which must not name the person, and the journey goes on.
    fn compose(&self, email: &JourneyEmail<'_>) -> Result<Message>;
}

/// A [`Composer`] over templates, with those of the shipped journeys: `welcome`, `cart_relaunch`, `cart_promotion`.
///
/// A template is rendered with the payload, and over it:
///
/// | value | what it is |
/// |---|---|
/// | `prenom`, `first_name` | the payload's `first_name` or `prenom`, without white space around; missing if empty |
/// | `site`, `link` | the shop and the link to it; a payload's `link` replaces it if its host is the same |
/// | `items` | the payload's `items`, at most six; a `price` that is a number is written as money in the payload's `currency` |
/// | `more` | how many items are not shown |
/// | `seen` | products of the payload's `seen`, and of `product_viewed` triggers since the entry (latest first), that are not among the items; together with the items at most six |
/// | others | what [`value`](Self::value) was given |
///
/// Links get campaign tags (`utm_source=journey`, `utm_medium=email`, the campaign).
#[derive(Debug, Clone)]
pub struct Templates {
    sender: Mailbox,
    site: String,
    link: Url,
    language: Language,
    unsubscribe: Option<(UnsubscribeKeys, Url)>,
    templates: BTreeMap<String, BTreeMap<&'static str, Template>>,
    values: Map<String, Value>,
}

impl Templates {
    /// Emails from this sender, about a site and its link, in French where the payload has no `lang`.
    ///
    /// # Errors
    /// None: the templates are compiled by a test.
    pub fn new(sender: Mailbox, site: impl Into<String>, link: Url) -> Result<Self> {
        let mut it = Self {
            sender,
            site: site.into(),
            link,
            language: Language::French,
            unsubscribe: None,
            templates: BTreeMap::new(),
            values: Map::new(),
        };
        for language in [Language::French, Language::English] {
            it = it
                .template("welcome", language, Template::welcome(language)?)
                .template("cart_relaunch", language, Template::cart_relaunch(language)?)
                .template("cart_promotion", language, Template::cart_promotion(language)?);
        }
        Ok(it)
    }

    /// The language of contacts whose payload has no `lang`.
    #[must_use]
    pub fn language(mut self, language: Language) -> Self {
        self.language = language;
        self
    }

    /// Signs unsubscribe links; marketing email needs them. `base` is where they lead.
    #[must_use]
    pub fn unsubscribe(mut self, keys: UnsubscribeKeys, base: Url) -> Self {
        self.unsubscribe = Some((keys, base));
        self
    }

    /// Adds a template, or replaces one.
    #[must_use]
    pub fn template(mut self, name: impl Into<String>, language: Language, template: Template) -> Self {
        self.templates.entry(name.into()).or_default().insert(language.code(), template);
        self
    }

    /// A value that every template may use, such as `offer` and `code` of the promotion.
    #[must_use]
    pub fn value(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.values.insert(name.into(), value.into());
        self
    }

    fn context(&self, email: &JourneyEmail<'_>, language: Language) -> Map<String, Value> {
        let mut context = self.values.clone();
        context.extend(email.payload.iter().map(|(key, value)| (key.clone(), value.clone())));
        let name = first_name(email.payload).map(|name| Value::from(name.as_str()));
        for key in ["prenom", "first_name"] {
            match &name {
                Some(name) => drop(context.insert(key.to_owned(), name.clone())),
                None => drop(context.remove(key)),
            }
        }
        let own = email.payload.get("link").and_then(Value::as_str).and_then(|link| Url::parse(link).ok());
        let link = own.filter(|link| link.scheme() == self.link.scheme() && link.host() == self.link.host());
        context.insert("site".to_owned(), self.site.clone().into());
        context.insert("link".to_owned(), String::from(link.unwrap_or_else(|| self.link.clone())).into());
        let currency =
            email.payload.get("currency").and_then(Value::as_str).and_then(|code| code.parse().ok());
        let products = |values: Option<&Value>| -> Vec<Value> {
            let list = values.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            list.iter().map(|item| with_price(item, currency, language)).collect()
        };
        let mut items = products(email.payload.get("items"));
        let mut seen = products(email.payload.get("seen"));
        for viewed in email.since_entry("product_viewed").rev() {
            seen.push(with_price(&Value::Object(viewed.clone()), currency, language));
        }
        let more = items.len().saturating_sub(MAX_ITEMS);
        items.truncate(MAX_ITEMS);
        let mut names: Vec<Value> = items.iter().filter_map(|item| item.get("name").cloned()).collect();
        seen.retain(|item| match item.get("name") {
            Some(name) if name.is_string() && !names.contains(name) => {
                names.push(name.clone());
                true
            }
            _ => false,
        });
        seen.truncate(MAX_ITEMS - items.len());
        context.insert("items".to_owned(), items.into());
        context.insert("seen".to_owned(), seen.into());
        context.insert("more".to_owned(), more.into());
        context
    }
}

fn first_name(payload: &Map<String, Value>) -> Option<DisplayName> {
    let name = payload.get("first_name").or_else(|| payload.get("prenom"))?.as_str()?.trim();
    DisplayName::parse(name).ok().filter(|_| !name.is_empty())
}

/// A product whose price is written for readers.
fn with_price(item: &Value, currency: Option<Currency>, language: Language) -> Value {
    let mut item = item.clone();
    if let (Some(currency), Some(product)) = (currency, item.as_object_mut())
        && let Some(price @ Value::Number(_)) = product.get("price")
        && let Ok(amount) = price.to_string().parse()
    {
        let money = format_money(Money::new(amount, currency), language);
        product.insert("price".to_owned(), money.into());
    }
    item
}

impl Composer for Templates {
    fn knows(&self, template: &str) -> bool {
        self.templates.contains_key(template)
    }

    fn compose(&self, email: &JourneyEmail<'_>) -> Result<Message> {
        let failed =
            |detail: &str| Error::new(ErrorKind::Input, super::SERVICE, "compose").with_detail(detail);
        let languages =
            self.templates.get(email.template).ok_or_else(|| failed("the template is not known"))?;
        let wanted = email.payload.get("lang").and_then(Value::as_str).and_then(|code| code.parse().ok());
        let language = wanted.unwrap_or(self.language);
        let found = languages.get_key_value(language.code()).or_else(|| languages.iter().next());
        let (code, template) = found.ok_or_else(|| failed("the template is not known"))?;
        let language = code.parse().unwrap_or(language);
        let tags = CampaignTags::new("journey", "email", email.campaign);
        let rendered =
            template.clone().tagging(tags, TagFamily::Utm).render(&self.context(email, language))?;
        let to = Mailbox { address: email.contact.clone(), name: first_name(email.payload) };
        let mut message = Message::builder(self.sender.clone(), to, rendered.subject)
            .html(rendered.html)
            .text(rendered.text);
        if let Scope::Marketing { list } = email.scope {
            let Some((keys, base)) = &self.unsubscribe else {
                return Err(failed("marketing email without keys for unsubscribe links"));
            };
            let claim = match list {
                Some(list) => UnsubscribeClaim::list(email.contact, list, email.campaign),
                None => UnsubscribeClaim::marketing(email.contact, email.campaign),
            };
            message = message.list_unsubscribe(keys.link(base, &claim)?);
        }
        message.build().map_err(|cause| failed(&cause.to_string()).with_source(cause))
    }
}
