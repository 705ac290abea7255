//! A scripted HTTP/1.1 server on loopback: for the tests of connectors, and for examples that run without an account.
//!
//! It gives scripted responses, misbehaves on request (half an answer, one byte a second, a reset, an endless body)
//! and remembers what it was asked. It will not speak TLS or HTTP/2, and it listens on 127.0.0.1 only. Requests are
//! bounded (64 KiB of head, 16 MiB of body, 256 connections at a time, 10 000 requests remembered) and everything it
//! started ends when it is dropped.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use mkt_connect::testing::{Answer, Server};
//!
//! let server = Server::start(|request| match request.path.as_str() {
//!     "/hello" => Answer::json(r#"{"hello":"world"}"#),
//!     _ => Answer::status(404),
//! })
//! .await?;
//! assert!(server.url().starts_with("http://127.0.0.1:"));
//! assert_eq!(server.hits(), 0);
//! # Ok::<(), std::io::Error>(())
//! # }).unwrap();
//! ```

mod answer;
mod connection;
mod received;

pub use answer::Answer;
pub use received::Received;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How many connections are served at a time; further ones wait in the listener's queue.
const MAX_CONNECTIONS: usize = 256;
/// How many requests are remembered; further ones are answered and counted.
const MAX_REMEMBERED: usize = 10_000;

type Handler = dyn Fn(&Received) -> Answer + Send + Sync;

enum Behaviour {
    Handler(Box<Handler>),
    Script(Mutex<VecDeque<Answer>>),
}

/// What the connections and the handle share.
struct Shared {
    behaviour: Behaviour,
    remembered: Mutex<Vec<Received>>,
    hits: watch::Sender<usize>,
    connections: AtomicUsize,
}

impl Shared {
    /// The next scripted answer; `None` where a closure decides after it has seen the whole request.
    fn scripted(&self) -> Option<Answer> {
        match &self.behaviour {
            Behaviour::Handler(_) => None,
            Behaviour::Script(queue) => {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                Some(next.unwrap_or_else(|| Answer::text("the script is over").with_status(500)))
            }
        }
    }

    fn answer(&self, request: &Received) -> Answer {
        match &self.behaviour {
            Behaviour::Handler(handler) => handler(request),
            Behaviour::Script(_) => Answer::status(500),
        }
    }

    fn remember(&self, request: Received) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() < MAX_REMEMBERED {
            remembered.push(request);
        }
        drop(remembered);
        self.hits.send_modify(|hits| *hits += 1);
    }
}

/// A running server. Dropping it closes the listener and every connection.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Starts a server that answers each request with what `handler` returns for it.
    ///
    /// # Errors
    /// When no port on loopback can be opened.
    pub async fn start(handler: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> io::Result<Self> {
        Self::listen(Behaviour::Handler(Box::new(handler))).await
    }

    /// Starts a server that gives these answers in this order, whatever the requests. When the script is over it
    /// answers 500 with the text `the script is over`.
    ///
    /// # Errors
    /// When no port on loopback can be opened.
    pub async fn scripted(answers: impl IntoIterator<Item = Answer>) -> io::Result<Self> {
        Self::listen(Behaviour::Script(Mutex::new(answers.into_iter().collect()))).await
    }

    async fn listen(behaviour: Behaviour) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            behaviour,
            remembered: Mutex::new(Vec::new()),
            hits: watch::Sender::new(0),
            connections: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `127.0.0.1:PORT`, as an option that names one allowed host wants it.
    #[must_use]
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The total number of requests that arrived (their head at least).
    #[must_use]
    pub fn hits(&self) -> usize {
        *self.shared.hits.borrow()
    }

    /// The total number of accepted connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// The requests in the order of their arrival: the first 10 000.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.shared.remembered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until at least `count` requests arrived.
    pub async fn wait_for_hits(&self, count: usize) {
        let mut hits = self.shared.hits.subscribe();
        // The sender lives in `shared`, so waiting cannot fail.
        let _ = hits.wait_for(|hits| *hits >= count).await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).field("hits", &self.hits()).finish()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ends the accepting task, and with its `JoinSet` every connection.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, or a peer that gave up while queued: neither ends the server.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A broken connection ends only itself, and is often the point of the test.
            let _ = connection::serve(stream, &shared).await;
            drop(place);
        });
    }
}
