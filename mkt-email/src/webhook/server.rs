//! The routes of the server, and what they answer.

use super::page::{self, Page};
use super::writer::{Work, Writer};
use super::{BrevoWebhook, MailgunWebhook, SERVICE, WebhookRefusal};
use crate::Outbox;
use crate::confirm::{ConfirmKeys, ConfirmRefusal};
use crate::event::EmailEvent;
use crate::outbox::{Delivery, Received, SuppressionPolicy};
use crate::template::Language;
use crate::unsubscribe::{UnsubscribeKeys, UnsubscribeRefusal};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::TimeDelta;
use mkt_connect::clock::{Clock, SystemClock};
use mkt_connect::{Error, ErrorKind, Result, Stop};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// 500 events of a kilobyte, which is the most that a batch of Brevo's holds, fit several times.
const MAX_BODY: usize = 4 << 20;
/// How long a body may take.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// Calls that are read at the same time.
const CALLS: usize = 512;
/// How long a stop waits for calls that are under way.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Used tokens are kept this much longer than signatures are valid.
const TOKEN_MARGIN: TimeDelta = TimeDelta::hours(1);

/// A server over an outbox: takes webhooks, and shows and takes unsubscribe and confirmation links. What is not
/// configured is not there (404).
///
/// | route | |
/// |---|---|
/// | `POST /webhooks/brevo`, `POST /webhooks/mailgun` | events; see the [module](crate::webhook) for what is answered |
/// | `GET /unsubscribe/{token}` or `/unsubscribe?u=token` | a page with a button, in French or English; changes nothing |
/// | `POST` to the same | unsubscribes (RFC 8058: whatever the body says) |
/// | `GET`, `POST /confirm/{token}` | double opt-in: shows, and records the consent |
/// | `GET /healthz` | 200 while the outbox can be read, else 503 |
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use mkt_connect::{Secret, Stop};
/// use mkt_email::Outbox;
/// use mkt_email::webhook::{MailgunWebhook, WebhookServer};
/// let outbox = Outbox::in_memory().await?;
/// let mailgun = MailgunWebhook::new(&Secret::new("the webhook signing key"))?;
/// let server = WebhookServer::builder(outbox).mailgun(mailgun).build()?;
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let stop = Stop::new();
/// stop.request(); // a program requests it on Ctrl-C
/// server.serve(listener, &stop).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct WebhookServer {
    router: Router,
    writer: JoinHandle<()>,
}

impl fmt::Debug for WebhookServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookServer").finish_non_exhaustive()
    }
}

