//! The demo provider's side of HTTP/1.1: as much of it as one polite client, the gateway, speaks.

use super::{Answer, Dialect, Request};
use bytes::{Buf, Bytes, BytesMut};
use http::{Method, StatusCode};
use memchr::memmem;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const HEAD_LIMIT: usize = 64 * 1024;
const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// The moment between two pieces of a stream, so that a person sees it move.
const PAUSE: Duration = Duration::from_millis(15);

/// Why a connection ends.
enum Fault {
    /// The client is gone: nobody is left to tell.
    Gone,
    /// The request cannot be read, and neither can what follows it.
    Refused(StatusCode, &'static str),
}

impl From<std::io::Error> for Fault {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

const TOO_LARGE: Fault = Fault::Refused(StatusCode::PAYLOAD_TOO_LARGE, "The request body is over 8 MiB.");
const BAD: StatusCode = StatusCode::BAD_REQUEST;

/// How the end of a request's body is found.
enum Length {
    Fixed(usize),
    Chunked,
}

/// A request without its body yet.
struct Head {
    request: Request,
    length: Length,
    keep_alive: bool,
    /// HTTP/1.0 knows no chunks; there the end of the connection is the end of the answer.
    chunks: bool,
}

/// Serves one connection until either side has enough of it. Nothing here times out: the client is the
/// gateway's connection pool, which decides itself how long an idle connection is worth keeping.
pub(super) async fn connection(stream: TcpStream) {
    // A refusal only means that small pieces may arrive late.
    let _ = stream.set_nodelay(true);
    let mut wire = Wire { stream, dialect: Dialect::OpenAi, buffer: BytesMut::new() };
    loop {
        match wire.exchange().await {
            Ok(true) => {}
            Ok(false) | Err(Fault::Gone) => break,
            Err(Fault::Refused(status, reason)) => {
                let answer = wire.dialect.error(status, reason);
                if wire.write(&answer, &Manner::CLOSING).await.is_ok() {
                    wire.linger().await;
                }
                break;
            }
        }
    }
}

/// How an answer is put on the wire.
struct Manner {
    keep_alive: bool,
    chunks: bool,
    with_body: bool,
}

impl Manner {
    const CLOSING: Self = Self { keep_alive: false, chunks: true, with_body: true };
}

struct Wire {
    stream: TcpStream,
    /// Whose errors the current request expects.
    dialect: Dialect,
    buffer: BytesMut,
}

impl Wire {
    /// One request and its answer; says whether another may follow.
    async fn exchange(&mut self) -> Result<bool, Fault> {
        let head = self.head().await?;
        let mut request = head.request;
        self.dialect = Dialect::of(&request);
        request.body = match head.length {
            Length::Fixed(length) => self.take(length).await?,
            Length::Chunked => self.chunked().await?,
        };
        let answer = super::answer(&request);
        let keep_alive = head.keep_alive && (head.chunks || !answer.streamed);
        let manner = Manner { keep_alive, chunks: head.chunks, with_body: request.method != Method::HEAD };
        self.write(&answer, &manner).await?;
        Ok(keep_alive)
    }

    async fn fill(&mut self) -> Result<(), Fault> {
        self.buffer.reserve(16 * 1024);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(Fault::Gone),
            _ => Ok(()),
        }
    }

    /// Takes what comes before the next `end`, and drops the `end` itself.
    async fn until(&mut self, end: &[u8], limit: usize) -> Result<Bytes, Fault> {
        loop {
            if let Some(at) = memmem::find(&self.buffer, end) {
                let taken = self.buffer.split_to(at).freeze();
                self.buffer.advance(end.len());
                return Ok(taken);
            }
            if self.buffer.len() > limit {
                let reason = "The request's head is too long.";
                return Err(Fault::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, reason));
            }
            self.fill().await?;
        }
    }

