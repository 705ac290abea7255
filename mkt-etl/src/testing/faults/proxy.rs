//! Stands before a good server and spoils its answers on demand.

use super::fault::{Delivery, Fault, Scene, Wire};
use chrono::Utc;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The largest request or answer that goes through.
const MAX_BYTES: usize = 32 << 20;

/// A proxy on loopback that forwards requests to a server and, from a chosen request on, lets a [`Fault`] strike.
///
/// HTTP/1.1 without TLS, requests with a content-length. Everything that it started ends when it is dropped.
pub struct FaultProxy {
    address: SocketAddr,
    trap: SocketAddr,
    shared: Arc<Shared>,
    running: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    /// Requests that came.
    hits: usize,
    strike: Option<Strike>,
    previous: Option<Wire>,
    first: Option<Wire>,
}

#[derive(Clone, Copy)]
struct Strike {
    fault: Fault,
    /// From this request on, counted from 0.
    from: usize,
    /// Up to this one, which is spared.
    until: usize,
}

struct Shared {
    upstream: String,
    trap: String,
    state: Mutex<State>,
    trapped: AtomicUsize,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultProxy {
    /// Starts it before the server at `upstream`, a host and a port.
    ///
    /// # Errors
    /// When no port on loopback can be opened.
    pub async fn start(upstream: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let trap = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, trap_address) = (listener.local_addr()?, trap.local_addr()?);
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            trap: trap_address.to_string(),
            state: Mutex::default(),
            trapped: AtomicUsize::new(0),
        });
        let running = vec![
            tokio::spawn(accept(listener, Arc::clone(&shared))),
            tokio::spawn(spring(trap, Arc::clone(&shared))),
        ];
        Ok(Self { address, trap: trap_address, shared, running })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// How many requests came.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.shared.state().hits
    }

    /// How many connections went where a redirect led.
    #[must_use]
    pub fn trapped(&self) -> usize {
        self.shared.trapped.load(Ordering::Relaxed)
    }

    /// Lets a fault strike `count` requests after the next `spared` ones.
    pub fn inject(&self, fault: Fault, spared: usize, count: usize) {
        let mut state = self.shared.state();
        let from = state.hits.saturating_add(spared);
        state.strike = Some(Strike { fault, from, until: from.saturating_add(count) });
        state.first = None;
    }

    /// Ends the fault.
    pub fn heal(&self) {
        self.shared.state().strike = None;
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy")
            .field("address", &self.address)
            .field("trap", &self.trap)
            .field("hits", &self.hits())
            .finish_non_exhaustive()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}

/// Counts who comes, and hangs up.
async fn spring(listener: TcpListener, shared: Arc<Shared>) {
    while listener.accept().await.is_ok() {
        shared.trapped.fetch_add(1, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A broken connection is the peer's affair, and often the point.
            let _ = serve(stream, &shared).await;
        });
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(request) = read_message(&mut stream, &mut buffer).await? {
        let (strike, previous) = {
            let mut state = shared.state();
            let number = state.hits;
            state.hits += 1;
            let strike = state.strike.filter(|strike| (strike.from..strike.until).contains(&number));
            (strike.map(|strike| strike.fault), state.previous.take())
        };
        let good = forward(&shared.upstream, &request).await?;
        let (wire, delivery) = match strike {
            None => (good.clone(), Delivery::Plain),
            Some(fault) => fault.strike(Scene {
                request: &request,
                first: shared.state().first.get_or_insert_with(|| good.clone()).clone().into(),
                good: good.clone(),
                previous,
                trap: &shared.trap,
                soon: (Utc::now() + chrono::TimeDelta::seconds(2))
                    .format("%a, %d %b %Y %H:%M:%S GMT")
                    .to_string(),
            }),
        };
        shared.state().previous = Some(good);
        if !deliver(&mut stream, &wire, delivery).await? {
            return stream.shutdown().await;
        }
    }
    Ok(())
}

