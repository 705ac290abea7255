//! A stand-in of Brevo's `POST /smtp/email` and `GET /account`.
//!
//! Rules: <https://developers.brevo.com/reference/sendtransacemail>, the vendor's OpenAPI description of 22 February 2026,
//! <https://developers.brevo.com/docs/batch-send-transactional-emails>. The texts of its refusals are made up, except
//! for their codes; they repeat what was sent, which a vendor may do.

use super::{FakeEmail, Fault, Reply, State, fake, spoil};
use crate::EmailAddress;
use crate::brevo::{Brevo, BrevoBuilder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::Secret;
use mkt_connect::clock::Clock;
use mkt_connect::testing::{Answer, Received, Server};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const KEY: &str = "xkeysib-canary-of-the-fake";
/// The longer of the two documented times: whoever relies on less must not be helped by the fake.
const REMEMBERED: TimeDelta = TimeDelta::minutes(15);
const FIELDS: [&str; 14] = [
    "sender",
    "to",
    "cc",
    "bcc",
    "replyTo",
    "subject",
    "htmlContent",
    "textContent",
    "templateId",
    "params",
    "tags",
    "headers",
    "attachment",
    "scheduledAt",
];
const VERSION_FIELDS: [&str; 8] =
    ["to", "cc", "bcc", "replyTo", "subject", "htmlContent", "textContent", "params"];
const EXTENSIONS: &str = "xlsx xls ods docx docm doc csv pdf txt gif jpg jpeg png tif tiff rtf bmp cgm css shtml html \
    htm zip xml ppt pptx tar ez ics mobi msg pub eps odt mp3 m4a m4v wma ogg flac wav aif aifc aiff mp4 mov avi mkv \
    mpeg mpg wmv pkpass xlsm";

/// A Brevo account on loopback. It remembers keys for 15 minutes of its clock.
pub struct FakeBrevo {
    server: Server,
    state: Arc<Mutex<Vendor>>,
    clock: Arc<dyn Clock>,
}

struct Vendor {
    common: State,
    keys: HashMap<String, DateTime<Utc>>,
    /// Emails that may still be sent, where they are counted.
    credit: Option<usize>,
    validated: bool,
    headers_per_version: bool,
}

/// Status, code and words of a refusal.
type Refusal = (u16, &'static str, String);

impl FakeBrevo {
    /// Starts an account whose keys and limits run by this clock.
    ///
    /// # Errors
    /// When no port on loopback can be opened.
    pub async fn start(clock: Arc<dyn Clock>) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(Vendor {
            common: State::new(Arc::clone(&clock)),
            keys: HashMap::new(),
            credit: None,
            validated: true,
            headers_per_version: false,
        }));
        let vendor = Arc::clone(&state);
        let server = Server::start(move |request| {
            vendor.lock().unwrap_or_else(PoisonError::into_inner).answer(request)
        })
        .await?;
        Ok(Self { server, state, clock })
    }

    /// Settings of a provider that talks to this account.
    #[must_use]
    pub fn provider(&self) -> BrevoBuilder {
        Brevo::builder(Secret::new(KEY)).base_url(&self.url()).clock(Arc::clone(&self.clock))
    }

    /// The account's API key.
    #[must_use]
    pub fn api_key(&self) -> Secret {
        Secret::new(KEY)
    }

    /// Forgets all keys before their time: calls that were seen are new again.
    pub fn forget_keys(&self) {
        self.lock().keys.clear();
    }

    /// Leaves credit for so many emails.
    pub fn credit(&self, emails: usize) {
        self.lock().credit = Some(emails);
    }

    /// Puts the account under validation, or takes it out.
    pub fn validated(&self, yes: bool) {
        self.lock().validated = yes;
    }

    /// Takes headers in versions, as the live vendor is reported to.
    pub fn headers_per_version(&self, yes: bool) {
        self.lock().headers_per_version = yes;
    }
}

fake!(FakeBrevo);

fn refusal((status, code, message): Refusal) -> Reply {
    Reply::json(status, &json!({"code": code, "message": message}))
}

fn invalid<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err((400, "invalid_parameter", message.into()))
}

fn missing<T>(message: &str) -> Result<T, Refusal> {
    Err((400, "missing_parameter", message.to_owned()))
}

