//! A stand-in of Mailgun's `POST /v3/{domain}/messages`, `POST /v1/analytics/logs` and `GET /v4/domains/{domain}`.
//!
//! Rules: the vendor's OpenAPI description and
//! <https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/batch-sending>, read in November 2026.
//! Where one of its texts is documented it is used.

use super::form::{self, Part};
use super::{FakeEmail, Fault, Reply, State, fake, spoil};
use crate::EmailAddress;
use crate::mailgun::{Mailgun, MailgunBuilder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::Secret;
use mkt_connect::clock::Clock;
use mkt_connect::testing::{Answer, Received, Server};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const KEY: &str = "key-canary-of-the-fake";
/// The domain of the account.
const DOMAIN: &str = "mg.shop.example";
const TAGS: usize = 10;
const HORIZON: TimeDelta = TimeDelta::days(3);

/// A Mailgun account with one domain, on loopback. It knows no idempotency: a call that comes twice is delivered twice.
/// Its log shows an email some minutes after it was taken.
pub struct FakeMailgun {
    server: Server,
    state: Arc<Mutex<Vendor>>,
    clock: Arc<dyn Clock>,
}

struct Vendor {
    common: State,
    events: Vec<Event>,
    /// How late the log is.
    lag: TimeDelta,
}

/// An accepted email in the log.
struct Event {
    at: DateTime<Utc>,
    recipient: String,
    variables: BTreeMap<String, String>,
    id: String,
}

/// Status and words of a refusal.
type Refusal = (u16, String);

impl FakeMailgun {
    /// Starts an account whose log and limits run by this clock.
    ///
    /// # Errors
    /// When no port on loopback can be opened.
    pub async fn start(clock: Arc<dyn Clock>) -> io::Result<Self> {
        let common = State::new(Arc::clone(&clock));
        let state = Arc::new(Mutex::new(Vendor { common, events: Vec::new(), lag: TimeDelta::minutes(20) }));
        let vendor = Arc::clone(&state);
        let server = Server::start(move |request| {
            vendor.lock().unwrap_or_else(PoisonError::into_inner).answer(request)
        })
        .await?;
        Ok(Self { server, state, clock })
    }

    /// Settings of a provider that talks to this account.
    #[must_use]
    pub fn provider(&self) -> MailgunBuilder {
        Mailgun::builder(Secret::new(KEY), DOMAIN).base_url(&self.url()).clock(Arc::clone(&self.clock))
    }

    /// The account's API key.
    #[must_use]
    pub fn api_key(&self) -> Secret {
        Secret::new(KEY)
    }

    /// The account's domain.
    #[must_use]
    pub fn domain(&self) -> &'static str {
        DOMAIN
    }

    /// How long after an email was taken its log shows it. Default: 20 minutes.
    pub fn log_lag(&self, time: Duration) {
        self.lock().lag = TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX);
    }
}

fake!(FakeMailgun);

fn says(status: u16, message: impl Into<String>) -> Reply {
    Reply::json(status, &json!({"message": message.into()}))
}

fn bad<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err((400, message.into()))
}

/// The fields of a form.
struct Fields<'a>(&'a [Part]);

impl Fields<'_> {
    fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|part| part.name == name).map(Part::text).collect()
    }

    fn one(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    /// The fields whose names start so, without that.
    fn starting(&self, prefix: &str) -> BTreeMap<String, String> {
        let own = self.0.iter().filter_map(|part| Some((part.name.strip_prefix(prefix)?, part)));
        own.map(|(name, part)| (name.to_owned(), part.text())).collect()
    }

    fn json(&self, name: &str) -> Result<Map<String, Value>, Refusal> {
        match self.one(name).map(|text| serde_json::from_str(&text)) {
            None => Ok(Map::new()),
            Some(Ok(Value::Object(fields))) => Ok(fields),
            Some(_) => bad(format!("{name} parameter is not a valid JSON dictionary")),
        }
    }
}

impl Vendor {
    fn answer(&mut self, request: &Received) -> Answer {
        let credentials = format!("Basic {}", STANDARD.encode(format!("api:{KEY}")));
        if request.header("authorization") != Some(&credentials) {
            return forbidden();
        }
        let path: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        match (request.method.as_str(), path.as_slice()) {
            ("POST", ["v3", DOMAIN, "messages"]) => self.messages(request),
            ("POST", ["v3", _, "messages"]) | ("GET", ["v4", "domains", _]) if !path.contains(&DOMAIN) => {
                says(404, "Domain not found").whole()
            }
            ("GET", ["v4", "domains", _]) => {
                Reply::json(200, &json!({"domain": {"name": DOMAIN, "state": "active"}})).whole()
            }
            ("POST", ["v1", "analytics", "logs"]) => self.logs(request).whole(),
            _ => Answer::text("Mailgun Magnificent API"),
        }
    }

