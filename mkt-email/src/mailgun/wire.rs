//! What is written to Mailgun and read from it, in its words:
//! <https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages> and the vendor's OpenAPI
//! description, read in November 2026.

use super::form::Form;
use crate::provider::{Group, Outgoing};
use crate::{Mailbox, Message};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The variable that carries the key of an email's attempt. Recipients can read it.
pub(super) const MAIL: &str = "mkt-mail";
/// The variable that carries the key of the call.
pub(super) const CALL: &str = "mkt-call";

const ONE_CLICK: (&str, &str) = ("h:List-Unsubscribe-Post", "List-Unsubscribe=One-Click");

/// The answer to `GET /v4/domains/{name}`, as far as it is needed.
#[derive(Deserialize)]
pub(super) struct DomainAnswer {
    pub(super) domain: DomainName,
}

/// See [`DomainAnswer`].
#[derive(Deserialize)]
pub(super) struct DomainName {
    pub(super) name: String,
}

/// The answer to a message: one id for all its recipients.
#[derive(Deserialize)]
pub(super) struct Queued {
    id: String,
}

impl Queued {
    /// The id as events carry it: without angle brackets.
    pub(super) fn id(&self) -> Option<String> {
        let bare = self.id.trim().trim_start_matches('<').trim_end_matches('>');
        (!bare.is_empty()).then(|| bare.to_owned())
    }
}

/// Every refusal that is an object.
#[derive(Deserialize)]
pub(super) struct Refused {
    pub(super) message: String,
}

/// `POST /v1/analytics/logs`: the filter on the domain is the one of the vendor's example.
#[derive(Serialize)]
pub(super) struct LogQuery<'a> {
    start: String,
    end: String,
    events: [&'static str; 1],
    filter: Filter<'a>,
    pagination: PageQuery<'a>,
}

#[derive(Serialize)]
struct Filter<'a> {
    #[serde(rename = "AND")]
    and: [Condition<'a>; 1],
}

#[derive(Serialize)]
struct Condition<'a> {
    attribute: &'static str,
    comparator: &'static str,
    values: [Labelled<'a>; 1],
}

#[derive(Serialize)]
struct Labelled<'a> {
    label: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct PageQuery<'a> {
    sort: &'static str,
    limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl<'a> LogQuery<'a> {
    pub(super) fn accepted(
        domain: &'a str,
        (start, end): (DateTime<Utc>, DateTime<Utc>),
        limit: usize,
        token: Option<&'a str>,
    ) -> Self {
        let values = [Labelled { label: domain, value: domain }];
        Self {
            start: rfc2822(start),
            end: rfc2822(end),
            events: ["accepted"],
            filter: Filter { and: [Condition { attribute: "domain", comparator: "=", values }] },
            pagination: PageQuery { sort: "timestamp:asc", limit, token },
        }
    }
}

/// A page of the log.
#[derive(Deserialize)]
pub(super) struct LogPage {
    pub(super) items: Vec<LogItem>,
    #[serde(default)]
    pub(super) pagination: Tokens,
}

#[derive(Deserialize, Default)]
pub(super) struct Tokens {
    #[serde(default)]
    pub(super) next: Option<String>,
}

/// One event of the log, as far as it is read.
#[derive(Deserialize)]
pub(super) struct LogItem {
    pub(super) event: String,
    #[serde(default)]
    recipient: Option<String>,
    /// A text that holds JSON, by the description; an object in webhooks.
    #[serde(default, rename = "user-variables")]
    user_variables: Value,
    #[serde(default)]
    message: Option<LoggedMessage>,
}

#[derive(Deserialize)]
struct LoggedMessage {
    #[serde(default)]
    headers: BTreeMap<String, Value>,
}

/// The events of a log by what they say about emails.
pub(super) struct Log<'a> {
    by_mail: HashMap<&'a str, &'a LogItem>,
    /// Those of the call.
    by_address: HashMap<String, &'a LogItem>,
    /// Addresses of events whose variables cannot be read; nothing for an event that names nobody.
    unreadable: HashSet<Option<String>>,
}