impl Vendor {
    fn answer(&mut self, request: &Received) -> Answer {
        let known = request.header("api-key") == Some(KEY);
        match (request.method.as_str(), request.path.as_str()) {
            _ if !known => refusal((401, "unauthorized", "Key not found".to_owned())).whole(),
            ("GET", "/account") => {
                Reply::json(200, &json!({"email": "owner@shop.example", "plan": []})).whole()
            }
            ("POST", "/smtp/email") => self.email(request),
            (_, "/smtp/email" | "/account") => {
                refusal((405, "method_not_allowed", "Method not allowed".to_owned())).whole()
            }
            _ => refusal((404, "document_not_found", "Not found".to_owned())).whole(),
        }
    }

    fn email(&mut self, request: &Received) -> Answer {
        match self.common.begin() {
            Some(Fault::Unauthorised) => refusal((401, "unauthorized", "Key not found".to_owned())).whole(),
            Some(Fault::Throttled(form)) => throttled(form),
            fault => spoil(fault, || self.limited(request)),
        }
    }

    /// The rate headers are on every answer.
    fn limited(&mut self, request: &Received) -> Reply {
        let Some((remaining, granted)) = self.common.meter() else { return self.judged(request) };
        let limit = self.common.limit.map_or(0, |(count, _)| count);
        let reply = match granted {
            Ok(_) => self.judged(request),
            Err(_) => Reply::json(429, &json!({"message": "Too many requests"})),
        };
        let (Ok(reset) | Err(reset)) = granted;
        reply
            .with("x-sib-ratelimit-limit", limit)
            .with("x-sib-ratelimit-remaining", remaining)
            .with("x-sib-ratelimit-reset", reset.as_secs_f64().ceil())
    }

    fn judged(&mut self, request: &Received) -> Reply {
        self.take(request).unwrap_or_else(refusal)
    }

    fn take(&mut self, request: &Received) -> Result<Reply, Refusal> {
        if !self.validated {
            return Err((403, "account_under_validation", "Your account is under validation".to_owned()));
        }
        let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(&request.body) else {
            return Err((400, "bad_request", "Input must be a valid JSON object".to_owned()));
        };
        let now = self.common.clock.now();
        self.keys.retain(|_, at| now < *at + REMEMBERED);
        let headers = object(&body, "headers")?;
        // Whether the vendor looks at the key or at the rest first is not documented; this order asks for more care.
        let mut emails = self.read(&body, headers)?;
        let key = headers.get("idempotencyKey").and_then(Value::as_str).map(str::to_owned);
        if let Some(key) = &key {
            if !is_uuid(key) {
                return invalid("idempotencyKey is not a UUID");
            }
            if self.keys.contains_key(key) {
                return Err((
                    400,
                    "duplicate_parameter",
                    "Request with the same idempotencyKey was seen".to_owned(),
                ));
            }
        }
        if self.credit.is_some_and(|credit| credit < emails.len()) {
            return Err((402, "not_enough_credits", "You do not have enough credits".to_owned()));
        }
        if let Some(credit) = &mut self.credit {
            *credit -= emails.len();
        }
        if let Some(key) = key {
            self.keys.insert(key, now);
        }
        let ids: Vec<String> = emails.iter().map(|_| self.common.next_id("smtp-relay.mailin.fr")).collect();
        let sandboxed = headers.get("X-Sib-Sandbox").and_then(Value::as_str) == Some("drop");
        let scheduled = emails.iter().any(|email| email.at.is_some());
        for (email, id) in emails.iter_mut().zip(&ids) {
            email.id.clone_from(id);
        }
        if !sandboxed {
            emails.into_iter().for_each(|email| self.common.deliver(email));
        }
        let written: Vec<String> = ids.iter().map(|id| format!("<{id}>")).collect();
        let mut answer = match body.contains_key("messageVersions") {
            true => json!({"messageIds": written}),
            false => json!({"messageId": written.first()}),
        };
        if scheduled {
            answer["batchId"] = json!("5c6cfa04-eed9-42c2-8b5c-6d470d978e9d");
        }
        Ok(Reply::json(if scheduled { 202 } else { 201 }, &answer))
    }