    async fn take(&mut self, length: usize) -> Result<Bytes, Fault> {
        if length > BODY_LIMIT {
            return Err(TOO_LARGE);
        }
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn chunked(&mut self) -> Result<Bytes, Fault> {
        let mut body = BytesMut::new();
        loop {
            let line = self.until(b"\r\n", HEAD_LIMIT).await?;
            let size = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            let size = std::str::from_utf8(size).ok().filter(|size| !size.starts_with('+'));
            let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.ok_or(Fault::Refused(BAD, "A chunk of the request body has no length."))?;
            if size == 0 {
                // Trailers end with an empty line, and nobody reads them.
                while !self.until(b"\r\n", HEAD_LIMIT).await?.is_empty() {}
                return Ok(body.freeze());
            }
            if size > BODY_LIMIT - body.len() {
                return Err(TOO_LARGE);
            }
            body.extend_from_slice(&self.take(size).await?);
            if !self.until(b"\r\n", HEAD_LIMIT).await?.is_empty() {
                return Err(Fault::Refused(BAD, "A chunk of the request body is longer than it says."));
            }
        }
    }

    async fn head(&mut self) -> Result<Head, Fault> {
        let head = self.until(b"\r\n\r\n", HEAD_LIMIT).await?;
        // Headers that nobody here reads may hold any bytes.
        let head = String::from_utf8_lossy(&head);
        parse(&head).ok_or(Fault::Refused(BAD, "The request's head is malformed."))
    }

    async fn write(&mut self, answer: &Answer, manner: &Manner) -> Result<(), Fault> {
        let chunked = answer.streamed && manner.chunks;
        let mut out = BytesMut::from(head(answer, manner, chunked).as_bytes());
        for (index, piece) in answer.pieces.iter().enumerate() {
            if !manner.with_body {
                break;
            }
            if answer.streamed && index > 0 {
                self.stream.write_all_buf(&mut out).await?;
                sleep(PAUSE).await;
            }
            if chunked {
                out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            }
            out.extend_from_slice(piece);
            if chunked {
                out.extend_from_slice(b"\r\n");
            }
        }
        if chunked && manner.with_body {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        self.stream.write_all_buf(&mut out).await?;
        Ok(())
    }

    /// Reads what a refused client is still sending: closing on it would take the answer away with it.
    async fn linger(&mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let drained = async {
            while self.fill().await.is_ok() {
                self.buffer.clear();
            }
        };
        let _ = timeout(Duration::from_secs(2), drained).await;
    }
}

fn head(answer: &Answer, manner: &Manner, chunked: bool) -> String {
    let length: usize = answer.pieces.iter().map(Bytes::len).sum();
    let framing = match (chunked, answer.streamed) {
        (true, _) => "transfer-encoding: chunked\r\n".to_owned(),
        (false, false) => format!("content-length: {length}\r\n"),
        (false, true) => String::new(),
    };
    let closing = if manner.keep_alive { "" } else { "connection: close\r\n" };
    let (status, kind) = (answer.status, answer.content_type);
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{framing}{closing}\r\n")
}

fn parse(head: &str) -> Option<Head> {
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target, version) = (first.next()?, first.next()?, first.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let chunks = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ => return None,
    };
    let mut parsed = Head {
        request: Request {
            method: method.parse().ok()?,
            path: path.to_owned(),
            query: query.to_owned(),
            sender: None,
            body: Bytes::new(),
        },
        length: Length::Fixed(0),
        keep_alive: chunks,
        chunks,
    };
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "anthropic-version" => parsed.request.sender = Some(Dialect::Anthropic),
            "x-goog-api-key" => parsed.request.sender = Some(Dialect::Gemini),
            "content-length" if matches!(parsed.length, Length::Fixed(_)) => {
                parsed.length = Length::Fixed(value.parse().ok()?);
            }
            "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => {
                parsed.length = Length::Chunked;
            }
            "transfer-encoding" => return None,
            "connection" if value.eq_ignore_ascii_case("close") => parsed.keep_alive = false,
            _ => {}
        }
    }
    Some(parsed)
}