impl<'a> Log<'a> {
    pub(super) fn of(items: &'a [LogItem], call: &str) -> Self {
        let mut log =
            Self { by_mail: HashMap::new(), by_address: HashMap::new(), unreadable: HashSet::new() };
        for item in items {
            let address = item.recipient.as_ref().map(|address| address.to_ascii_lowercase());
            if let Some(key) = item.variable(MAIL) {
                log.by_mail.insert(key, item);
            }
            if !item.user_variables.is_object() {
                log.unreadable.insert(address);
            } else if let Some(address) = address.filter(|_| item.variable(CALL) == Some(call)) {
                log.by_address.insert(address, item);
            }
        }
        log
    }

    /// The event of this email: its own variable says so, or the call's together with the address.
    pub(super) fn find(&self, email: &Outgoing) -> Option<&'a LogItem> {
        let own = self.by_mail.get(email.key.to_string().as_str());
        own.or_else(|| self.by_address.get(&email.message.to().address.normalised())).copied()
    }

    /// Whether an event that does not say of what email it is may be this one's.
    pub(super) fn may_hide(&self, email: &Outgoing) -> bool {
        self.unreadable.contains(&None)
            || self.unreadable.contains(&Some(email.message.to().address.normalised()))
    }
}

impl LogItem {
    /// With its variables read: where they are a text, from that.
    pub(super) fn read(mut self) -> Self {
        if let Value::String(text) = &self.user_variables {
            self.user_variables = serde_json::from_str(text).unwrap_or_default();
        }
        self
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.user_variables.get(name)?.as_str()
    }

    pub(super) fn message_id(&self) -> Option<&str> {
        let id = self.message.as_ref()?.headers.get("message-id")?.as_str()?.trim();
        Some(id.trim_start_matches('<').trim_end_matches('>')).filter(|id| !id.is_empty())
    }
}

/// `Mon, 25 Aug 2025 07:00:31 +0000`.
pub(super) fn rfc2822(at: DateTime<Utc>) -> String {
    at.to_rfc2822()
}