impl WebhookServer {
    /// Starts the settings of a server over this outbox.
    #[must_use]
    pub fn builder(outbox: Outbox) -> WebhookServerBuilder {
        WebhookServerBuilder {
            outbox,
            brevo: None,
            mailgun: None,
            unsubscribe: None,
            confirm: None,
            policy: SuppressionPolicy::default(),
            language: Language::English,
            max_body: MAX_BODY,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// The routes, to be part of another server. IP ranges of Brevo need
    /// `into_make_service_with_connect_info::<SocketAddr>()`: without it every call is refused there. Calls that are
    /// under way when all copies are dropped are still written.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Serves until a stop is requested; then takes no new call, answers those that are under way for up to 30 seconds
    /// (an urgent stop: no longer), and returns when all that was answered is written.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the listener fails.
    pub async fn serve(self, listener: TcpListener, stop: &Stop) -> Result<()> {
        let Self { router, writer } = self;
        let (requested, urgent) = (stop.clone(), stop.clone());
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving =
            axum::serve(listener, service).with_graceful_shutdown(async move { requested.requested().await });
        let over = async {
            urgent.requested().await;
            tokio::select! {
                () = urgent.urgent() => {}
                () = tokio::time::sleep(STOP_WITHIN) => {}
            }
        };
        tokio::select! {
            served = serving => served.map_err(|cause| {
                Error::new(ErrorKind::Unavailable, SERVICE, "serve").with_source(cause)
            })?,
            () = over => {}
        }
        // The routes are gone, and with them all handles of the writer but those of calls that were cut off.
        let _ = tokio::time::timeout(STOP_WITHIN, writer).await;
        Ok(())
    }
}

/// Builder of [`WebhookServer`].
#[derive(Debug, Clone)]
pub struct WebhookServerBuilder {
    outbox: Outbox,
    brevo: Option<BrevoWebhook>,
    mailgun: Option<MailgunWebhook>,
    unsubscribe: Option<UnsubscribeKeys>,
    confirm: Option<ConfirmKeys>,
    policy: SuppressionPolicy,
    language: Language,
    max_body: usize,
    clock: Arc<dyn Clock>,
}

impl WebhookServerBuilder {
    /// Takes webhooks of Brevo.
    #[must_use]
    pub fn brevo(mut self, webhook: BrevoWebhook) -> Self {
        self.brevo = Some(webhook);
        self
    }

    /// Takes webhooks of Mailgun.
    #[must_use]
    pub fn mailgun(mut self, webhook: MailgunWebhook) -> Self {
        self.mailgun = Some(webhook);
        self
    }

    /// Takes unsubscribe links.
    #[must_use]
    pub fn unsubscribe(mut self, keys: UnsubscribeKeys) -> Self {
        self.unsubscribe = Some(keys);
        self
    }

    /// Takes confirmation links.
    #[must_use]
    pub fn confirm(mut self, keys: ConfirmKeys) -> Self {
        self.confirm = Some(keys);
        self
    }

    /// Sets which soft bounces suppress an address.
    #[must_use]
    pub fn policy(mut self, policy: SuppressionPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the language of pages for readers who ask for neither French nor English. Default: English.
    #[must_use]
    pub fn language(mut self, language: Language) -> Self {
        self.language = language;
        self
    }

    /// Sets the largest body that is read, in bytes. Default: 4 MiB.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Replaces the clock, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the server and starts its writer: call it within a tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when nothing is configured.
    pub fn build(self) -> Result<WebhookServer> {
        let Self { outbox, brevo, mailgun, unsubscribe, confirm, policy, language, max_body, clock } = self;
        if brevo.is_none() && mailgun.is_none() && unsubscribe.is_none() && confirm.is_none() {
            return Err(Error::new(ErrorKind::Config, SERVICE, "build")
                .with_detail("nothing to serve: configure a vendor's authentication or keys of links"));
        }
        let tokens_for = mailgun.as_ref().map_or(TimeDelta::zero(), MailgunWebhook::kept_for);
        let (writer, task) = Writer::start(Work {
            outbox: outbox.clone(),
            clock: Arc::clone(&clock),
            policy,
            tokens_for: tokens_for.checked_add(&TOKEN_MARGIN).unwrap_or(TimeDelta::MAX),
        });
        let mut router = Router::new().route("/healthz", get(healthz));
        if brevo.is_some() {
            router = router.route("/webhooks/brevo", post(take_brevo));
        }
        if mailgun.is_some() {
            router = router.route("/webhooks/mailgun", post(take_mailgun));
        }
        if unsubscribe.is_some() {
            router = router
                .route("/unsubscribe", get(show_unsubscribe_query).post(take_unsubscribe_query))
                .route("/unsubscribe/{token}", get(show_unsubscribe).post(take_unsubscribe));
        }
        if confirm.is_some() {
            router = router.route("/confirm/{token}", get(show_confirm).post(take_confirm));
        }
        let shared = Shared {
            outbox,
            writer,
            brevo,
            mailgun,
            unsubscribe,
            confirm,
            language,
            max_body,
            calls: Semaphore::new(CALLS),
            clock,
        };
        Ok(WebhookServer { router: router.with_state(Arc::new(shared)), writer: task })
    }
}

struct Shared {
    outbox: Outbox,
    writer: Writer,
    brevo: Option<BrevoWebhook>,
    mailgun: Option<MailgunWebhook>,
    unsubscribe: Option<UnsubscribeKeys>,
    confirm: Option<ConfirmKeys>,
    language: Language,
    max_body: usize,
    calls: Semaphore,
    clock: Arc<dyn Clock>,
}

type Server = State<Arc<Shared>>;

/// Why a body was not read.
enum Unread {
    TooLarge,
    /// It did not come to its end in time.
    Cut,
}

impl Shared {
    async fn body(&self, body: Body) -> Result<Bytes, Unread> {
        match tokio::time::timeout(BODY_WITHIN, to_bytes(body, self.max_body)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => {
                // The limit's error is the source of axum's; a connection that broke has none to tell an answer to.
                let limit = std::error::Error::source(&error)
                    .is_some_and(|cause| cause.to_string().contains("limit"));
                Err(if limit { Unread::TooLarge } else { Unread::Cut })
            }
            Err(_) => Err(Unread::Cut),
        }
    }
}

async fn healthz(State(server): Server) -> Response {
    match server.outbox.check().await {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(error) => {
            tracing::warn!(%error, "the outbox cannot be read");
            (StatusCode::SERVICE_UNAVAILABLE, "the outbox cannot be read\n").into_response()
        }
    }
}

/// A short answer of words.
fn plain(status: StatusCode, words: &'static str) -> Response {
    (status, words).into_response()
}

/// 429: of all that Brevo is answered only this is sure to be retried.
fn slow_down() -> Response {
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "60")], "try again later\n").into_response()
}

