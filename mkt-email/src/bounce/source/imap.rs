//! IMAP (RFC 3501) over TLS: unread messages of one folder.
//!
//! imap-proto parses what a server says. Connection, framing and limits are here: the complete clients of the day keep
//! whole messages of any size in memory and write passwords and messages to the log.

use super::{FeedbackSource, MAX_MESSAGE, Mark, RawMessage};
use async_trait::async_trait;
use base64::Engine;
use imap_proto::{AttributeValue, Capability, MailboxDatum, Response, Status};
use mkt_connect::{Error, ErrorKind, Result, Secret};
use percent_encoding::percent_decode_str;
use rustls::pki_types::ServerName;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use url::Url;

const SERVICE: &str = "imap";
/// Messages that are fetched at a time.
const MAX_FETCH: usize = 32;
/// The longest response: one part of a message, and what is said around it.
const MAX_RESPONSE: usize = MAX_MESSAGE + (64 << 10);
/// The longest list of unread messages: a few million.
const MAX_SEARCH: usize = 32 << 20;
/// How deep brackets of a response may be nested; what is asked for needs two.
const MAX_DEPTH: usize = 16;

/// Builder of [`ImapSource`]. Created by [`ImapSource::from_url`].
#[must_use]
pub struct ImapBuilder {
    host: String,
    port: u16,
    user: String,
    password: Secret,
    folder: String,
    encrypted: bool,
    trusted: Option<Vec<u8>>,
    timeout: Duration,
}

impl fmt::Debug for ImapBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImapBuilder")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl ImapBuilder {
    /// Sets the only trusted certificate authorities (PEM). Default: those of the platform.
    pub fn trust_only(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.trusted = Some(pem.into());
        self
    }

    /// Sets the time limit of each step. Default: 60 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Connects, logs in, opens the folder and looks for unread messages.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`] when the server refuses user and password; [`ErrorKind::NotFound`] when there is no such folder;
    /// [`ErrorKind::Unavailable`], [`ErrorKind::Protocol`]. No error names the user.
    pub async fn connect(self) -> Result<ImapSource> {
        let unavailable =
            |detail: &'static str| Error::new(ErrorKind::Unavailable, SERVICE, "connect").with_detail(detail);
        let (host, port) = (self.host.as_str(), self.port);
        let tcp = tokio::time::timeout(self.timeout, TcpStream::connect((host, port))).await;
        let tcp = tcp
            .map_err(|_| unavailable("no connection could be made in time"))?
            .map_err(|cause| unavailable("no connection could be made").with_source(cause))?;
        let _ = tcp.set_nodelay(true);
        let stream: Box<dyn Stream> = if self.encrypted {
            let config = crate::tls::client(SERVICE, self.trusted.as_deref())?;
            let name = ServerName::try_from(self.host.clone())
                .map_err(|_| config_error("the host is not a name or an address"))?;
            let connecting = tokio_rustls::TlsConnector::from(config).connect(name, tcp);
            let stream = tokio::time::timeout(self.timeout, connecting).await;
            let stream = stream
                .map_err(|_| unavailable("the TLS handshake did not end in time"))?
                .map_err(|cause| unavailable("the TLS handshake failed").with_source(cause))?;
            Box::new(stream)
        } else {
            Box::new(tcp)
        };
        let wire = Wire { stream: BufReader::new(stream), buffer: Vec::new(), tag: 0, timeout: self.timeout };
        let mut source = ImapSource { wire, unread: VecDeque::new() };
        source.open(&self.user, &self.password, &self.folder).await?;
        Ok(source)
    }
}

fn config_error(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, SERVICE, "build").with_detail(detail.into())
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Reads the unread messages of a folder of an IMAP server, those without `\Seen`. A message that was read gets `\Seen`,
/// and `\Flagged` if a person should look at it. Fetching alone changes nothing.
///
/// ```no_run
/// # async fn read() -> mkt_email::Result<()> {
/// use mkt_email::Secret;
/// use mkt_email::bounce::ImapSource;
/// let password = Secret::new("from the environment");
/// let source = ImapSource::from_url("imaps://bounces%40shop.example@imap.shop.example/INBOX", password)?.connect().await?;
/// # Ok(()) }
/// ```
pub struct ImapSource {
    wire: Wire,
    unread: VecDeque<u32>,
}

impl fmt::Debug for ImapSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImapSource({} unread)", self.unread.len())
    }
}

