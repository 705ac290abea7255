//! An SMTP server on loopback for tests: it keeps state, takes emails, and misbehaves wherever it is told to.
//!
//! It reads emails by itself, with nothing of the provider's code: a line ends at CRLF and nowhere else, an email at
//! CRLF, dot, CRLF. It delivers nothing, listens on 127.0.0.1 only, and everything it started ends when it is dropped.

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

const MAX_LINE: usize = 64 * 1024;
const MAX_MAIL: usize = 64 * 1024 * 1024;

/// What the server is about to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// A connection was made.
    Connect,
    /// `EHLO` or `HELO`.
    Hello,
    /// `STARTTLS`.
    StartTls,
    /// A line of the dialogue about credentials.
    Auth,
    /// `MAIL FROM`.
    Sender,
    /// `RCPT TO`.
    Recipient,
    /// `DATA`.
    Data,
    /// The content is about to be read; what is done here is done instead of reading it.
    Content,
    /// The end of the content was read.
    End,
    /// `RSET`.
    Reset,
    /// `NOOP`.
    Noop,
    /// `QUIT`.
    Quit,
    /// Anything else.
    Other,
}

/// What the server sees when it is asked how to behave.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Seen {
    /// Where the dialogue is.
    pub step: Step,
    /// The line, without its end.
    pub line: String,
    /// The connection's number, from 1.
    pub connection: usize,
    /// The number of the email on this connection, from 1.
    pub email: usize,
}

/// What to do instead of answering as a good server does. State is kept as if the answer were yes when it begins with
/// 2 or 3, and as if it were no otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Act {
    /// Answer this; lines are separated by CRLF, the last end is added.
    Reply(String),
    /// Write these bytes and go on as if they were an answer.
    Raw(Vec<u8>),
    /// Write these bytes and hang up.
    RawThenClose(Vec<u8>),
    /// Hang up.
    Close,
    /// Answer this and hang up.
    ReplyThenClose(String),
    /// At [`Step::End`]: take the email and hang up without an answer.
    TakeThenClose,
    /// At [`Step::End`]: take the email and write these bytes, then hang up.
    TakeThenRaw(Vec<u8>),
    /// Say nothing for ever.
    Silence,
    /// Answer this, one byte at a time.
    Drip(String, Duration),
    /// Write this again and again, for ever.
    Endless(Vec<u8>),
    /// At [`Step::Content`]: read this many bytes, then hang up.
    ReadThenClose(usize),
    /// At [`Step::Content`]: read this many bytes, answer this, and hang up.
    ReadThenReply(usize, String),
}

impl Act {
    /// Answer this.
    #[must_use]
    pub fn reply(text: &str) -> Self {
        Self::Reply(text.to_owned())
    }
}

/// An email that the server took.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taken {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// The email, the dots of the wire removed.
    pub bytes: Vec<u8>,
    /// Whether it came through TLS.
    pub encrypted: bool,
    /// The connection's number, from 1.
    pub connection: usize,
    /// The parameters of `MAIL FROM`.
    pub parameters: String,
}

type Behaviour = dyn Fn(&Seen) -> Option<Act> + Send + Sync;

/// What the server is like.
#[must_use]
pub struct SmtpServerBuilder {
    extensions: Vec<String>,
    tls: Option<(Arc<ServerConfig>, bool)>,
    users: Vec<(String, String)>,
    behaviour: Box<Behaviour>,
}

impl SmtpServerBuilder {
    /// The keywords offered (PIPELINING, 8BITMIME and SIZE 10485760 without this). STARTTLS and AUTH come by
    /// themselves.
    pub fn extensions(mut self, keywords: &[&str]) -> Self {
        self.extensions = keywords.iter().map(ToString::to_string).collect();
        self
    }

    /// Speaks TLS from the first byte with a certificate (chain in DER, key in PKCS 8).
    ///
    /// # Errors
    /// When the certificate cannot be used.
    pub fn implicit_tls(mut self, chain: Vec<Vec<u8>>, key: Vec<u8>) -> io::Result<Self> {
        self.tls = Some((server_config(chain, key)?, true));
        Ok(self)
    }

