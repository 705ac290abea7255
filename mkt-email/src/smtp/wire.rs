//! Bytes to and from a server: replies are read within size limits and deadlines, commands are written whole.

use super::reply::{Assembly, MAX_LINE, Reply};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

/// Bytes that must be written within one deadline.
const BLOCK: usize = 64 * 1024;
const READ: usize = 4 * 1024;

/// How a connection failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The peer closed the connection.
    Closed,
    /// An I/O error.
    Broken(io::Error),
    /// A time-out.
    Silent,
    /// The peer does not speak SMTP.
    Garbage(&'static str),
}

impl Fault {
    pub(super) fn clause(&self) -> &'static str {
        match self {
            Self::Closed => "the server closed the connection",
            Self::Broken(_) => "the connection broke",
            Self::Silent => "the server did not answer in time",
            Self::Garbage(what) => what,
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // rustls tells a connection that ends without its farewell so; servers do that.
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Broken(error),
        }
    }
}

pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// A connection with its read buffer.
pub(super) struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
    /// Up to where the buffer is used.
    used: usize,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, buffer: Vec::with_capacity(READ), used: 0 }
    }

    /// The bare connection, for TLS to begin on it.
    ///
    /// # Errors
    /// [`Fault::Garbage`] when the server wrote more than it was asked for: whatever was put there in the clear would
    /// be taken for an answer under TLS (CVE-2011-0411 and its kin).
    pub(super) fn into_plain(self) -> Result<TcpStream, Fault> {
        match self.stream {
            Stream::Plain(stream) if self.used == self.buffer.len() => Ok(stream),
            _ => Err(Fault::Garbage("the server wrote ahead of the TLS handshake")),
        }
    }

    /// Writes everything.
    ///
    /// `Err` means that the last byte did not leave: with TCP because the system did not take it, with TLS because the
    /// record that holds it is incomplete, which the other side cannot read.
    pub(super) async fn write(&mut self, bytes: &[u8], within: Duration) -> Result<(), Fault> {
        for block in bytes.chunks(BLOCK) {
            let written = async {
                self.stream.write_all(block).await?;
                self.stream.flush().await
            };
            timeout(within, written).await.map_err(|_| Fault::Silent)??;
        }
        Ok(())
    }

    /// Reads one reply. The time is for the whole of it, so that a server which sends a byte now and then cannot hold
    /// the line.
    pub(super) async fn reply(&mut self, within: Duration) -> Result<Reply, Fault> {
        timeout(within, self.next_reply()).await.map_err(|_| Fault::Silent)?
    }

    async fn next_reply(&mut self) -> Result<Reply, Fault> {
        let mut assembly = Assembly::default();
        loop {
            let line = self.line().await?;
            let line = self.buffer.get(line).unwrap_or_default();
            if let Some(reply) = assembly.push(line).map_err(Fault::Garbage)? {
                return Ok(reply);
            }
        }
    }

    /// Where the next line is in the buffer, without its end.
    async fn line(&mut self) -> Result<std::ops::Range<usize>, Fault> {
        let mut searched = self.used;
        loop {
            let fresh = self.buffer.get(searched..).unwrap_or_default();
            if let Some(at) = fresh.iter().position(|byte| *byte == b'\n') {
                let (start, end) = (self.used, searched + at);
                self.used = end + 1;
                let carriage = end > start && self.buffer.get(end - 1) == Some(&b'\r');
                return Ok(start..end - usize::from(carriage));
            }
            if self.buffer.len() - self.used > MAX_LINE {
                return Err(Fault::Garbage("a line without end"));
            }
            self.buffer.drain(..self.used);
            self.used = 0;
            searched = self.buffer.len();
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Fault::Closed);
            }
        }
    }

    /// Whether the server is silent and there, as it should be between two emails. Does not wait.
    pub(super) async fn is_quiet(&mut self) -> bool {
        if self.used < self.buffer.len() {
            return false;
        }
        let (mut byte, stream) = ([0], &mut self.stream);
        std::future::poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut byte);
            Poll::Ready(Pin::new(&mut *stream).poll_read(context, &mut buffer).is_pending())
        })
        .await
    }

    /// Ends the connection towards the server.
    pub(super) async fn shut(&mut self) {
        let _ = self.stream.shutdown().await;
    }
}