    /// The emails of a call, or why it is refused. Nothing is kept of a refused call.
    fn read(
        &self,
        body: &Map<String, Value>,
        headers: &Map<String, Value>,
    ) -> Result<Vec<FakeEmail>, Refusal> {
        known(body, &[&FIELDS[..], &["batchId", "messageVersions"]].concat())?;
        let template = match body.get("templateId") {
            None => None,
            Some(id) => Some(id.as_i64().map_or_else(|| invalid("templateId is not a number"), Ok)?),
        };
        match body.get("sender") {
            Some(sender) => drop(self.contact(sender, "sender")?),
            None if template.is_none() => return missing("sender is missing"),
            None => {}
        }
        let mut common = FakeEmail::new(nobody()?, String::new());
        for (name, value) in headers {
            let Some(value) = value.as_str().filter(|value| value.is_ascii() || name == "X-Mailin-custom")
            else {
                return invalid(format!("header {name} is not a string of ASCII"));
            };
            match name.as_str() {
                "idempotencyKey" | "X-Sib-Sandbox" | "sender.ip" => {}
                "X-Mailin-custom" => {
                    common.metadata = serde_json::from_str(value).unwrap_or_default();
                }
                name => {
                    common.headers.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        for tag in array(body, "tags")? {
            common.tags.push(text(tag, "tags")?.to_owned());
        }
        for file in array(body, "attachment")? {
            common.files.push(attachment(file)?);
        }
        if let Some(at) = body.get("scheduledAt") {
            let at: Option<DateTime<Utc>> = at.as_str().and_then(|at| at.parse().ok());
            match at {
                Some(at) if at > self.common.clock.now() => common.at = Some(at),
                _ => return invalid("scheduledAt is not a date in the future"),
            }
        }
        let global = self.content(common, body, template)?;
        let Some(versions) = body.get("messageVersions") else {
            if template.is_none() && (global.subject.is_empty() || global.html.is_none()) {
                return missing("subject and htmlContent are mandatory");
            }
            return self.recipients(body, &global);
        };
        let versions = versions.as_array().map_or_else(|| invalid("messageVersions is not an array"), Ok)?;
        if versions.is_empty() || versions.len() > 1_000 {
            return Err((400, "out_of_range", "messageVersions takes 1 to 1000 versions".to_owned()));
        }
        let (mut emails, mut params) = (Vec::new(), 0);
        for version in versions {
            let version = version.as_object().map_or_else(|| invalid("a version is not an object"), Ok)?;
            let mut fields = VERSION_FIELDS.to_vec();
            fields.push("headers");
            known(version, &fields)?;
            // Metadata of a version are taken, as django-anymail sends them; other headers only where they are switched on.
            let only_metadata = object(version, "headers")?.keys().all(|name| name == "X-Mailin-custom");
            if !only_metadata && !self.headers_per_version {
                return invalid("a version has headers");
            }
            let bodies = global.html.is_some() || global.text.is_some();
            if !bodies && (version.contains_key("htmlContent") || version.contains_key("textContent")) {
                return invalid("a version has a body and there is no global one");
            }
            params += version.get("params").map_or(0, |params| params.to_string().len());
            let mut own = global.clone();
            for (name, value) in object(version, "headers")? {
                if name == "X-Mailin-custom" {
                    own.metadata = serde_json::from_str(text(value, "headers")?).unwrap_or_default();
                    continue;
                }
                own.headers.insert(name.clone(), text(value, "headers")?.to_owned());
            }
            let own = self.content(own, version, template)?;
            if template.is_none() && (own.subject.is_empty() || own.html.is_none()) {
                return missing("subject and htmlContent are mandatory");
            }
            emails.extend(self.recipients(version, &own)?);
        }
        if params > 1_000_000 {
            return invalid("params of all versions exceed 1000 KB");
        }
        if emails.len() > 2_000 {
            return Err((400, "out_of_range", "more than 2000 recipients".to_owned()));
        }
        Ok(emails)
    }

    /// What a version, or the call, says; over what the call says.
    fn content(
        &self,
        mut email: FakeEmail,
        fields: &Map<String, Value>,
        template: Option<i64>,
    ) -> Result<FakeEmail, Refusal> {
        if let Some(reply_to) = fields.get("replyTo") {
            let (address, _) = self.contact(reply_to, "replyTo")?;
            email.headers.insert("Reply-To".to_owned(), address.as_str().to_owned());
        }
        let params = object(fields, "params")?;
        if Value::Object(params.clone()).to_string().len() > 100_000 {
            return invalid("params exceed 100 KB");
        }
        if let Some(id) = template {
            let params =
                params.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().into()));
            let params: BTreeMap<String, String> = params.collect();
            let earlier = email.template.take().map(|(_, params)| params).unwrap_or_default();
            email.template = Some((id.to_string(), if params.is_empty() { earlier } else { params }));
            return Ok(email);
        }
        for (name, place) in [("htmlContent", &mut email.html), ("textContent", &mut email.text)] {
            if let Some(value) = fields.get(name) {
                *place = Some(text(value, name)?.to_owned());
            }
        }
        if let Some(subject) = fields.get("subject") {
            text(subject, "subject")?.clone_into(&mut email.subject);
        }
        Ok(email)
    }

    fn recipients(&self, fields: &Map<String, Value>, email: &FakeEmail) -> Result<Vec<FakeEmail>, Refusal> {
        let to = array(fields, "to")?;
        if to.is_empty() {
            return missing("to is missing");
        }
        if to.len() > 99 {
            return Err((400, "out_of_range", "more than 99 recipients".to_owned()));
        }
        let emails = to.iter().map(|contact| {
            let (address, name) = self.contact(contact, "to")?;
            Ok(FakeEmail { to: address, name, others_shown: to.len() - 1, ..email.clone() })
        });
        emails.collect()
    }

    fn contact(&self, contact: &Value, field: &str) -> Result<(EmailAddress, Option<String>), Refusal> {
        let email = contact.get("email").and_then(Value::as_str).unwrap_or_default();
        let name = contact.get("name").and_then(Value::as_str).map(str::to_owned);
        if name.as_ref().is_some_and(|name| name.chars().count() > 70) {
            return invalid(format!("name is longer than 70 characters in {field}"));
        }
        match email.parse::<EmailAddress>() {
            Ok(address) if !self.common.refused.contains(&address.normalised()) => Ok((address, name)),
            _ => invalid(format!("email is not valid in {field}: {} {email}", name.unwrap_or_default())),
        }
    }
}

fn throttled(form: usize) -> Answer {
    let plain = Reply::json(429, &json!({"message": "Too many requests"}));
    let reply = match form {
        0 => plain
            .with("x-sib-ratelimit-limit", 100)
            .with("x-sib-ratelimit-remaining", 0)
            .with("x-sib-ratelimit-reset", 37),
        1 => plain.with("retry-after", 41),
        _ => plain,
    };
    reply.whole()
}

fn nobody() -> Result<EmailAddress, Refusal> {
    "nobody@shop.example".parse().map_err(|_| (500, "bad_request", String::new()))
}

fn known(fields: &Map<String, Value>, names: &[&str]) -> Result<(), Refusal> {
    match fields.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => invalid(format!("{name} is not a known field")),
        None => Ok(()),
    }
}