    /// Offers STARTTLS with a certificate.
    ///
    /// # Errors
    /// When the certificate cannot be used.
    pub fn start_tls(mut self, chain: Vec<Vec<u8>>, key: Vec<u8>) -> io::Result<Self> {
        self.tls = Some((server_config(chain, key)?, false));
        Ok(self)
    }

    /// Takes emails only from this user; the password is also taken as an OAuth token.
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// Asks before every answer; `None` is the answer of a good server.
    pub fn behave(mut self, behaviour: impl Fn(&Seen) -> Option<Act> + Send + Sync + 'static) -> Self {
        self.behaviour = Box::new(behaviour);
        self
    }

    /// Starts it, on the runtime that this is called on.
    ///
    /// # Errors
    /// When no port on loopback can be opened.
    pub fn start(self) -> io::Result<SmtpServer> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { built: self, log: Mutex::default(), connections: AtomicUsize::new(0) });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(SmtpServer { address, shared, accepting })
    }
}

impl fmt::Debug for SmtpServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpServerBuilder").field("extensions", &self.extensions).finish_non_exhaustive()
    }
}

fn server_config(chain: Vec<Vec<u8>>, key: Vec<u8>) -> io::Result<Arc<ServerConfig>> {
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder.with_no_client_auth().with_single_cert(chain, PrivateKeyDer::Pkcs8(key.into()))
        })
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}

#[derive(Default)]
struct Log {
    emails: Vec<Taken>,
    lines: Vec<String>,
}

struct Shared {
    built: SmtpServerBuilder,
    log: Mutex<Log>,
    connections: AtomicUsize,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server. Dropping it closes every connection.
pub struct SmtpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl SmtpServer {
    /// A good server without TLS that takes emails from everybody.
    pub fn builder() -> SmtpServerBuilder {
        SmtpServerBuilder {
            extensions: ["PIPELINING", "8BITMIME", "SIZE 10485760"].map(str::to_owned).to_vec(),
            tls: None,
            users: Vec::new(),
            behaviour: Box::new(|_| None),
        }
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The emails taken, in order.
    #[must_use]
    pub fn emails(&self) -> Vec<Taken> {
        self.shared.log().emails.clone()
    }

    /// Every line read outside of emails, in order, with a `*` before those that came through TLS.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.shared.log().lines.clone()
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        // Ends the accepting task, and with its `JoinSet` every connection.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        while sessions.try_join_next().is_some() {}
        let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
        let shared = Arc::clone(&shared);
        // A session that breaks is the client's affair, and often the point of the test.
        sessions.spawn(async move { serve(stream, &shared, number).await.ok() });
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

async fn serve(stream: TcpStream, shared: &Shared, number: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let tls = shared.built.tls.as_ref();
    let implicit = tls.filter(|(_, implicit)| *implicit);
    let mut session = Session {
        stream: Box::new(stream),
        buffer: Vec::new(),
        shared,
        number,
        encrypted: false,
        known: shared.built.users.is_empty(),
        from: None,
        to: Vec::new(),
        email: 1,
    };
    if let Some((config, _)) = implicit {
        session.encrypt(Arc::clone(config)).await?;
    }
    session.answer(Step::Connect, "", "220 fake.example ESMTP").await?;
    while let Some(line) = session.line().await? {
        if !session.command(&line).await? {
            break;
        }
    }
    Ok(())
}

struct Session<'a> {
    stream: Box<dyn Duplex>,
    buffer: Vec<u8>,
    shared: &'a Shared,
    number: usize,
    encrypted: bool,
    known: bool,
    from: Option<(String, String)>,
    to: Vec<String>,
    email: usize,
}

fn hang_up<T>() -> io::Result<T> {
    Err(io::ErrorKind::ConnectionAborted.into())
}

impl Session<'_> {
    async fn encrypt(&mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        let plain = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        self.stream = Box::new(TlsAcceptor::from(config).accept(plain).await?);
        self.buffer.clear();
        self.encrypted = true;
        Ok(())
    }

