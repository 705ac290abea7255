//! The receiver of webhooks and links, over HTTP on loopback.

mod brevo;
mod kill;
mod links;
mod mailgun;
mod mutations;

use crate::help::noon;
use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac};
use mkt_connect::{Secret, Stop};
use mkt_email::event::EmailEvent;
use mkt_email::webhook::{BrevoWebhook, MailgunWebhook, WebhookServer, WebhookServerBuilder};
use mkt_email::{ManualClock, Outbox};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const TOKEN: &str = "bearer-token-of-32-characters-00";
const SIGNING_KEY: &str = "key-0123456789abcdef0123456789abcdef";

fn mailgun() -> MailgunWebhook {
    MailgunWebhook::new(&Secret::new(SIGNING_KEY)).unwrap()
}

fn brevo() -> BrevoWebhook {
    BrevoWebhook::builder().bearer(&Secret::new(TOKEN)).build().unwrap()
}

/// A server on loopback with a clock at noon.
struct Running {
    address: String,
    outbox: Outbox,
    clock: ManualClock,
    stop: Stop,
    task: JoinHandle<()>,
}

struct Answered {
    status: u16,
    head: String,
    body: String,
}

impl Running {
    async fn start(with: impl FnOnce(WebhookServerBuilder) -> WebhookServerBuilder) -> Self {
        Self::over(Outbox::in_memory().await.unwrap(), with).await
    }

    async fn over(outbox: Outbox, with: impl FnOnce(WebhookServerBuilder) -> WebhookServerBuilder) -> Self {
        let clock = crate::help::clock();
        let builder = WebhookServer::builder(outbox.clone()).clock(Arc::new(clock.clone()));
        let server = with(builder).build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap().to_string(), Stop::new());
        let stopped = stop.clone();
        let task = tokio::spawn(async move { server.serve(listener, &stopped).await.unwrap() });
        Self { address, outbox, clock, stop, task }
    }

    async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answered {
        call(&self.address, method, path, headers, body).await.unwrap()
    }

    async fn events(&self) -> Vec<EmailEvent> {
        let page = self.outbox.events_after(0, 10_000).await.unwrap();
        page.events.into_iter().map(|stored| stored.event).collect()
    }

    async fn suppressions(&self) -> String {
        let mut out = Vec::new();
        self.outbox.export_suppressions(&mut out, noon()).await.unwrap();
        String::from_utf8(out).unwrap()
    }
}

/// One call on a connection of its own.
async fn call(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answered> {
    let mut stream = TcpStream::connect(address).await?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: mkt.test\r\nconnection: close\r\n");
    head.push_str(&format!("content-length: {}\r\n", body.len()));
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    // A server that refuses a body may close before it has read all of it.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        read?;
        return Err(std::io::Error::other("no answer"));
    };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("no status"))?;
    Ok(Answered { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

/// Python: `hmac.new(key, (timestamp + token).encode(), hashlib.sha256).hexdigest()`.
fn signature(key: &str, timestamp: &str, token: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(timestamp.as_bytes());
    mac.update(token.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn signed(at: DateTime<Utc>, token: &str, event_data: &str) -> String {
    let timestamp = at.timestamp().to_string();
    let signature = signature(SIGNING_KEY, &timestamp, token);
    format!(
        r#"{{"signature":{{"timestamp":"{timestamp}","token":"{token}","signature":"{signature}"}},"event-data":{event_data}}}"#
    )
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn server_without_authentication_does_not_start() {
    let outbox = Outbox::in_memory().await.unwrap();
    assert!(WebhookServer::builder(outbox).build().is_err());
    assert!(BrevoWebhook::builder().build().is_err());
    assert!(BrevoWebhook::builder().bearer(&Secret::new("")).build().is_err());
    assert!(BrevoWebhook::builder().bearer(&Secret::new("too short")).build().is_err());
    assert!(BrevoWebhook::builder().basic("a:b", &Secret::new("0123456789abcdef")).build().is_err());
    assert!(BrevoWebhook::builder().header("no name", &Secret::new("0123456789abcdef")).build().is_err());
    assert!(MailgunWebhook::new(&Secret::new("")).is_err());
}

#[tokio::test]
async fn route_that_is_not_configured_is_not_there() {
    let server = Running::start(|builder| builder.mailgun(mailgun())).await;
    for (method, path) in
        [("POST", "/webhooks/brevo"), ("GET", "/unsubscribe/x"), ("POST", "/confirm/x"), ("GET", "/")]
    {
        assert_eq!(server.call(method, path, &[], b"").await.status, 404, "{path}");
    }
    assert_eq!(server.call("GET", "/healthz", &[], b"").await.status, 200);
    assert_eq!(server.call("GET", "/webhooks/mailgun", &[], b"").await.status, 405);
}

#[tokio::test]
async fn stop_ends_the_server_after_what_was_answered_is_written() {
    let server = Running::start(|builder| builder.brevo(brevo())).await;
    let bearer = format!("Bearer {TOKEN}");
    let body =
        r#"{"event":"delivered","email":"a@example.org","ts_epoch":1604933654000,"message-id":"<1@x>"}"#;
    let answer =
        server.call("POST", "/webhooks/brevo", &[("authorization", &bearer), JSON], body.as_bytes()).await;
    assert_eq!(answer.status, 200);
    server.stop.request();
    server.task.await.unwrap();
    assert_eq!(server.outbox.events_after(0, 10).await.unwrap().events.len(), 1);
    assert!(TcpStream::connect(&server.address).await.is_err());
}

#[tokio::test]
async fn health_and_answers_follow_the_outbox() {
    let place = crate::engines::Engine::Sqlite.place().await;
    let server = Running::over(place.open().await, |builder| builder.brevo(brevo()).mailgun(mailgun())).await;
    place.execute("ALTER TABLE mail_events RENAME TO gone").await;
    place.execute("ALTER TABLE mail_identity RENAME TO gone_too").await;
    let bearer = format!("Bearer {TOKEN}");
    let brevo = server
        .call("POST", "/webhooks/brevo", &[("authorization", &bearer), JSON], br#"{"event":"x"}"#)
        .await;
    assert_eq!(brevo.status, 429, "any other answer may end Brevo's retries");
    assert!(brevo.head.contains("retry-after"));
    let body = signed(noon(), "t", r#"{"event":"delivered","id":"1","timestamp":1604933654.1}"#);
    let mailgun = server.call("POST", "/webhooks/mailgun", &[JSON], body.as_bytes()).await;
    assert_eq!(mailgun.status, 503);
    assert_eq!(server.call("GET", "/healthz", &[], b"").await.status, 503);
    // The same calls again, as the vendors repeat them: the token was not used up by the failure.
    place.execute("ALTER TABLE gone RENAME TO mail_events").await;
    place.execute("ALTER TABLE gone_too RENAME TO mail_identity").await;
    assert_eq!(server.call("POST", "/webhooks/mailgun", &[JSON], body.as_bytes()).await.status, 200);
    assert_eq!(server.events().await.len(), 1);
}

#[tokio::test]
async fn body_beyond_the_limit_is_refused() {
    let server = Running::start(|builder| builder.brevo(brevo()).mailgun(mailgun()).max_body(1000)).await;
    let bearer = format!("Bearer {TOKEN}");
    let body = vec![b' '; 200_000];
    let answer = server.call("POST", "/webhooks/brevo", &[("authorization", &bearer)], &body).await;
    assert_eq!(answer.status, 413);
    assert_eq!(server.call("POST", "/webhooks/mailgun", &[], &body).await.status, 406);
    assert!(server.events().await.is_empty());
}
