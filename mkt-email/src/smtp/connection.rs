//! Opens a connection: TCP, TLS, `EHLO`, credentials, in this order. No credential is written before the certificate of the
//! host is verified.

use super::SERVICE;
use super::auth::{Mechanisms, authenticate};
use super::error::{code, unreachable, unwilling};
use super::reply::Reply;
use super::settings::{Security, Settings};
use super::wire::{Fault, Stream, Wire};
use mkt_connect::{Error, ErrorKind, Result};
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

const CONNECT: &str = "connect";

/// The extensions that a server offers (RFC 5321 §4.1.1.1). Unknown keywords are ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Offers {
    pub(super) pipelining: bool,
    pub(super) eight_bit: bool,
    /// Whether sizes may be declared (RFC 1870), and the most bytes it takes, where it says so.
    pub(super) size: bool,
    pub(super) max_size: Option<usize>,
    start_tls: bool,
    auth: Mechanisms,
}

impl Offers {
    fn of(reply: &Reply) -> Self {
        let mut offers = Self::default();
        // The first line is the server's name.
        for line in reply.text.split('\n').skip(1) {
            // Some old servers write `AUTH=LOGIN PLAIN`.
            let mut words =
                line.split(|c: char| c.is_ascii_whitespace() || c == '=').filter(|word| !word.is_empty());
            match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
                "PIPELINING" => offers.pipelining = true,
                "8BITMIME" => offers.eight_bit = true,
                "STARTTLS" => offers.start_tls = true,
                "SIZE" => {
                    offers.size = true;
                    // Zero stands for no fixed limit.
                    offers.max_size =
                        words.next().and_then(|size| size.parse().ok()).filter(|size| *size > 0);
                }
                "AUTH" => {
                    for word in words {
                        match word.to_ascii_uppercase().as_str() {
                            "PLAIN" => offers.auth.plain = true,
                            "LOGIN" => offers.auth.login = true,
                            "XOAUTH2" => offers.auth.xoauth2 = true,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        offers
    }
}

/// A connection ready for emails.
pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) offers: Offers,
    /// Whether a transaction is open, so that the next one needs RSET.
    pub(super) begun: bool,
    /// Whether the connection can be reused.
    pub(super) sound: bool,
    /// Emails sent over it.
    pub(super) emails: u32,
    /// Negative replies on it.
    pub(super) errors: u32,
    pub(super) opened: Instant,
    pub(super) rested: Instant,
}

impl Connection {
    /// Opens a connection.
    pub(super) async fn open(settings: &Settings) -> Result<Self> {
        let times = &settings.timeouts;
        let tcp = async {
            let stream = TcpStream::connect((settings.host.as_str(), settings.port)).await?;
            // Otherwise the last, short packet of every email waits 40 ms for an acknowledgement.
            stream.set_nodelay(true)?;
            io::Result::Ok(stream)
        };
        let stream = timeout(times.connect, tcp)
            .await
            .map_err(|_| unreachable(CONNECT, Fault::Silent))?
            .map_err(|cause| {
                let error = Error::new(ErrorKind::Unavailable, SERVICE, CONNECT);
                error.with_detail("no connection could be made").with_source(cause)
            })?;
        let name = settings.hello_name.clone().unwrap_or_else(|| literal(stream.local_addr().ok()));
        let mut wire = match settings.security {
            Security::Implicit => Wire::new(tls(settings, stream).await?),
            Security::StartTls | Security::Unencrypted => Wire::new(Stream::Plain(stream)),
        };
        let greeting = wire.reply(times.greeting).await.map_err(|fault| unreachable(CONNECT, fault))?;
        if !greeting.is_yes() {
            return Err(unwilling(CONNECT, &greeting));
        }
        let mut offers = hello(&mut wire, settings, &name).await?;
        if settings.security == Security::StartTls {
            (wire, offers) = start_tls(wire, offers, settings, &name).await?;
        }
        if let Some(credentials) = &settings.credentials {
            authenticate(&mut wire, offers.auth, credentials, times.command).await?;
        }
        let now = Instant::now();
        Ok(Self { wire, offers, begun: false, sound: true, emails: 0, errors: 0, opened: now, rested: now })
    }

    /// Sends QUIT and waits at most this long for the answer.
    pub(super) async fn quit(mut self, wait: Duration) {
        let farewell = async {
            self.wire.write(b"QUIT\r\n", wait).await?;
            if !wait.is_zero() {
                self.wire.reply(wait).await?;
            }
            self.wire.shut().await;
            Ok::<_, Fault>(())
        };
        let _ = timeout(wait.max(Duration::from_millis(100)), farewell).await;
    }
}

/// The address literal of a host without a name (RFC 5321 §4.1.3).
fn literal(address: Option<SocketAddr>) -> String {
    match address {
        Some(SocketAddr::V6(address)) => format!("[IPv6:{}]", address.ip()),
        Some(SocketAddr::V4(address)) => format!("[{}]", address.ip()),
        None => "[127.0.0.1]".to_owned(),
    }
}

async fn command(wire: &mut Wire, line: &str, operation: &'static str, within: Duration) -> Result<Reply> {
    wire.write(line.as_bytes(), within).await.map_err(|fault| unreachable(operation, fault))?;
    wire.reply(within).await.map_err(|fault| unreachable(operation, fault))
}

async fn hello(wire: &mut Wire, settings: &Settings, name: &str) -> Result<Offers> {
    let within = settings.timeouts.command;
    let reply = command(wire, &format!("EHLO {name}\r\n"), CONNECT, within).await?;
    if reply.is_yes() {
        return Ok(Offers::of(&reply));
    }
    // A server that knows no extensions knows neither TLS nor credentials.
    let bare = settings.security == Security::Unencrypted && settings.credentials.is_none();
    if matches!(reply.code, 500 | 502 | 504) && bare {
        let reply = command(wire, &format!("HELO {name}\r\n"), CONNECT, within).await?;
        return if reply.is_yes() { Ok(Offers::default()) } else { Err(unwilling(CONNECT, &reply)) };
    }
    Err(unwilling(CONNECT, &reply))
}

async fn start_tls(
    mut wire: Wire,
    offers: Offers,
    settings: &Settings,
    name: &str,
) -> Result<(Wire, Offers)> {
    const START: &str = "start TLS";
    if !offers.start_tls {
        // Missing, or cut out by somebody on the way.
        let error = Error::new(ErrorKind::Unsupported, SERVICE, START);
        return Err(error.with_detail("the server does not offer STARTTLS; nothing was sent to it"));
    }
    let reply = command(&mut wire, "STARTTLS\r\n", START, settings.timeouts.command).await?;
    if reply.code != 220 {
        let error = unwilling(START, &reply);
        return Err(if reply.class() == 4 { error } else { error.with_detail(code(&reply)) });
    }
    let stream = wire.into_plain().map_err(|fault| unreachable(START, fault))?;
    let mut wire = Wire::new(tls(settings, stream).await?);
    // What was offered in the clear counts for nothing (RFC 3207 §4.2).
    let offers = hello(&mut wire, settings, name).await?;
    Ok((wire, offers))
}

async fn tls(settings: &Settings, stream: TcpStream) -> Result<Stream> {
    const HANDSHAKE: &str = "start TLS";
    let fail = |kind, detail: &'static str| Error::new(kind, SERVICE, HANDSHAKE).with_detail(detail);
    let (Some(config), Ok(name)) = (&settings.tls, ServerName::try_from(settings.host.clone())) else {
        return Err(fail(ErrorKind::Config, "the host has no name that a certificate could hold"));
    };
    let handshake = TlsConnector::from(std::sync::Arc::clone(config)).connect(name, stream);
    match timeout(settings.timeouts.greeting, handshake).await {
        Err(_) => Err(unreachable(HANDSHAKE, Fault::Silent)),
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        // Not to be tried again in a minute: a certificate does not become right by asking.
        Ok(Err(cause)) if is_about_tls(&cause) => {
            Err(fail(ErrorKind::Protocol, "the server did not prove that it is the host asked for")
                .with_source(cause))
        }
        Ok(Err(cause)) => Err(unreachable(HANDSHAKE, cause.into())),
    }
}

/// Whether TLS itself failed, and not the connection below it.
fn is_about_tls(cause: &io::Error) -> bool {
    let Some(inner) = cause.get_ref() else { return false };
    inner.is::<rustls::Error>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::reply::Assembly;

    #[test]
    fn offers_are_read_in_every_spelling_in_use() {
        let mut assembly = Assembly::default();
        let lines = [
            "250-mx at your service",
            "250-SIZE 35882577",
            "250-8bitmime",
            "250-AUTH=LOGIN",
            "250-STARTTLS",
            "250-AUTH PLAIN XOAUTH2 OAUTHBEARER",
            "250-X-SOMETHING a=b",
            "250 PIPELINING",
        ];
        let reply = lines.iter().find_map(|line| assembly.push(line.as_bytes()).unwrap()).unwrap();
        let auth = Mechanisms { plain: true, login: true, xoauth2: true };
        let all = Offers {
            pipelining: true,
            eight_bit: true,
            size: true,
            max_size: Some(35_882_577),
            start_tls: true,
            auth,
        };
        assert_eq!(Offers::of(&reply), all);
        let reply = Assembly::default().push(b"250 PIPELINING").unwrap().unwrap();
        assert_eq!(Offers::of(&reply), Offers::default(), "the server's own name is no offer");
    }
}