impl ImapSource {
    /// A folder by its URL (RFC 5092): `imaps://user@host:993/folder`, TLS from the first byte. Special characters are
    /// percent-encoded: `shop%40example.com`. Without a folder, `INBOX`. The password does not belong in the URL.
    ///
    /// `imap://` is unencrypted and is refused, but with `?tls=none` for this machine.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]; no error contains the URL.
    pub fn from_url(url: &str, password: Secret) -> Result<ImapBuilder> {
        const FORM: &str = "expected imaps://user@host:port/folder";
        let url = Url::parse(url).map_err(|_| config_error(format!("invalid IMAP URL: {FORM}")))?;
        if url.password().is_some() {
            return Err(config_error("the password does not belong in the IMAP URL"));
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let encrypted = match url.scheme() {
            "imaps" => true,
            "imap" if url.query() == Some("tls=none") && crate::tls::is_loopback(&host) => false,
            "imap" => {
                return Err(config_error(
                    "imap:// is not encrypted: expected imaps://, or imap://user@localhost?tls=none for this machine",
                ));
            }
            _ => {
                return Err(config_error(format!(
                    "the IMAP URL begins with neither imaps:// nor imap://: {FORM}"
                )));
            }
        };
        if host.is_empty() || url.fragment().is_some() || (encrypted && url.query().is_some()) {
            return Err(config_error(format!("invalid IMAP URL: {FORM}")));
        }
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8().map(String::from).ok();
            text.filter(|text| !text.contains(['\r', '\n', '\0'])).ok_or_else(|| {
                config_error("the user or folder in the IMAP URL is not UTF-8, or has a line break")
            })
        };
        let user = decoded(url.username())?;
        if user.is_empty() {
            return Err(config_error(format!("the IMAP URL has no user: {FORM}")));
        }
        if password.expose().is_empty() || password.expose().contains(['\r', '\n', '\0']) {
            return Err(config_error("the IMAP password is empty, or has a line break"));
        }
        let folder = match decoded(url.path().trim_start_matches('/'))? {
            folder if folder.is_empty() => "INBOX".to_owned(),
            // RFC 3501 §5.1.3 wants modified UTF-7 for others.
            folder if !folder.is_ascii() => {
                return Err(config_error("the name of the IMAP folder is not ASCII"));
            }
            folder => folder,
        };
        let port = url.port().unwrap_or(if encrypted { 993 } else { 143 });
        let timeout = Duration::from_secs(60);
        Ok(ImapBuilder { host, port, user, password, folder, encrypted, trusted: None, timeout })
    }

    /// Logs out and closes the connection.
    pub async fn close(mut self) {
        let _ = self.wire.call("log out", "LOGOUT", |_| {}).await;
    }

    async fn open(&mut self, user: &str, password: &Secret, folder: &str) -> Result<()> {
        const LOGIN: &str = "log in";
        // The greeting.
        let greeting = self.wire.response("connect", MAX_RESPONSE).await?;
        match parsed("connect", &greeting)? {
            Response::Data { status: Status::Ok, .. } => {}
            _ => return Err(protocol("connect", "the server does not greet")),
        }
        let mut plain = false;
        self.wire
            .call(LOGIN, "CAPABILITY", |response| {
                if let Response::Capabilities(offered) = response {
                    plain = offered.iter().any(
                        |offer| matches!(offer, Capability::Auth(name) if name.eq_ignore_ascii_case("PLAIN")),
                    );
                }
            })
            .await?;
        if plain {
            let text = format!("\0{user}\0{}", password.expose());
            let text = base64::engine::general_purpose::STANDARD.encode(text);
            self.wire.send(LOGIN, "AUTHENTICATE PLAIN").await?;
            let answer = self.wire.response(LOGIN, MAX_RESPONSE).await?;
            if !answer.starts_with(b"+") {
                return Err(refused_login());
            }
            self.wire.write(LOGIN, format!("{text}\r\n").as_bytes()).await?;
        } else {
            if !user.is_ascii() || !password.expose().is_ascii() {
                return Err(config_error(
                    "user and password must be ASCII: the server does not offer AUTH=PLAIN",
                ));
            }
            self.wire.send(LOGIN, &format!("LOGIN {} {}", quoted(user), quoted(password.expose()))).await?;
        }
        if self.wire.finish(LOGIN, &mut |_| {}).await? != Status::Ok {
            return Err(refused_login());
        }
        const SELECT: &str = "open the folder";
        self.wire.send(SELECT, &format!("SELECT {}", quoted(folder))).await?;
        if self.wire.finish(SELECT, &mut |_| {}).await? != Status::Ok {
            return Err(Error::new(ErrorKind::NotFound, SERVICE, SELECT)
                .with_detail(format!("the server does not open the folder {folder:?}")));
        }
        let mut unread = Vec::new();
        self.wire
            .call("search", "UID SEARCH UNSEEN UNDELETED", |response| {
                if let Response::MailboxData(MailboxDatum::Search(found)) = response {
                    unread.extend(found);
                }
            })
            .await?;
        unread.sort_unstable();
        unread.dedup();
        self.unread = unread.into();
        Ok(())
    }
}