fn object<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a Map<String, Value>, Refusal> {
    static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    match fields.get(name) {
        None => Ok(&EMPTY),
        Some(value) => value.as_object().map_or_else(|| invalid(format!("{name} is not an object")), Ok),
    }
}

fn array<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a [Value], Refusal> {
    match fields.get(name) {
        None => Ok(&[]),
        Some(Value::Array(values)) => Ok(values),
        Some(_) => invalid(format!("{name} is not an array")),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map_or_else(|| invalid(format!("{name} is not a text")), Ok)
}

fn attachment(file: &Value) -> Result<(String, Vec<u8>), Refusal> {
    let name = file.get("name").and_then(Value::as_str).unwrap_or_default();
    let extension = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    if !EXTENSIONS.split_whitespace().any(|known| known == extension) {
        return invalid(format!("attachment {name} has an unsupported extension"));
    }
    let content = file.get("content").and_then(Value::as_str).unwrap_or_default();
    match STANDARD.decode(content) {
        Ok(bytes) => Ok((name.to_owned(), bytes)),
        Err(_) => invalid("attachment content is not base64"),
    }
}

fn is_uuid(text: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    let fits =
        |(at, byte): (usize, u8)| if dashes.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() };
    text.len() == 36 && text.bytes().enumerate().all(fits)
}