fn refused(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A request: head and body. `None` when the peer is done.
async fn read_message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(head) = head_length(buffer) {
            let length = header(&buffer[..head], "content-length").map_or(Ok(0), |text| {
                text.parse::<usize>().map_err(|_| refused("the content-length is not a number"))
            })?;
            let whole = head.saturating_add(length);
            if whole > MAX_BYTES {
                return Err(refused("the request is too long"));
            }
            if buffer.len() >= whole {
                let rest = buffer.split_off(whole);
                return Ok(Some(std::mem::replace(buffer, rest)));
            }
        } else if buffer.len() > MAX_BYTES {
            return Err(refused("the head of the request is too long"));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// Where the empty line ends.
fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn header(head: &[u8], name: &str) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    head.split("\r\n").skip(1).find_map(|line| {
        let (held, value) = line.split_once(':')?;
        held.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// Asks the good server, on a connection of its own.
async fn forward(upstream: &str, request: &[u8]) -> io::Result<Wire> {
    let mut server = TcpStream::connect(upstream).await?;
    let line = request.windows(2).position(|two| two == b"\r\n").ok_or_else(|| refused("no request line"))?;
    // The first header of a name counts, so that this one does. No compression: what is spoiled is read before.
    let own = b"\r\nconnection: close\r\naccept-encoding: identity";
    server.write_all(&[&request[..line], own, &request[line..]].concat()).await?;
    let mut answer = Vec::new();
    server.take(MAX_BYTES as u64).read_to_end(&mut answer).await?;
    let head = head_length(&answer).ok_or_else(|| refused("the good server gave no answer"))?;
    let (head, body) = answer.split_at(head);
    let text = String::from_utf8_lossy(head).into_owned();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| refused("the good server gave no status"))?;
    let chunked = header(head, "transfer-encoding").is_some_and(|value| value.contains("chunked"));
    let body = if chunked { without_chunks(body)? } else { body.to_vec() };
    let of_the_wire = ["content-length", "transfer-encoding", "connection"];
    let headers = text
        .split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| !of_the_wire.iter().any(|own| name.eq_ignore_ascii_case(own)))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Ok(Wire { status, headers, body })
}

fn without_chunks(mut body: &[u8]) -> io::Result<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let line = body.windows(2).position(|two| two == b"\r\n").ok_or_else(|| refused("not a chunk"))?;
        let size = std::str::from_utf8(&body[..line])
            .ok()
            .and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let size = size.ok_or_else(|| refused("not a chunk size"))?;
        let chunk = body.get(line + 2..line + 2 + size).ok_or_else(|| refused("half of a chunk"))?;
        if size == 0 {
            return Ok(whole);
        }
        whole.extend_from_slice(chunk);
        body = body.get(line + 4 + size..).ok_or_else(|| refused("half of a chunk"))?;
    }
}

/// Writes the answer; true when another request may follow on this connection.
async fn deliver(stream: &mut TcpStream, wire: &Wire, delivery: Delivery) -> io::Result<bool> {
    let mut head = format!("HTTP/1.1 {} Answer\r\n", wire.status);
    for (name, value) in &wire.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    match delivery {
        Delivery::Silence => {
            wait_for_hang_up(stream).await;
            return Ok(false);
        }
        Delivery::DripHeaders(pause) => {
            stream.write_all(head.as_bytes()).await?;
            for number in 0_u64.. {
                tokio::time::sleep(pause).await;
                stream.write_all(format!("x-more-{number}: to come\r\n").as_bytes()).await?;
            }
            return Ok(false);
        }
        Delivery::Endless => {
            head.push_str("transfer-encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            let chunk = [b"2000\r\n".as_slice(), &[b' '; 0x2000], b"\r\n"].concat();
            loop {
                stream.write_all(&chunk).await?;
            }
        }
        Delivery::Reset { headers } => {
            if headers {
                head.push_str(&format!("content-length: {}\r\n\r\n", wire.body.len()));
                stream.write_all(head.as_bytes()).await?;
                stream.flush().await?;
                // Long enough for the peer to read them.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Delivery::Plain | Delivery::ThenClose | Delivery::Claiming(_) | Delivery::Drip(_) => {}
    }
    let length = if let Delivery::Claiming(length) = delivery { length } else { wire.body.len() };
    // RFC 9110, section 8.6: a 204 has neither a body nor a length.
    if wire.status != 204 {
        head.push_str(&format!("content-length: {length}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    if let Delivery::Drip(pause) = delivery {
        for byte in &wire.body {
            tokio::time::sleep(pause).await;
            stream.write_all(std::slice::from_ref(byte)).await?;
        }
        return Ok(true);
    }
    stream.write_all(&wire.body).await?;
    Ok(delivery == Delivery::Plain)
}

async fn wait_for_hang_up(stream: &mut TcpStream) {
    let mut ignored = [0_u8; 1024];
    while let Ok(1..) = stream.read(&mut ignored).await {}
}