    fn messages(&mut self, request: &Received) -> Answer {
        match self.common.begin() {
            Some(Fault::Unauthorised) => forbidden(),
            Some(Fault::Throttled(form)) => self.throttled(form),
            fault => spoil(fault, || match self.common.meter() {
                Some((_, Err(wait))) => {
                    let seconds = wait.as_secs_f64().ceil();
                    says(429, format!("{LIMITED}, try again after {seconds} seconds"))
                }
                _ => self.take(request).unwrap_or_else(|(status, message)| says(status, message)),
            }),
        }
    }

    fn throttled(&self, form: usize) -> Answer {
        let until = (self.common.clock.now() + TimeDelta::seconds(31)).format("%a, %d %b %Y %H:%M:%S UTC");
        let recipients = format!("Domain {DOMAIN} is not allowed to send: recipient limit exceeded");
        match form {
            0 => says(429, format!("{LIMITED}, try again after 120 seconds")).whole(),
            1 => says(420, format!("{recipients}, try again after {until}")).whole(),
            2 => says(421, format!("{recipients}, try again after {until}")).whole(),
            3 => says(403, format!("{LIMITED}, try again after 120 seconds")).whole(),
            _ => says(429, "Too many requests").whole(),
        }
    }

    fn take(&mut self, request: &Received) -> Result<Reply, Refusal> {
        let Some(parts) = form::parse(request) else { return bad("the body is not a form") };
        let fields = Fields(&parts);
        let emails = self.read(&fields)?;
        let id = self.common.next_id(DOMAIN);
        let pretends = fields.one("o:testmode").as_deref() == Some("yes");
        for mut email in emails {
            email.id.clone_from(&id);
            let at = self.common.clock.now();
            let (recipient, variables) = (email.to.as_str().to_owned(), email.metadata.clone());
            self.events.push(Event { at, recipient, variables, id: id.clone() });
            if !pretends {
                self.common.deliver(email);
            }
        }
        Ok(Reply::json(200, &json!({"id": format!("<{id}>"), "message": "Queued. Thank you."})))
    }

    /// The emails of a call, or why it is refused. One bad address refuses all.
    fn read(&self, fields: &Fields<'_>) -> Result<Vec<FakeEmail>, Refusal> {
        let Some(from) = fields.one("from") else { return bad("from parameter is missing") };
        if address(&from).is_none() {
            return bad("'from' parameter is not a valid address. please check documentation");
        }
        let bodies = ["text", "html", "amp-html", "template"].map(|name| fields.one(name).is_some());
        if !bodies.contains(&true) {
            return bad("Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified");
        }
        if bodies[1] && bodies[3] {
            return bad("Only one parameters 'html' or 'template' is allowed");
        }
        let option = |part: &&Part| ["o:", "h:", "v:", "t:"].iter().any(|start| part.name.starts_with(start));
        let options: usize =
            fields.0.iter().filter(option).map(|part| part.name.len() + part.content.len()).sum();
        if options > 16 * 1024 {
            return bad("Send options (parameters starting with o:, h:, v: or t:) are limited to 16KB total");
        }
        if fields.0.iter().map(|part| part.content.len()).sum::<usize>() > 25 * 1024 * 1024 {
            return Err((413, "Message is too large".to_owned()));
        }
        if fields.0.iter().any(|part| part.name.starts_with("h:") && !part.name.is_ascii()) {
            return bad("header names have to be ASCII");
        }
        if fields.all("o:tag").len() > TAGS {
            return bad("too many tags");
        }
        let at = match fields.one("o:deliverytime").map(|at| DateTime::parse_from_rfc2822(&at)) {
            None => None,
            Some(Ok(at)) if at.to_utc() - self.common.clock.now() <= HORIZON => Some(at.to_utc()),
            Some(_) => return bad("o:deliverytime parameter is not a date of the next three days"),
        };
        let mut to: Vec<(EmailAddress, Option<String>)> = Vec::new();
        let mut seen = BTreeSet::new();
        for written in fields.all("to") {
            let Some((address, name)) = address(&written) else { return bad(invalid_to(&written)) };
            if self.common.refused.contains(&address.normalised()) {
                return bad(invalid_to(&written));
            }
            // Duplicates are ignored.
            if seen.insert(address.normalised()) {
                to.push((address, name));
            }
        }
        if to.is_empty() {
            return bad("to parameter is missing");
        }
        if to.len() > 1_000 {
            return bad("to parameter: at most 1000 recipients");
        }
        let variables = fields.json("recipient-variables")?;
        if variables.len() > 1_000 {
            return bad("recipient-variables: at most 1000 recipients");
        }
        let alone = variables.is_empty();
        let others = to.len() - 1;
        let emails = to.into_iter().map(|(to, name)| {
            let own = variables.get(to.as_str()).and_then(Value::as_object);
            let mut email = self.email(fields, to, own)?;
            email.name = name;
            email.at = at;
            email.others_shown = if alone { others } else { 0 };
            Ok(email)
        });
        emails.collect()
    }