fn refused_login() -> Error {
    Error::new(ErrorKind::Auth, SERVICE, "log in").with_detail("the server refuses user and password")
}

fn protocol(operation: &'static str, detail: &'static str) -> Error {
    Error::new(ErrorKind::Protocol, SERVICE, operation).with_detail(detail)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn parsed<'a>(operation: &'static str, response: &'a [u8]) -> Result<Response<'a>> {
    // The parser descends into brackets.
    let mut depth = 0_usize;
    for byte in response {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            // Messages have any brackets; they are not parsed.
            b'{' => break,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(protocol(operation, "a response nested too deep"));
        }
    }
    match Response::parse(response) {
        Ok((_, response)) => Ok(response),
        // The cause holds the response, and with it people's addresses.
        Err(_) => Err(protocol(operation, "a response that is not IMAP")),
    }
}

/// Commands and responses, within limits of size and time.
struct Wire {
    stream: BufReader<Box<dyn Stream>>,
    buffer: Vec<u8>,
    tag: u32,
    timeout: Duration,
}

impl Wire {
    async fn write(&mut self, operation: &'static str, bytes: &[u8]) -> Result<()> {
        let writing = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        within(self.timeout, operation, writing).await
    }

    async fn send(&mut self, operation: &'static str, command: &str) -> Result<()> {
        self.tag = self.tag.wrapping_add(1);
        let line = format!("a{} {command}\r\n", self.tag);
        self.write(operation, line.as_bytes()).await
    }

