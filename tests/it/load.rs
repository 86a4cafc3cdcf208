//! Many at once: a thousand clients that leave, two thousand streams that stay.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::support::dialect::ALL;
use crate::support::provider::{chunk, head};
use crate::support::{DIALECTS, Dialect, Gateway, alone, eventually};

/// A provider for crowds: every stream begins at once and goes on when all are released.
struct Stage {
    address: SocketAddr,
    /// Streams that have begun and not ended.
    streams: Arc<AtomicUsize>,
    release: watch::Sender<bool>,
}

impl Stage {
    fn open() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(4096).unwrap();
        let stage = Self {
            address: listener.local_addr().unwrap(),
            streams: Arc::default(),
            release: watch::channel(false).0,
        };
        tokio::spawn(serve(listener, stage.streams.clone(), stage.release.subscribe()));
        stage
    }

    fn gateway(&self) -> Gateway {
        Gateway::start(&format!(
            "[models.one]\ntargets = [{{ provider = 'stage', model = 'm-1' }}]\n\
             [providers.stage]\nbase_url = 'http://{}'\n{ALL}",
            self.address
        ))
    }
}

async fn serve(listener: TcpListener, streams: Arc<AtomicUsize>, release: watch::Receiver<bool>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (streams, release) = (streams.clone(), release.clone());
        tokio::spawn(async move {
            while let Some(dialect) = request(&mut stream).await {
                streams.fetch_add(1, Ordering::SeqCst);
                let held = hold(&mut stream, dialect, release.clone()).await;
                streams.fetch_sub(1, Ordering::SeqCst);
                if held.is_none() {
                    break;
                }
            }
        });
    }
}

/// Reads a request and tells its dialect by its path.
async fn request(stream: &mut TcpStream) -> Option<Dialect> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((header, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = header
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            let path = header.split(' ').nth(1)?;
            return DIALECTS.into_iter().find(|d| path == d.path("m-1", true));
        }
    }
}

/// Begins a stream and ends it when it is released. `None` if the other side leaves before.
async fn hold(stream: &mut TcpStream, dialect: Dialect, mut release: watch::Receiver<bool>) -> Option<()> {
    let [first, second, _] = dialect.events();
    let mut start = head(200, &[("content-type", "text/event-stream")], "transfer-encoding: chunked\r\n");
    start.extend_from_slice(&chunk(first.as_bytes()));
    stream.write_all(&start).await.ok()?;
    tokio::select! {
        _ = release.wait_for(|released| *released) => {}
        _ = stream.read_u8() => return None,
    }
    stream.write_all(&[chunk(second.as_bytes()), chunk(END.as_bytes()), chunk(b"")].concat()).await.ok()
}

/// The usage chunk of a chat stream.
const END: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":25,\"completion_tokens\":7,\"total_tokens\":32}}\n\ndata: [DONE]\n\n";

/// Asks for a stream and reads up to its first event.
async fn begin(address: SocketAddr, dialect: Dialect) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (path, body) = (dialect.path("one", true), dialect.body("one", true));
    let body = body.replace("\"stream\":true", "\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    let mut request = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in dialect.headers() {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{request}\r\n{body}").as_bytes()).await.unwrap();
    let first = dialect.events()[0].as_bytes();
    let mut got = Vec::new();
    while !got.windows(first.len()).any(|w| w == first) {
        let read = timeout(Duration::from_secs(50), stream.read_buf(&mut got)).await.expect("a first event");
        assert!(read.unwrap() > 0, "closed: {}", String::from_utf8_lossy(&got));
    }
    (stream, got)
}

/// The body of a chunked answer that is whole.
fn body(answer: &[u8]) -> String {
    let text = std::str::from_utf8(answer).unwrap();
    let (header, mut rest) = text.split_once("\r\n\r\n").unwrap();
    assert!(header.starts_with("HTTP/1.1 200 "), "{header}");
    let mut body = String::new();
    loop {
        let (size, data) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&data[..size]);
        rest = &data[size + 2..];
        if size == 0 {
            assert!(rest.is_empty(), "something follows the end: {rest}");
            return body;
        }
    }
}