async fn take_brevo(State(server): Server, request: Request) -> Response {
    let Some(webhook) = &server.brevo else { return plain(StatusCode::NOT_FOUND, "") };
    let (head, body) = request.into_parts();
    let from = head.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(from)| from.ip());
    let from: Option<IpAddr> = from.map(|ip| ip.to_canonical());
    if let Err(refusal) = webhook.verify(&head.headers, from) {
        tracing::warn!(%refusal, vendor = "brevo", "a call was refused");
        return plain(StatusCode::UNAUTHORIZED, "not authenticated\n");
    }
    let Ok(_call) = server.calls.try_acquire() else { return slow_down() };
    let body = match server.body(body).await {
        Ok(body) => body,
        Err(Unread::TooLarge) => return plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n"),
        Err(Unread::Cut) => return slow_down(),
    };
    let events = EmailEvent::read_brevo(&body, server.clock.now());
    match server.writer.write(Delivery { token: None, events }).await {
        Some(_) => plain(StatusCode::OK, "ok\n"),
        None => slow_down(),
    }
}

async fn take_mailgun(State(server): Server, request: Request) -> Response {
    let later = || {
        let retry = [(header::RETRY_AFTER, "60")];
        (StatusCode::SERVICE_UNAVAILABLE, retry, "try again later\n").into_response()
    };
    let Some(webhook) = &server.mailgun else { return plain(StatusCode::NOT_FOUND, "") };
    let Ok(_call) = server.calls.try_acquire() else { return later() };
    let (head, body) = request.into_parts();
    let body = match server.body(body).await {
        Ok(body) => body,
        Err(Unread::TooLarge) => return plain(StatusCode::NOT_ACCEPTABLE, "the body is too large\n"),
        Err(Unread::Cut) => return later(),
    };
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let refused = |refusal: WebhookRefusal| {
        tracing::warn!(%refusal, vendor = "mailgun", "a call was refused");
        plain(StatusCode::NOT_ACCEPTABLE, "refused\n")
    };
    let delivery = match webhook.read(content_type.unwrap_or_default(), &body, server.clock.now()) {
        Ok(delivery) => delivery,
        Err(refusal) => return refused(refusal),
    };
    match server.writer.write(delivery).await {
        Some(Received::Stored) => plain(StatusCode::OK, "ok\n"),
        Some(Received::Replayed) => refused(WebhookRefusal::Replayed),
        None => later(),
    }
}

/// A page: not kept by anyone, not framed, with nothing from elsewhere, and its address told to nobody.
fn answer(server: &Shared, headers: &HeaderMap, status: StatusCode, page: Page<'_>) -> Response {
    let accept =
        headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let language = page::language(accept, server.language);
    let fixed = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept-Language"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
    ];
    let mut response = (status, page.html(language)).into_response();
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let code = HeaderValue::from_static(language.code());
    response.headers_mut().insert(header::CONTENT_LANGUAGE, code);
    response
}

/// The token of `?u=…`, of which there must be one.
fn token_of_query(request: &Request) -> String {
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let mut tokens =
        url::form_urlencoded::parse(query).filter(|(name, _)| name == "u").map(|(_, value)| value);
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => token.into_owned(),
        _ => String::new(),
    }
}

