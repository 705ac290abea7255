//! Keys of users, and restricted keys with the data set that each gives.

use super::asking::{Refusal, refuse};
use mkt_connect::Secret;
use mkt_connect::testing::Received;
use serde_json::{Map, Value};

/// The keys of the organisation.
#[derive(Debug)]
pub(super) struct Credentials {
    users: Vec<Secret>,
    restricted: Vec<(Secret, Value)>,
}

/// Who calls.
#[derive(Debug)]
pub(super) struct Caller {
    /// The number of the user; restricted keys count as users of their own.
    pub(super) user: usize,
    /// What a restricted key gives.
    pub(super) data_set: Option<Value>,
}

impl Credentials {
    pub(super) fn new() -> Self {
        Self { users: vec![Secret::new("canaryaccess7f3a_canarysecret9c1e")], restricted: Vec::new() }
    }

    pub(super) fn first(&self) -> Secret {
        self.users.first().cloned().unwrap_or_else(|| Secret::new(""))
    }

    pub(super) fn add_user(&mut self) -> Secret {
        let key = Secret::new(format!("canaryaccess{}_canarysecret", self.users.len()));
        self.users.push(key.clone());
        key
    }

    pub(super) fn add_restricted(&mut self, data_set: Value) -> Secret {
        let key = Secret::new(format!("canaryrestricted{}_canarysecret", self.restricted.len()));
        self.restricted.push((key.clone(), data_set));
        key
    }

    /// Whose key a request carries: in a header, or as HTTP Basic in version 2.
    pub(super) fn caller(&self, request: &Received) -> Option<Caller> {
        let basic = || request.header("authorization").and_then(basic_password);
        let key = request.header("x-api-key").map(str::to_owned);
        let sent = if request.path.starts_with("/v3/") { key } else { key.or_else(basic) }?;
        let user = self.users.iter().position(|user| user.expose() == sent);
        let restricted = || {
            let number = self.restricted.iter().position(|(key, _)| key.expose() == sent)?;
            Some(Caller {
                user: self.users.len() + number,
                data_set: self.restricted.get(number).map(|(_, data_set)| data_set.clone()),
            })
        };
        user.map(|user| Caller { user, data_set: None }).or_else(restricted)
    }
}

/// The query of a restricted key: its data set, and the period and page of the body, which holds nothing else.
pub(super) fn whole_body(body: &[u8], data_set: Option<&Value>) -> Result<Vec<u8>, Refusal> {
    let Ok(Value::Object(sent)) = serde_json::from_slice::<Value>(body) else {
        return refuse("InvalidJSON", "the body is not a JSON object");
    };
    const TAKEN: [&str; 3] = ["period", "max-results", "page-num"];
    if let Some(name) = sent.keys().find(|name| !TAKEN.contains(&name.as_str())) {
        return refuse("InvalidBody", format!("{name} is not for a restricted key to say"));
    }
    let mut whole: Map<String, Value> = data_set.and_then(Value::as_object).cloned().unwrap_or_default();
    TAKEN.iter().for_each(|name| drop(whole.remove(*name)));
    whole.extend(sent);
    Ok(Value::Object(whole).to_string().into_bytes())
}

fn basic_password(header: &str) -> Option<String> {
    let text = header.strip_prefix("Basic ")?;
    let bytes = decode_base64(text)?;
    let text = String::from_utf8(bytes).ok()?;
    Some(text.split_once(':')?.1.to_owned())
}

/// RFC 4648, as far as a header of HTTP Basic needs it.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}
