//! A mock provider of all four dialects: one fixed JSON answer, one fixed stream of each, and streams held open.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tollgate_bench::dialect::Dialect;
use tollgate_bench::wire::{Connection, Message, find};
use tollgate_bench::{Result, shape};

const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
    cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

/// Every byte the mock will ever send, framed once at the start.
struct Answers {
    completion: Vec<u8>,
    events: Vec<Vec<u8>>,
    events_with_usage: Vec<Vec<u8>>,
    /// For the other three dialects, in their order.
    others: [(Vec<u8>, Vec<Vec<u8>>); 3],
    gap: Duration,
}

impl Answers {
    fn new(gap: Duration) -> Self {
        let other = |dialect: Dialect| (whole(&dialect.answer()), framed(&dialect.events()));
        Self {
            completion: whole(&shape::completion()),
            events: framed(&shape::events(false)),
            events_with_usage: framed(&shape::events(true)),
            others: [Dialect::Responses, Dialect::Messages, Dialect::Gemini].map(other),
            gap,
        }
    }
}

fn whole(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Puts each event into a chunk of its own and the end of the body behind the last.
fn framed(events: &[String]) -> Vec<Vec<u8>> {
    let mut chunks: Vec<Vec<u8>> =
        events.iter().map(|event| format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()).collect();
    if let Some(last) = chunks.last_mut() {
        last.extend_from_slice(b"0\r\n\r\n");
    }
    chunks
}

async fn serve(socket: TcpStream, answers: &Answers) -> Result<()> {
    let mut connection = Connection::new(socket)?;
    let mut request = Message::default();
    while connection.read(&mut request).await? {
        let body = &request.body;
        let asks = |word: &str| find(body, word.as_bytes()).is_some();
        let path = std::str::from_utf8(&request.head).ok().and_then(|head| head.split(' ').nth(1));
        let path = path.unwrap_or_default();
        let (completion, events) = match Dialect::of_path(path) {
            None => {
                connection.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?;
                continue;
            }
            Some(Dialect::Chat) if asks("include_usage") => (&answers.completion, &answers.events_with_usage),
            Some(Dialect::Chat) => (&answers.completion, &answers.events),
            Some(other) => {
                let [responses, messages, gemini] = &answers.others;
                let (completion, events) = match other {
                    Dialect::Responses => responses,
                    Dialect::Messages => messages,
                    _ => gemini,
                };
                (completion, events)
            }
        };
        if path.contains(":streamGenerateContent") || asks(r#""stream":true"#) || asks(r#""stream": true"#) {
            connection.write(STREAM_HEAD).await?;
            for event in events {
                connection.write(event).await?;
                if asks(shape::HOLD) {
                    connection.closed().await;
                    return Ok(());
                }
                if answers.gap.is_zero() {
                    tokio::task::yield_now().await;
                } else {
                    tokio::time::sleep(answers.gap).await;
                }
            }
        } else {
            connection.write(completion).await?;
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (mut listen, mut gap) = (None, Duration::ZERO);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--gap-us" {
            gap = Duration::from_micros(args.next().ok_or("--gap-us needs a number")?.parse()?);
        } else {
            listen = Some(arg);
        }
    }
    let listener = TcpListener::bind(listen.ok_or("usage: mock LISTEN [--gap-us N]")?).await?;
    let answers = Arc::new(Answers::new(gap));
    loop {
        let (socket, _) = listener.accept().await?;
        let answers = Arc::clone(&answers);
        // A client that goes away in the middle is its own business.
        tokio::spawn(async move { serve(socket, &answers).await.ok() });
    }
}