async fn show_unsubscribe_query(State(server): Server, request: Request) -> Response {
    unsubscribe_page(&server, request.headers(), &token_of_query(&request))
}

async fn show_unsubscribe(State(server): Server, Path(token): Path<String>, headers: HeaderMap) -> Response {
    unsubscribe_page(&server, &headers, &token)
}

fn unsubscribe_page(server: &Shared, headers: &HeaderMap, token: &str) -> Response {
    let Some(keys) = &server.unsubscribe else { return plain(StatusCode::NOT_FOUND, "") };
    match keys.verify(token, server.clock.now()) {
        Ok(claim) => answer(server, headers, StatusCode::OK, Page::Unsubscribe(claim.scope())),
        Err(refusal) => answer(server, headers, unsubscribe_status(refusal), unsubscribe_refused(refusal)),
    }
}

fn unsubscribe_status(refusal: UnsubscribeRefusal) -> StatusCode {
    match refusal {
        UnsubscribeRefusal::Expired => StatusCode::GONE,
        UnsubscribeRefusal::Forged => StatusCode::NOT_FOUND,
    }
}

fn unsubscribe_refused(refusal: UnsubscribeRefusal) -> Page<'static> {
    match refusal {
        UnsubscribeRefusal::Expired => Page::Expired,
        UnsubscribeRefusal::Forged => Page::Invalid,
    }
}

async fn take_unsubscribe_query(State(server): Server, request: Request) -> Response {
    let token = token_of_query(&request);
    unsubscribe(&server, request.headers(), &token).await
}

async fn take_unsubscribe(State(server): Server, Path(token): Path<String>, headers: HeaderMap) -> Response {
    unsubscribe(&server, &headers, &token).await
}

/// The body is not read: RFC 8058 fixes what it says, and a form's button says nothing more.
async fn unsubscribe(server: &Shared, headers: &HeaderMap, token: &str) -> Response {
    let Some(keys) = &server.unsubscribe else { return plain(StatusCode::NOT_FOUND, "") };
    let now = server.clock.now();
    let claim = match keys.verify(token, now) {
        Ok(claim) => claim,
        Err(refusal) => {
            return answer(server, headers, unsubscribe_status(refusal), unsubscribe_refused(refusal));
        }
    };
    let event = EmailEvent::unsubscribed_by_link(&claim, now);
    match server.writer.write(Delivery { token: None, events: vec![event] }).await {
        Some(_) => answer(server, headers, StatusCode::OK, Page::Unsubscribed(claim.scope())),
        None => answer(server, headers, StatusCode::SERVICE_UNAVAILABLE, Page::Later),
    }
}

async fn show_confirm(State(server): Server, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let Some(keys) = &server.confirm else { return plain(StatusCode::NOT_FOUND, "") };
    match keys.verify(&token, server.clock.now()) {
        Ok(claim) => answer(&server, &headers, StatusCode::OK, Page::Confirm(claim.scope())),
        Err(refusal) => confirm_refused(&server, &headers, refusal),
    }
}

fn confirm_refused(server: &Shared, headers: &HeaderMap, refusal: ConfirmRefusal) -> Response {
    match refusal {
        ConfirmRefusal::Expired => answer(server, headers, StatusCode::GONE, Page::Expired),
        ConfirmRefusal::Forged => answer(server, headers, StatusCode::NOT_FOUND, Page::Invalid),
    }
}

async fn take_confirm(State(server): Server, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let Some(keys) = &server.confirm else { return plain(StatusCode::NOT_FOUND, "") };
    let now = server.clock.now();
    let claim = match keys.verify(&token, now) {
        Ok(claim) => claim,
        Err(refusal) => return confirm_refused(&server, &headers, refusal),
    };
    // A task of its own: a commit is not ended by a caller that hangs up.
    let (outbox, own) = (server.outbox.clone(), claim.clone());
    match tokio::spawn(async move { outbox.confirm(&own, now).await }).await {
        Ok(Ok(_)) => answer(&server, &headers, StatusCode::OK, Page::Confirmed(claim.scope())),
        failed => {
            if let Ok(Err(error)) = failed {
                tracing::warn!(%error, "a consent could not be written");
            }
            answer(&server, &headers, StatusCode::SERVICE_UNAVAILABLE, Page::Later)
        }
    }
}
