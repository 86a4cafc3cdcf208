//! The little of HTTP/1.1 that the mock and the load generator need: one connection, messages in, bytes out.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Result;

const READ_SIZE: usize = 16 * 1024;

/// A request or an answer, kept by the caller so that its buffers are used again.
#[derive(Debug, Default)]
pub struct Message {
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

impl Message {
    /// The status code of an answer.
    pub fn status(&self) -> Option<u16> {
        std::str::from_utf8(self.head.get(9..12)?).ok()?.parse().ok()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let head = std::str::from_utf8(&self.head).ok()?;
        head.split("\r\n").skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// One connection with what was read ahead of the message at hand.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    used: usize,
}

impl Connection {
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        Self::new(TcpStream::connect(address).await?)
    }

    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(READ_SIZE), used: 0 })
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Reads a whole message; `false` when the other side closed between messages.
    pub async fn read(&mut self, message: &mut Message) -> Result<bool> {
        if !self.read_head(message).await? {
            return Ok(false);
        }
        if let Some(length) = message.header("content-length") {
            let length = length.parse()?;
            self.take(length, &mut message.body).await?;
        } else if message.header("transfer-encoding").is_some() {
            while self.read_chunk(message).await? {}
        }
        Ok(true)
    }

    /// Reads up to and including the empty line; `false` when the other side closed before it began.
    pub async fn read_head(&mut self, message: &mut Message) -> Result<bool> {
        message.head.clear();
        message.body.clear();
        if self.unused().is_empty() && !self.fill().await? {
            return Ok(false);
        }
        self.take_until(b"\r\n\r\n", &mut message.head).await?;
        Ok(true)
    }

    /// Appends the next chunk to the body; `false` when it was the last, empty one.
    pub async fn read_chunk(&mut self, message: &mut Message) -> Result<bool> {
        let mut line = Vec::new();
        self.take_until(b"\r\n", &mut line).await?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let size = usize::from_str_radix(std::str::from_utf8(digits)?.trim(), 16)?;
        if size == 0 {
            while line != b"\r\n" {
                line.clear();
                self.take_until(b"\r\n", &mut line).await?;
            }
            return Ok(false);
        }
        self.take(size, &mut message.body).await?;
        line.clear();
        self.take(2, &mut line).await?;
        if line == b"\r\n" { Ok(true) } else { Err("a chunk is longer than its size says".into()) }
    }

    /// Waits until the other side closes, ignoring whatever it still sends.
    pub async fn closed(&mut self) {
        self.used = self.buffer.len();
        while let Ok(true) = self.fill().await {
            self.used = self.buffer.len();
        }
    }

    fn unused(&self) -> &[u8] {
        self.buffer.get(self.used..).unwrap_or_default()
    }

    /// Reads once; `false` at the end of the stream.
    async fn fill(&mut self) -> Result<bool> {
        if self.unused().is_empty() {
            self.buffer.clear();
            self.used = 0;
        }
        self.buffer.reserve(READ_SIZE);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    async fn fill_more(&mut self) -> Result<()> {
        if self.fill().await? {
            Ok(())
        } else {
            Err("the connection closed in the middle of a message".into())
        }
    }

    async fn take(&mut self, length: usize, into: &mut Vec<u8>) -> Result<()> {
        let mut left = length;
        while left > 0 {
            if self.unused().is_empty() {
                self.fill_more().await?;
            }
            let piece = self.unused();
            let piece = piece.get(..left).unwrap_or(piece);
            into.extend_from_slice(piece);
            left -= piece.len();
            self.used += piece.len();
        }
        Ok(())
    }

    async fn take_until(&mut self, mark: &[u8], into: &mut Vec<u8>) -> Result<()> {
        loop {
            if let Some(at) = find(self.unused(), mark) {
                return self.take(at + mark.len(), into).await;
            }
            self.fill_more().await?;
        }
    }
}

/// Where `needle` begins in `haystack`.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