    /// The email of one recipient, with the recipient's variables put in.
    fn email(
        &self,
        fields: &Fields<'_>,
        to: EmailAddress,
        own: Option<&Map<String, Value>>,
    ) -> Result<FakeEmail, Refusal> {
        let fill = |text: String| {
            own.into_iter().flatten().fold(text, |text, (name, value)| {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                text.replace(&format!("%recipient.{name}%"), &value)
            })
        };
        let filled = |fields: BTreeMap<String, String>| -> BTreeMap<String, String> {
            fields.into_iter().map(|(name, value)| (name, fill(value))).collect()
        };
        let mut email = FakeEmail::new(to, String::new());
        email.subject = fill(fields.one("subject").unwrap_or_default());
        email.html = fields.one("html").map(fill);
        email.text = fields.one("text").map(fill);
        email.headers = filled(fields.starting("h:"));
        email.metadata = filled(fields.starting("v:"));
        email.tags = fields.all("o:tag");
        let files = fields.0.iter().filter(|part| part.name == "attachment");
        email.files =
            files.map(|part| (part.file_name.clone().unwrap_or_default(), part.content.clone())).collect();
        if let Some(template) = fields.one("template") {
            let given = fields.json("t:variables")?;
            let given =
                given.into_iter().map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned()));
            email.template = Some((template, filled(given.collect())));
        }
        Ok(email)
    }

    fn logs(&self, request: &Received) -> Reply {
        let Ok(query) = serde_json::from_slice::<Value>(&request.body) else {
            return says(400, "the body is not JSON");
        };
        let date = |name: &str| {
            query[name].as_str().and_then(|at| DateTime::parse_from_rfc2822(at).ok()).map(|at| at.to_utc())
        };
        let (Some(start), Some(end)) = (date("start"), date("end")) else {
            return says(400, "start and end have to be RFC 2822 dates");
        };
        let limit = query["pagination"]["limit"].as_u64().unwrap_or(100);
        if limit > 100 {
            return says(400, "limit: 100 is the most");
        }
        let asks_domain = query["filter"]["AND"].as_array().is_some_and(|all| {
            all.iter().all(|one| one["attribute"] == "domain" && one["values"][0]["value"] == DOMAIN)
        });
        if !asks_domain {
            return says(400, "only the filter on the domain is known here");
        }
        let wanted = query["events"].as_array().is_none_or(|events| events.contains(&json!("accepted")));
        let now = self.common.clock.now();
        let seen =
            |event: &&Event| wanted && event.at >= start && event.at <= end && event.at + self.lag <= now;
        let from: usize = query["pagination"]["token"].as_str().and_then(|at| at.parse().ok()).unwrap_or(0);
        let limit = usize::try_from(limit).unwrap_or(100);
        let events: Vec<&Event> = self.events.iter().filter(seen).collect();
        let items: Vec<Value> = events
            .iter()
            .skip(from)
            .take(limit)
            .map(|event| {
                json!({
                    "id": "JDhSWf9mT5OFxCkZfpDU5d",
                    "event": "accepted",
                    "@timestamp": event.at.to_rfc3339(),
                    "domain": {"name": DOMAIN},
                    "recipient": event.recipient,
                    "message": {"headers": {"message-id": event.id}},
                    // What is longer is cut off.
                    "user-variables": json!(event.variables).to_string().chars().take(4_096).collect::<String>(),
                })
            })
            .collect();
        let next = if from + limit < events.len() { json!((from + limit).to_string()) } else { Value::Null };
        Reply::json(200, &json!({"items": items, "pagination": {"next": next}, "aggregates": {}}))
    }
}

const LIMITED: &str =
    "Domain mg.shop.example is not allowed to send: account-requests-per-sec limit exceeded";

fn forbidden() -> Answer {
    Answer::text("Forbidden").with_status(401)
}

fn invalid_to(written: &str) -> String {
    format!("'to' parameter is not a valid address. please check documentation: {written}")
}

/// `"Jean" <jean@example.org>`, or the address alone.
fn address(written: &str) -> Option<(EmailAddress, Option<String>)> {
    let Some((name, address)) = written.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) else {
        return Some((written.parse().ok()?, None));
    };
    let name = name.trim();
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    Some((address.parse().ok()?, Some(name.replace("\\\"", "\"").replace("\\\\", "\\"))))
}
