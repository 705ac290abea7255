//! One connection of the scripted server: reads requests, writes answers, keeps alive.

use super::answer::{Answer, Delivery};
use super::{Received, Shared};
use bytes::{Buf, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;
const MAX_BODY: usize = 16 * 1024 * 1024;

/// How the body of a request is delimited.
enum Framing {
    Length(usize),
    Chunked,
}

struct Head {
    request: Received,
    framing: Framing,
    expects_continue: bool,
    wants_close: bool,
}

/// Serves requests until the peer or an answer ends the connection.
pub(super) async fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(8 * 1024);
    loop {
        let Some(head) = read_head(&mut stream, &mut buffer).await? else { return Ok(()) };
        let scripted = shared.scripted();
        if scripted.as_ref().is_some_and(|answer| answer.delivery == Delivery::ResetBeforeBody) {
            shared.remember(head.request);
            return stream.set_zero_linger();
        }
        if head.expects_continue {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let mut request = head.request;
        request.body = match head.framing {
            Framing::Length(length) => read_exactly(&mut stream, &mut buffer, length).await?,
            Framing::Chunked => read_chunks(&mut stream, &mut buffer).await?,
        };
        let without_body = request.method == "HEAD";
        let answer = match scripted {
            Some(answer) => {
                shared.remember(request);
                answer
            }
            None => {
                // Remembered first: a test that sees the answer must also see the request.
                shared.remember(request.clone());
                shared.answer(&request)
            }
        };
        if !write(&mut stream, &answer, without_body).await? || answer.close || head.wants_close {
            return stream.shutdown().await;
        }
    }
}

fn refused(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads more bytes; an end of the stream in the middle of a request is an error.
async fn fill(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<()> {
    buffer.reserve(8 * 1024);
    if stream.read_buf(buffer).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

async fn read_head(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Option<Head>> {
    loop {
        if let Some((head, length)) = parse_head(buffer)? {
            buffer.advance(length);
            return Ok(Some(head));
        }
        if buffer.len() > MAX_HEAD {
            return Err(refused("the head of the request is too long"));
        }
        buffer.reserve(8 * 1024);
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse_head(buffer: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(buffer).map_err(|_| refused("not an HTTP/1.1 request"))? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(length) => length,
    };
    let target = parsed.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Received {
        method: parsed.method.unwrap_or("GET").to_ascii_uppercase(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: parsed
            .headers
            .iter()
            .map(|header| {
                (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
            })
            .collect(),
        body: Bytes::new(),
    };
    let says = |name: &str, wanted: &str| {
        request.header(name).is_some_and(|value| value.to_ascii_lowercase().contains(wanted))
    };
    let framing = if says("transfer-encoding", "chunked") {
        Framing::Chunked
    } else {
        let length = request.header("content-length").unwrap_or("0").parse::<usize>();
        Framing::Length(length.map_err(|_| refused("the content-length is not a number"))?)
    };
    let (expects_continue, wants_close) = (says("expect", "100-continue"), says("connection", "close"));
    Ok(Some((Head { request, framing, expects_continue, wants_close }, length)))
}

async fn read_exactly(stream: &mut TcpStream, buffer: &mut BytesMut, length: usize) -> io::Result<Bytes> {
    if length > MAX_BODY {
        return Err(refused("the body of the request is too long"));
    }
    while buffer.len() < length {
        fill(stream, buffer).await?;
    }
    Ok(buffer.split_to(length).freeze())
}

async fn read_chunks(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Bytes> {
    let mut body = BytesMut::new();
    loop {
        let parsed = httparse::parse_chunk_size(buffer).map_err(|_| refused("not a chunk size"))?;
        let httparse::Status::Complete((line, size)) = parsed else {
            if buffer.len() > MAX_HEAD {
                return Err(refused("the chunk size is too long"));
            }
            fill(stream, buffer).await?;
            continue;
        };
        buffer.advance(line);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size.saturating_add(body.len()) > MAX_BODY {
            return Err(refused("the body of the request is too long"));
        }
        let chunk = read_exactly(stream, buffer, size).await?;
        // The CRLF after the chunk; after the last one it ends the (unsupported, so empty) trailers.
        let _ = read_exactly(stream, buffer, 2).await?;
        if size == 0 {
            return Ok(body.freeze());
        }
        body.extend_from_slice(&chunk);
    }
}

/// Writes the answer; true when another request may follow on this connection.
async fn write(stream: &mut TcpStream, answer: &Answer, without_body: bool) -> io::Result<bool> {
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    let mut bytes = answer.head();
    let body: &[u8] = if without_body { &[] } else { &answer.body };
    match answer.delivery {
        Delivery::Silence => {
            wait_for_hangup(stream).await;
            return Ok(false);
        }
        Delivery::Reset | Delivery::ResetBeforeBody => {
            stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Delivery::Whole => {
            bytes.extend_from_slice(body);
            stream.write_all(&bytes).await?;
            return Ok(true);
        }
        Delivery::Claiming(_) => {
            bytes.extend_from_slice(body);
            stream.write_all(&bytes).await?;
        }
        Delivery::CutAfter(count) => {
            bytes.extend_from_slice(body);
            bytes.truncate(count);
            stream.write_all(&bytes).await?;
        }
        Delivery::Chunked => {
            for chunk in body.chunks(1024) {
                push_chunk(&mut bytes, chunk);
            }
            if !without_body {
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
            stream.write_all(&bytes).await?;
            return Ok(true);
        }
        Delivery::Drip(pause) => {
            stream.write_all(&bytes).await?;
            for byte in body {
                tokio::time::sleep(pause).await;
                stream.write_all(std::slice::from_ref(byte)).await?;
            }
            return Ok(true);
        }
        Delivery::Endless => {
            stream.write_all(&bytes).await?;
            let mut chunk = Vec::new();
            push_chunk(&mut chunk, if body.is_empty() { b"x" } else { body });
            loop {
                stream.write_all(&chunk).await?;
            }
        }
    }
    Ok(false)
}

fn push_chunk(bytes: &mut Vec<u8>, chunk: &[u8]) {
    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
    bytes.extend_from_slice(chunk);
    bytes.extend_from_slice(b"\r\n");
}

async fn wait_for_hangup(stream: &mut TcpStream) {
    let mut ignored = [0_u8; 1024];
    while let Ok(count) = stream.read(&mut ignored).await {
        if count == 0 {
            return;
        }
    }
}