/// A thousand clients, a hundred at a time, each of which leaves after the first event.
async fn leave(gateway: &Gateway, stage: &Stage) {
    let at_a_time = Arc::new(Semaphore::new(100));
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..1000 {
        let (at_a_time, address) = (at_a_time.clone(), gateway.address);
        clients.spawn(async move {
            let _turn = at_a_time.acquire().await.unwrap();
            drop(begin(address, DIALECTS[n % 4]).await);
        });
    }
    clients.join_all().await;
    let streams = || stage.streams.load(Ordering::SeqCst);
    eventually("the provider's streams to be let go", || (streams() == 0).then_some(()));
    gateway.idle();
}

fn open_files(gateway: &Gateway) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap().count()
}

/// Resident memory in KiB.
fn memory(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Runs `test` on this thread and what it spawns on others, so that it may wait.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { timeout(Duration::from_secs(90), test).await.expect("the test to end") })
}

#[test]
fn a_thousand_clients_that_leave_mid_stream_leave_nothing_behind() {
    let _alone = alone();
    run(async {
        let stage = Stage::open();
        let gateway = stage.gateway();
        drop(begin(gateway.address, Dialect::Chat).await);
        gateway.idle();
        let files = open_files(&gateway);

        leave(&gateway, &stage).await;
        eventually("connections to be closed", || (open_files(&gateway) <= files + 4).then_some(()));
        let rows = eventually("the rows", || Some(gateway.rows()).filter(|rows| rows.len() > 1000));
        assert_eq!(rows.len(), 1001);
        for row in &rows {
            assert_eq!((&row["measured"], &row["error"]), (&json!(false), &json!("client_left")), "{row}");
        }

        // The allocator has what it needs after some thousand; from then on there is no reason to grow.
        for _ in 0..3 {
            leave(&gateway, &stage).await;
        }
        let first = memory(&gateway);
        for _ in 0..4 {
            leave(&gateway, &stage).await;
        }
        let second = memory(&gateway);
        eprintln!("resident memory after 4,000 clients that left: {first} KiB, after 8,000: {second} KiB");
        assert!(second < first + 12 * 1024, "every client leaves more than three KiB behind");
        eventually("connections to be closed", || (open_files(&gateway) <= files + 4).then_some(()));
    });
}

/// Lets this process and those that it starts open so many files.
fn allow_open_files(count: u64) {
    let pid = std::process::id().to_string();
    let status = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={count}:")]).status();
    assert!(
        status.expect("prlimit, of util-linux").success(),
        "the hard limit of open files is under {count}"
    );
}

#[test]
fn two_thousand_streams_at_once_all_end_as_they_should() {
    const STREAMS: usize = 2000;
    let _alone = alone();
    allow_open_files(10_000);
    run(async {
        let stage = Stage::open();
        let gateway = stage.gateway();
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).unwrap();
        assert!(limits.lines().any(|l| l.starts_with("Max open files") && l.contains(" 10000 ")), "{limits}");
        let begun = Arc::new(AtomicUsize::new(0));
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..STREAMS {
            let (address, begun) = (gateway.address, begun.clone());
            clients.spawn(async move {
                let (mut stream, mut got) = begin(address, Dialect::Chat).await;
                begun.fetch_add(1, Ordering::SeqCst);
                while !got.ends_with(b"\r\n0\r\n\r\n") {
                    let read = timeout(Duration::from_secs(50), stream.read_buf(&mut got)).await;
                    assert!(read.expect("the rest of the stream").unwrap() > 0, "it is cut off");
                }
                body(&got)
            });
        }
        eventually("every stream to begin", || (begun.load(Ordering::SeqCst) == STREAMS).then_some(()));
        assert_eq!(stage.streams.load(Ordering::SeqCst), STREAMS);
        let in_flight = gateway.metric("tollgate_exchanges_in_flight");
        assert!((in_flight - 2000.0).abs() < 0.5, "{in_flight} in flight");
        eprintln!("resident memory with {STREAMS} streams: {} KiB", memory(&gateway));
        stage.release.send(true).unwrap();
        let [first, second, _] = Dialect::Chat.events();
        let whole = format!("{first}{second}{END}");
        for body in clients.join_all().await {
            assert_eq!(body, whole);
        }
        gateway.idle();
        let rows = eventually("the rows", || Some(gateway.rows()).filter(|rows| rows.len() >= STREAMS));
        assert_eq!(rows.len(), STREAMS);
        for row in &rows {
            assert_eq!((&row["input_tokens"], &row["output_tokens"]), (&json!(25), &json!(7)), "{row}");
            assert_eq!((&row["measured"], &row["error"]), (&json!(true), &json!(null)), "{row}");
        }
    });
}