/// An address as a header writes it, the name quoted where it has to be.
fn written(mailbox: &Mailbox) -> String {
    let address = mailbox.address.as_str();
    match &mailbox.name {
        None => address.to_owned(),
        Some(name) => format!("\"{}\" <{address}>", name.as_str().replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// The fields of one call. Of a call of several emails, what differs between them goes into recipient variables; every
/// recipient defines all of them, and so sees nobody else.
pub(super) fn form(group: &Group, first: &Outgoing, sandbox: bool) -> Form {
    let message = &*first.message;
    let several = group.emails().len() > 1;
    let mut form = Form::default();
    form.field("from", written(message.from()));
    for email in group.emails() {
        form.field("to", written(email.message.to()));
    }
    form.field("subject", message.subject().as_str());
    match message.template() {
        Some(template) => {
            form.field("template", template.id());
            form.field("t:text", "yes");
        }
        None => {
            if !message.text().is_empty() {
                form.field("text", message.text());
            }
            if let Some(html) = message.html() {
                form.field("html", html);
            }
        }
    }
    if let Some(reply_to) = message.reply_to() {
        form.field("h:Reply-To", written(reply_to));
    }
    for tag in message.tags() {
        form.field("o:tag", tag.as_str());
    }
    // A time that has passed is due.
    if let Some(at) = message.send_at().filter(|at| *at > group.at()) {
        form.field("o:deliverytime", rfc2822(at));
    }
    if sandbox {
        form.field("o:testmode", "yes");
    }
    form.field(format!("v:{CALL}"), group.key().to_string());
    if message.list_unsubscribe().is_some() {
        form.field(ONE_CLICK.0, ONE_CLICK.1);
    }
    let mut variables: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    for (place, own) in Own::of(message).iter().enumerate() {
        let value = |email: &Outgoing| own.value(&email.message).unwrap_or_else(|| email.key.to_string());
        if several {
            form.field(own.field(), format!("%recipient.mkt{place}%"));
            for email in group.emails() {
                let address = email.message.to().address.as_str();
                variables.entry(address).or_default().insert(format!("mkt{place}"), value(email));
            }
        } else {
            form.field(own.field(), value(first));
        }
    }
    if let Some(template) = message.template().filter(|template| !template.params().is_empty()) {
        let given: BTreeMap<&str, String> = template
            .params()
            .iter()
            .enumerate()
            .map(|(place, (name, value))| {
                (name.as_str(), if several { format!("%recipient.mktp{place}%") } else { value.clone() })
            })
            .collect();
        form.field("t:variables", serde_json::to_string(&given).unwrap_or_default());
        for email in group.emails().iter().filter(|_| several) {
            let params = email.message.template().into_iter().flat_map(|template| template.params().values());
            let address = email.message.to().address.as_str();
            let own = variables.entry(address).or_default();
            own.extend(params.enumerate().map(|(place, value)| (format!("mktp{place}"), value.clone())));
        }
    }
    if several {
        form.field("recipient-variables", serde_json::to_string(&variables).unwrap_or_default());
    }
    for file in message.attachments() {
        form.file("attachment", file.name().as_str(), file.media_type(), file.content());
    }
    form
}

/// An option in which the emails of one call may differ. All of them have the same ones.
enum Own<'a> {
    Mail,
    Metadata(&'a str),
    ListUnsubscribe,
    /// The custom header at this place.
    Header(usize, &'a str),
}

impl Own<'_> {
    fn of(message: &Message) -> Vec<Own<'_>> {
        let mut own = vec![Own::Mail];
        own.extend(message.metadata().keys().map(|key| Own::Metadata(key)));
        own.extend(message.list_unsubscribe().map(|_| Own::ListUnsubscribe));
        let headers = message.headers().iter().enumerate();
        own.extend(headers.map(|(place, (name, _))| Own::Header(place, name.as_str())));
        own
    }

    fn field(&self) -> String {
        match self {
            Self::Mail => format!("v:{MAIL}"),
            Self::Metadata(key) => format!("v:{key}"),
            Self::ListUnsubscribe => "h:List-Unsubscribe".to_owned(),
            Self::Header(_, name) => format!("h:{name}"),
        }
    }

    /// What the option is in this message; nothing where it is made of the attempt's key.
    fn value(&self, message: &Message) -> Option<String> {
        match self {
            Self::Mail => None,
            Self::Metadata(key) => message.metadata().get(*key).cloned(),
            Self::ListUnsubscribe => {
                message.list_unsubscribe().map(crate::message::ListUnsubscribe::header_value)
            }
            Self::Header(place, _) => {
                message.headers().get(*place).map(|(_, value)| value.as_str().to_owned())
            }
        }
    }
}

/// An upper bound of the bytes that the options of a call take (fields that begin with `o:`, `h:`, `v:` or `t:`), whether
/// the message goes alone or with others.
pub(super) fn option_bytes(message: &Message) -> usize {
    // A key has 36 characters, a date 31; a reference to a variable is shorter than either.
    let field = |name: &str, value: usize| name.len() + value.max(40);
    let mut bytes =
        field("o:deliverytime", 0) + field("o:testmode", 0) + field("t:text", 0) + field("v:mkt-call", 0);
    bytes += message.tags().iter().map(|tag| field("o:tag", tag.as_str().len())).sum::<usize>();
    bytes += message.reply_to().map_or(0, |reply_to| field("h:Reply-To", written(reply_to).len()));
    bytes += message.list_unsubscribe().map_or(0, |_| field(ONE_CLICK.0, 0));
    let own = Own::of(message);
    bytes += own
        .iter()
        .map(|own| field(&own.field(), own.value(message).map_or(0, |value| value.len())))
        .sum::<usize>();
    let params = message.template().into_iter().flat_map(crate::message::VendorTemplate::params);
    let json = |value: &String| serde_json::to_string(value).map_or(usize::MAX / 2, |json| json.len());
    let given: usize = params.map(|(name, value)| field(name, json(value)) + 6).sum();
    bytes + given + "t:variables".len()
}

/// The bytes that an email adds to the recipient variables.
pub(super) fn variable_bytes(message: &Message) -> usize {
    let own: usize =
        Own::of(message).iter().map(|own| own.value(message).map_or(36, |value| value.len()) + 16).sum();
    let params = message.template().into_iter().flat_map(|template| template.params().values());
    own + params.map(|value| value.len() + 16).sum::<usize>() + message.to().address.as_str().len()
}
