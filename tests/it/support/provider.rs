//! A provider that is played: it keeps what it is asked and answers as a test tells it to, down to the packet.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// So many came before it on its connection.
    pub nth: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What is done about a request.
pub enum Reply {
    /// These bytes, as they are; then the connection goes on.
    Raw(Vec<u8>),
    /// These bytes, each piece in a write of its own; then the connection goes on.
    Pieces(Vec<Vec<u8>>),
    /// These bytes, then the connection is reset.
    ThenReset(Vec<u8>),
    /// These bytes, then nothing more until the other side closes; `closed` counts those.
    ThenHold(Vec<u8>),
    /// These bytes; once the wait is over, those.
    ThenWait(Vec<u8>, Box<dyn FnOnce() + Send>, Vec<u8>),
    /// The connection is closed without a byte.
    Close,
    /// These bytes, then the connection is closed.
    ThenClose(Vec<u8>),
    /// These bytes, each piece after a pause; then the connection goes on.
    Paced(Vec<Vec<u8>>, Duration),
}

impl Reply {
    pub fn json(status: u16, body: &str) -> Self {
        Self::full(status, &[("content-type", "application/json")], body.as_bytes())
    }

    pub fn full(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut bytes = head(status, headers, &format!("content-length: {}\r\n", body.len()));
        bytes.extend_from_slice(body);
        Self::Raw(bytes)
    }

    /// A chunked answer, one chunk for each piece.
    pub fn chunked<'a>(
        status: u16,
        headers: &[(&str, &str)],
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let mut bytes = head(status, headers, "transfer-encoding: chunked\r\n");
        for piece in pieces {
            bytes.extend_from_slice(&chunk(piece));
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        Self::Raw(bytes)
    }

    pub fn sse(body: &str) -> Self {
        Self::chunked(200, &[("content-type", "text/event-stream")], [body.as_bytes()])
    }
}

pub fn head(status: u16, headers: &[(&str, &str)], framing: &str) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Played\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(framing);
    head.push_str("\r\n");
    head.into_bytes()
}

pub fn chunk(piece: &[u8]) -> Vec<u8> {
    let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
    framed.extend_from_slice(piece);
    framed.extend_from_slice(b"\r\n");
    framed
}

pub struct Provider {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    open: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Provider {
    /// Answers each request with what `play` makes of it.
    pub fn start(play: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let provider = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            open: Arc::default(),
            connections: Arc::default(),
        };
        let (seen, open, connections) =
            (provider.seen.clone(), provider.open.clone(), provider.connections.clone());
        let play = Arc::new(play);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, open, play) = (seen.clone(), open.clone(), play.clone());
                open.fetch_add(1, Ordering::SeqCst);
                connections.fetch_add(1, Ordering::SeqCst);
                let serve = move || {
                    let _ = serve(stream, &seen, &*play);
                    open.fetch_sub(1, Ordering::SeqCst);
                };
                std::thread::Builder::new().stack_size(256 * 1024).spawn(serve).unwrap();
            }
        });
        provider
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A `[providers.NAME]` table that points here.
    pub fn table(&self, name: &str) -> String {
        format!("[providers.{name}]\nbase_url = '{}'\napi_key = 'sk-of-{name}'\n", self.url())
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn last(&self) -> Seen {
        self.seen().pop().expect("the provider was asked")
    }

    /// Takes the last request out of the record, so that a large one is not kept.
    pub fn take_last(&self) -> Seen {
        self.seen.lock().unwrap().pop().expect("the provider was asked")
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Connections that there ever were.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Seen>>, play: &dyn Fn(&Seen) -> Reply) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut nth = 0;
    while let Some(mut request) = read(&mut reader)? {
        request.nth = nth;
        nth += 1;
        seen.lock().unwrap().push(request.clone());
        match play(&request) {
            Reply::Raw(bytes) => writer.write_all(&bytes)?,
            Reply::Pieces(pieces) => {
                for piece in pieces {
                    writer.write_all(&piece)?;
                    writer.flush()?;
                }
            }
            Reply::ThenReset(bytes) => {
                writer.write_all(&bytes)?;
                // What was written must be on its way before the reset overtakes it.
                std::thread::sleep(Duration::from_millis(50));
                reset(&writer);
                return Ok(());
            }
            Reply::ThenHold(bytes) => {
                writer.write_all(&bytes)?;
                let _ = reader.read(&mut [0]);
                return Ok(());
            }
            Reply::ThenWait(bytes, wait, rest) => {
                writer.write_all(&bytes)?;
                wait();
                writer.write_all(&rest)?;
            }
            Reply::Close => return Ok(()),
            Reply::ThenClose(bytes) => return writer.write_all(&bytes),
            Reply::Paced(pieces, pause) => {
                for piece in pieces {
                    std::thread::sleep(pause);
                    writer.write_all(&piece)?;
                }
            }
        }
    }
    Ok(())
}

/// Closes with a reset instead of a farewell.
fn reset(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    let _ = socket.shutdown(std::net::Shutdown::Read);
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Seen>> {
    let mut line = String::new();
    if read_line(reader, &mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let mut request = Seen {
        method: words.next().unwrap_or_default().to_owned(),
        target: words.next().unwrap_or_default().to_owned(),
        ..Seen::default()
    };
    loop {
        line.clear();
        read_line(reader, &mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if request.header("transfer-encoding") == Some("chunked") {
        loop {
            line.clear();
            read_line(reader, &mut line)?;
            let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            let mut piece = vec![0; length + 2];
            reader.read_exact(&mut piece)?;
            request.body.extend_from_slice(&piece[..length]);
            if length == 0 {
                break;
            }
        }
    } else if let Some(length) = request.header("content-length").and_then(|v| v.parse().ok()) {
        request.body = vec![0; length];
        reader.read_exact(&mut request.body)?;
    }
    Ok(Some(request))
}

/// Appends a line to `line`. A header may hold any bytes, and what is not UTF-8 is not the provider's business.
fn read_line(reader: &mut impl BufRead, line: &mut String) -> io::Result<usize> {
    let mut bytes = Vec::new();
    reader.read_until(b'\n', &mut bytes)?;
    line.push_str(&String::from_utf8_lossy(&bytes));
    Ok(bytes.len())
}
