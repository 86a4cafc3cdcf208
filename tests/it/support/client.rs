//! A blocking HTTP/1.1 client that sends what it is told and keeps what it gets, byte for byte.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body ended as its framing said it would.
    pub complete: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn id(&self) -> &str {
        self.header("x-tollgate-request-id").expect("every answer carries the gateway's request id")
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }

    /// Sends a request with a Content-Length (none for an empty body of a GET).
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: gateway.test\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if method != "GET" || !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.stream().write_all(&bytes)
    }

    /// Sends a POST whose body has no declared length, in chunks of `size`.
    pub fn send_chunked(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        size: usize,
    ) -> io::Result<()> {
        let mut head =
            format!("POST {path} HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: chunked\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.stream().write_all(head.as_bytes())?;
        for chunk in body.chunks(size) {
            let mut framed = format!("{:x}\r\n", chunk.len()).into_bytes();
            framed.extend_from_slice(chunk);
            framed.extend_from_slice(b"\r\n");
            self.stream().write_all(&framed)?;
        }
        self.stream().write_all(b"0\r\n\r\n")
    }

    /// Reads the head of an answer, informational ones left out.
    pub fn head(&mut self) -> io::Result<Answer> {
        loop {
            let answer = self.any_head()?;
            if answer.status >= 200 {
                return Ok(answer);
            }
        }
    }

    pub fn any_head(&mut self) -> io::Result<Answer> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line: {line:?}")))?;
        let mut headers = Vec::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Answer { status, headers, body: Vec::new(), complete: false })
    }

    /// Reads a whole answer, or as much of it as comes.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.head()?;
        self.body(&mut answer)?;
        Ok(answer)
    }

    pub fn body(&mut self, answer: &mut Answer) -> io::Result<()> {
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk()? {
                answer.body.extend_from_slice(&chunk);
                if chunk.is_empty() {
                    answer.complete = true;
                    break;
                }
            }
        } else if let Some(length) = answer.header("content-length").and_then(|v| v.parse::<u64>().ok()) {
            let read = (&mut self.stream).take(length).read_to_end(&mut answer.body);
            answer.complete = read.is_ok_and(|_| answer.body.len() as u64 == length);
        } else if answer.status == 204 || answer.status == 304 {
            answer.complete = true;
        } else {
            answer.complete = self.stream.read_to_end(&mut answer.body).is_ok();
        }
        Ok(())
    }

    /// The next chunk of a chunked body; an empty one is the last; `None` where the connection ends before that.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
            return Ok(None);
        }
        let Ok(length) = usize::from_str_radix(line.trim(), 16) else {
            return Err(io::Error::other(format!("no chunk: {line:?}")));
        };
        let mut chunk = vec![0; length + 2];
        if self.stream.read_exact(&mut chunk).is_err() {
            return Ok(None);
        }
        chunk.truncate(length);
        Ok(Some(chunk))
    }

    /// One request and its answer.
    pub fn call(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send(method, path, headers, body).unwrap();
        self.answer().unwrap()
    }

    pub fn post(&mut self, path: &str, body: &str) -> Answer {
        self.call("POST", path, &[("content-type", "application/json")], body.as_bytes())
    }
}