    async fn fill(&mut self) -> io::Result<bool> {
        self.buffer.reserve(16 * 1024);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    async fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                let mark = if self.encrypted { "*" } else { "" };
                self.shared.log().lines.push(format!("{mark}{line}"));
                return Ok(Some(line));
            }
            if self.buffer.len() > MAX_LINE || !self.fill().await? {
                return Ok(None);
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    fn act(&self, step: Step, line: &str) -> Option<Act> {
        let seen = Seen { step, line: line.to_owned(), connection: self.number, email: self.email };
        (self.shared.built.behaviour)(&seen)
    }

    /// Answers, as told or as `good`; whether the answer was a yes.
    async fn answer(&mut self, step: Step, line: &str, good: &str) -> io::Result<bool> {
        let act = self.act(step, line).unwrap_or_else(|| Act::reply(good));
        self.perform(act).await
    }

    async fn perform(&mut self, act: Act) -> io::Result<bool> {
        let yes = |text: &[u8]| matches!(text.first(), Some(b'2' | b'3'));
        match act {
            Act::Reply(text) => {
                self.write(format!("{text}\r\n").as_bytes()).await?;
                Ok(yes(text.as_bytes()))
            }
            Act::Raw(bytes) => {
                self.write(&bytes).await?;
                Ok(yes(&bytes))
            }
            Act::RawThenClose(bytes) | Act::TakeThenRaw(bytes) => {
                self.write(&bytes).await?;
                self.stream.shutdown().await?;
                hang_up()
            }
            Act::ReplyThenClose(text) | Act::ReadThenReply(_, text) => {
                self.write(format!("{text}\r\n").as_bytes()).await?;
                self.stream.shutdown().await?;
                // Give the client time to read: closing with its bytes unread resets the connection.
                tokio::time::sleep(Duration::from_millis(300)).await;
                hang_up()
            }
            Act::Close | Act::TakeThenClose | Act::ReadThenClose(_) => hang_up(),
            Act::Silence => std::future::pending().await,
            Act::Drip(text, pause) => {
                for byte in format!("{text}\r\n").bytes() {
                    self.write(&[byte]).await?;
                    tokio::time::sleep(pause).await;
                }
                Ok(yes(text.as_bytes()))
            }
            Act::Endless(bytes) => loop {
                self.write(&bytes).await?;
            },
        }
    }

    /// Whether the dialogue goes on.
    async fn command(&mut self, line: &str) -> io::Result<bool> {
        let upper = line.to_ascii_uppercase();
        let verb = upper.split([' ', ':']).next().unwrap_or_default();
        match verb {
            "EHLO" | "HELO" => {
                let mut offers = vec!["fake.example".to_owned()];
                offers.extend(self.shared.built.extensions.iter().cloned());
                if self.shared.built.tls.is_some() && !self.encrypted {
                    offers.push("STARTTLS".to_owned());
                }
                if !self.shared.built.users.is_empty() {
                    offers.push("AUTH PLAIN LOGIN XOAUTH2".to_owned());
                }
                let last = offers.len() - 1;
                let lines: Vec<_> = offers
                    .iter()
                    .enumerate()
                    .map(|(at, offer)| format!("250{}{offer}", if at == last { ' ' } else { '-' }))
                    .collect();
                let good = if verb == "HELO" { "250 fake.example".to_owned() } else { lines.join("\r\n") };
                self.answer(Step::Hello, line, &good).await?;
            }
            "STARTTLS" => {
                if self.answer(Step::StartTls, line, "220 go ahead").await?
                    && let Some((config, _)) = &self.shared.built.tls
                {
                    self.encrypt(Arc::clone(config)).await?;
                }
            }
            "AUTH" => self.authenticate(line).await?,
            "MAIL" if !self.known => {
                self.write(b"530 5.7.0 Authentication required\r\n").await?;
            }
            "MAIL" if self.from.is_some() => self.write(b"503 5.5.1 nested MAIL\r\n").await?,
            "MAIL" => {
                let path = bracketed(line);
                if self.answer(Step::Sender, line, "250 2.1.0 sender ok").await? {
                    let parameters = line.split_once("> ").map_or("", |(_, rest)| rest);
                    self.from = Some((path, parameters.to_owned()));
                }
            }
            "RCPT" if self.from.is_none() => self.write(b"503 5.5.1 MAIL first\r\n").await?,
            "RCPT" => {
                let path = bracketed(line);
                if self.answer(Step::Recipient, line, "250 2.1.5 recipient ok").await? {
                    self.to.push(path);
                }
            }
            "DATA" => {
                let good = if self.to.is_empty() { "554 5.5.1 no valid recipients" } else { "354 go on" };
                if self.answer(Step::Data, line, good).await? {
                    self.content().await?;
                }
            }
            "RSET" => {
                if self.answer(Step::Reset, line, "250 2.0.0 ok").await? {
                    (self.from, self.to) = (None, Vec::new());
                }
            }
            "NOOP" => {
                self.answer(Step::Noop, line, "250 2.0.0 ok").await?;
            }
            "QUIT" => {
                self.answer(Step::Quit, line, "221 2.0.0 bye").await?;
                self.stream.shutdown().await?;
                return Ok(false);
            }
            _ => {
                self.answer(Step::Other, line, "500 5.5.2 what").await?;
            }
        }
        Ok(true)
    }

    async fn authenticate(&mut self, line: &str) -> io::Result<()> {
        use base64::Engine as _;
        let decode = |text: &str| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        if let Some(act) = self.act(Step::Auth, line) {
            self.known |= self.perform(act).await?;
            return Ok(());
        }
        let mut words = line.split(' ').skip(1);
        let (mechanism, response) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (user, password) = match mechanism {
            "PLAIN" => {
                let text = decode(response);
                let mut parts = text.split('\0').skip(1);
                (parts.next().unwrap_or_default().to_owned(), parts.next().unwrap_or_default().to_owned())
            }
            "LOGIN" => {
                self.write(b"334 VXNlcm5hbWU6\r\n").await?;
                let user = self.line().await?.unwrap_or_default();
                self.write(b"334 UGFzc3dvcmQ6\r\n").await?;
                (decode(&user), decode(&self.line().await?.unwrap_or_default()))
            }
            "XOAUTH2" => {
                let text = decode(response);
                let part = |name: &str| text.split('\x01').find_map(|part| part.strip_prefix(name));
                let part = |name: &str| part(name).unwrap_or_default().to_owned();
                (part("user="), part("auth=Bearer "))
            }
            _ => return self.write(b"504 5.5.4 unknown mechanism\r\n").await,
        };
        if self.shared.built.users.contains(&(user, password)) {
            self.known = true;
            return self.write(b"235 2.7.0 accepted\r\n").await;
        }
        if mechanism == "XOAUTH2" {
            // {"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}
            self.write(b"334 eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==\r\n").await?;
            if self.line().await?.as_deref() != Some("") {
                return self.write(b"501 5.5.2 an empty line was expected\r\n").await;
            }
        }
        self.write(b"535 5.7.8 Username and Password not accepted\r\n").await
    }

    async fn content(&mut self) -> io::Result<()> {
        if let Some(act) = self.act(Step::Content, "") {
            if let Act::ReadThenClose(count) | Act::ReadThenReply(count, _) = act {
                while self.buffer.len() < count && self.fill().await? {}
            }
            self.perform(act).await?;
            return Ok(());
        }
        let mut email = Vec::new();
        let mut ended = false;
        while !ended {
            // Whole lines only; what is left waits for its end.
            let mut used = 0;
            while let Some(end) = self.buffer[used..].windows(2).position(|pair| pair == b"\r\n") {
                let line = &self.buffer[used..used + end + 2];
                used += line.len();
                if line == b".\r\n" {
                    ended = true;
                    break;
                }
                email.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            }
            self.buffer.drain(..used);
            let too_much = email.len() + self.buffer.len() > MAX_MAIL;
            if !ended && (too_much || !self.fill().await?) {
                return hang_up();
            }
        }
        let (from, parameters) = self.from.take().unwrap_or_default();
        let to = std::mem::take(&mut self.to);
        let act = self.act(Step::End, "").unwrap_or_else(|| Act::reply("250 2.0.0 queued as 7"));
        let takes = match &act {
            Act::TakeThenClose | Act::TakeThenRaw(_) => true,
            Act::Reply(text) | Act::ReplyThenClose(text) | Act::Drip(text, _) => text.starts_with('2'),
            _ => false,
        };
        if takes {
            let (encrypted, connection) = (self.encrypted, self.number);
            self.shared.log().emails.push(Taken {
                from,
                to,
                bytes: email,
                encrypted,
                connection,
                parameters,
            });
        }
        self.email += 1;
        self.perform(act).await.map(drop)
    }
}

/// What is between the angle brackets.
fn bracketed(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or("", |(path, _)| path).to_owned()
}