    /// Sends a command, and reads responses to its end; an error unless it is OK.
    async fn call(
        &mut self,
        operation: &'static str,
        command: &str,
        mut each: impl FnMut(Response<'_>) + Send,
    ) -> Result<()> {
        self.send(operation, command).await?;
        match self.finish(operation, &mut each).await? {
            Status::Ok => Ok(()),
            _ => Err(Error::new(ErrorKind::Other, SERVICE, operation)
                .with_detail("the server refuses the command")),
        }
    }

    /// Reads responses to the end of the command.
    async fn finish(
        &mut self,
        operation: &'static str,
        each: &mut (dyn FnMut(Response<'_>) + Send),
    ) -> Result<Status> {
        let most = if operation == "search" { MAX_SEARCH } else { MAX_RESPONSE };
        let expected = format!("a{}", self.tag);
        loop {
            let bytes = self.response(operation, most).await?;
            match parsed(operation, &bytes) {
                Ok(Response::Done { tag, status, .. }) if tag.0 == expected => return Ok(status),
                Ok(Response::Data { status: Status::Bye, .. }) if operation != "log out" => {
                    return Err(Error::new(ErrorKind::Unavailable, SERVICE, operation)
                        .with_detail("the server ends the connection"));
                }
                Ok(response) => each(response),
                // An extension that nobody asked for must not end the run; what was asked for is missed by its number.
                Err(error) if !bytes.starts_with(b"* ") => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Reads one response: lines, and the literals between them.
    async fn response(&mut self, operation: &'static str, most: usize) -> Result<Vec<u8>> {
        let (stream, limit) = (&mut self.stream, self.timeout);
        self.buffer.clear();
        let buffer = &mut self.buffer;
        let too_long = || protocol(operation, "a response longer than what was asked for");
        loop {
            let begin = buffer.len();
            loop {
                let byte = within(limit, operation, stream.read_u8()).await?;
                buffer.push(byte);
                if byte == b'\n' {
                    break;
                }
                if buffer.len() > most {
                    return Err(too_long());
                }
            }
            let Some(length) = literal(&buffer[begin..]) else { return Ok(std::mem::take(buffer)) };
            if length > most.saturating_sub(buffer.len()) {
                return Err(too_long());
            }
            let begin = buffer.len();
            buffer.resize(begin + length, 0);
            within(limit, operation, stream.read_exact(&mut buffer[begin..])).await?;
        }
    }
}

/// The length of the literal that a line announces: `… {310}` and CRLF.
fn literal(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"\r\n")?.strip_suffix(b"}")?;
    let begin = line.iter().rposition(|byte| *byte == b'{')? + 1;
    std::str::from_utf8(&line[begin..]).ok()?.parse().ok()
}

async fn within<T>(
    limit: Duration,
    operation: &'static str,
    work: impl Future<Output = std::io::Result<T>>,
) -> Result<T> {
    let failed =
        |detail: &'static str| Error::new(ErrorKind::Unavailable, SERVICE, operation).with_detail(detail);
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(cause)) => Err(failed("the connection broke").with_source(cause)),
        Err(_) => Err(failed("the server did not answer in time")),
    }
}

/// The message of a `FETCH`: number, size, beginning.
fn fetched(response: &Response<'_>) -> Option<(u32, usize, Vec<u8>)> {
    let Response::Fetch(_, values) = response else { return None };
    let (mut number, mut size, mut body) = (None, 0, None);
    for value in values {
        match value {
            AttributeValue::Uid(uid) => number = Some(*uid),
            AttributeValue::Rfc822Size(bytes) => size = usize::try_from(*bytes).unwrap_or(usize::MAX),
            AttributeValue::BodySection { data: Some(data), .. } => body = Some(data.to_vec()),
            _ => {}
        }
    }
    Some((number?, size, body?))
}

#[async_trait]
impl FeedbackSource for ImapSource {
    async fn read(&mut self, most: usize) -> Result<Vec<RawMessage>> {
        // A message may have vanished: an empty answer is not the end.
        while !self.unread.is_empty() {
            let some: Vec<u32> =
                self.unread.drain(..self.unread.len().min(most.clamp(1, MAX_FETCH))).collect();
            let mut asked: HashSet<u32> = some.iter().copied().collect();
            let set = some.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let mut messages: HashMap<u32, RawMessage> = HashMap::with_capacity(some.len());
            self.wire
                .call(
                    "fetch",
                    &format!("UID FETCH {set} (UID RFC822.SIZE BODY.PEEK[]<0.{MAX_MESSAGE}>)"),
                    |response| {
                        // Once each, and only what was asked for: nothing more is kept.
                        let Some((number, size, bytes)) = fetched(&response) else { return };
                        if asked.remove(&number) {
                            let is_cut = size > bytes.len();
                            messages.insert(number, RawMessage { id: number.to_string(), bytes, is_cut });
                        }
                    },
                )
                .await?;
            let messages: Vec<_> = some.iter().filter_map(|number| messages.remove(number)).collect();
            if !messages.is_empty() {
                return Ok(messages);
            }
        }
        Ok(Vec::new())
    }

    async fn mark(&mut self, marks: &[(String, Mark)]) -> Result<()> {
        for (mark, flags) in [(Mark::Read, "\\Seen"), (Mark::Flagged, "\\Seen \\Flagged")] {
            let ids: Vec<&str> =
                marks.iter().filter(|(_, known)| *known == mark).map(|(id, _)| id.as_str()).collect();
            for ids in ids.chunks(MAX_FETCH) {
                let command = format!("UID STORE {} +FLAGS.SILENT ({flags})", ids.join(","));
                self.wire.call("mark", &command, |_| {}).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        ImapSource::from_url(url, Secret::new("s3cret")).unwrap_err().to_string()
    }

    #[test]
    fn url_names_user_host_and_folder() {
        let builder =
            ImapSource::from_url("imaps://b%40shop.example@imap.example/Bounces", Secret::new("s3cret"))
                .unwrap();
        assert_eq!((builder.user.as_str(), builder.port), ("b@shop.example", 993));
        assert_eq!((builder.host.as_str(), builder.folder.as_str()), ("imap.example", "Bounces"));
        let here = ImapSource::from_url("imap://b@127.0.0.1:1143?tls=none", Secret::new("s3cret")).unwrap();
        assert_eq!((here.folder.as_str(), here.port, here.encrypted), ("INBOX", 1143, false));
    }

    #[test]
    fn unencrypted_and_incomplete_urls_are_refused() {
        for url in ["imap://b@imap.example", "imap://b@imap.example?tls=none", "imap://b@127.0.0.1"] {
            assert!(refused(url).contains("not encrypted"), "{url}");
        }
        let with_password = refused("imaps://b:canary@imap.example");
        assert!(with_password.contains("password") && !with_password.contains("canary"));
        for url in ["imaps://imap.example", "https://b@imap.example", "imaps://b@imap.example/a%0Ab", "x"] {
            let error = refused(url);
            assert!(!error.contains("imap.example"), "{error}");
        }
    }

    #[test]
    fn literal_is_announced_at_the_end_of_a_line() {
        assert_eq!(literal(b"* 1 FETCH (BODY[]<0> {310}\r\n"), Some(310));
        for line in [&b"* OK {x}\r\n"[..], b"* OK\r\n", b"{5}\n", b"* {99999999999999999999999}\r\n"] {
            assert_eq!(literal(line), None);
        }
    }

    #[test]
    fn deep_brackets_are_refused_before_they_are_parsed() {
        let response = format!("* 1 FETCH (BODYSTRUCTURE {}\r\n", "(".repeat(100_000));
        assert!(parsed("fetch", response.as_bytes()).is_err());
    }
}
