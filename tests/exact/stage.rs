//! A provider for crowds that uses what it is told, and the replicas in front of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::servers::{RedisCluster, RedisServer};
use crate::support::Gateway;
use crate::support::policy::{DOLLAR_A_TOKEN, MODELS, key};

/// `seed` in the request says how many tokens of output are used.
pub struct Stage {
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Stage {
    /// Every answer takes `time`.
    pub fn open(time: Duration) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (now, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let listener = runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            socket.listen(4096).unwrap()
        });
        let address = listener.local_addr().unwrap();
        let counts = (now.clone(), most.clone());
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, time, counts.clone()));
            }
        });
        Self { address, _runtime: runtime, now, most }
    }

    /// The most requests that were ever under way at once.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    /// Forgets the most.
    pub fn forget(&self) {
        self.most.store(0, Ordering::SeqCst);
    }

    pub fn now(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }
}

/// One more under way, for as long as it lives.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn serve(
    mut stream: TcpStream,
    time: Duration,
    (now, most): (Arc<AtomicUsize>, Arc<AtomicUsize>),
) -> Option<()> {
    loop {
        let body = request(&mut stream).await?;
        let nth = now.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(nth, Ordering::SeqCst);
        let under_way = UnderWay(now.clone());
        let used = body["seed"].as_u64().unwrap_or(0);
        let usage =
            format!(r#""usage":{{"prompt_tokens":0,"completion_tokens":{used},"total_tokens":{used}}}"#);
        if body["stream"] == true {
            answer_in_pieces(&mut stream, used, &usage, time).await?;
            drop(under_way);
            stream.write_all(b"0\r\n\r\n").await.ok()?;
            continue;
        }
        wait(&mut stream, time).await?;
        let body = format!(r#"{{"model":"m-1","choices":[{{"message":{{"content":"a"}}}}],{usage}}}"#);
        // It is over before its last byte is out, so that who hears of its end finds it ended.
        drop(under_way);
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// Ten pieces and the usage.
async fn answer_in_pieces(stream: &mut TcpStream, used: u64, usage: &str, time: Duration) -> Option<()> {
    stream
        .write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .await
        .ok()?;
    for piece in 0..10 {
        wait(stream, time / 10).await?;
        let tokens = used * (piece + 1) / 10 - used * piece / 10;
        let text = "abcd".repeat(usize::try_from(tokens).ok()?);
        let event =
            format!("data: {{\"model\":\"m-1\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await.ok()?;
    }
    let event = format!("data: {{\"model\":\"m-1\",\"choices\":[],{usage}}}\n\ndata: [DONE]\n\n");
    stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await.ok()
}

/// Waits, unless the other side leaves.
async fn wait(stream: &mut TcpStream, time: Duration) -> Option<()> {
    tokio::select! {
        () = tokio::time::sleep(time) => Some(()),
        _ = stream.readable() => {
            let mut byte = [0];
            match stream.try_read(&mut byte) {
                Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(time).await;
                    Some(())
                }
                _ => None,
            }
        }
    }
}

async fn request(stream: &mut TcpStream) -> Option<Value> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length: usize =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())?;
            if body.len() >= length {
                return serde_json::from_str(body).ok();
            }
        }
        drop(text);
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Where limits and budgets are counted.
pub enum Counters {
    InProcess,
    Redis(RedisServer),
    Cluster(RedisCluster),
}

impl Counters {
    /// How long a dead replica's places and money stay held.
    pub const LEASE: Duration = Duration::from_secs(3);

    fn conf(&self) -> String {
        let url = match self {
            Self::InProcess => return String::new(),
            Self::Redis(server) => server.url(),
            Self::Cluster(cluster) => cluster.url(),
        };
        // A busy machine is not an outage.
        format!(
            "[stores]\ncounters = '{url}'\ncounters_deadline = '10s'\ncounters_lease = '{}s'\n",
            Self::LEASE.as_secs()
        )
    }

    /// One replica where they share nothing, and two where they do.
    pub fn start(&self, stage: &Stage, conf: &str) -> Replicas {
        let count = if matches!(self, Self::InProcess) { 1 } else { 2 };
        Replicas::start(stage, count, &(self.conf() + conf))
    }
}

/// Gateways with the same configuration.
pub struct Replicas(pub Vec<Gateway>);

impl Replicas {
    fn start(stage: &Stage, count: usize, conf: &str) -> Self {
        let conf = format!(
            "auth = 'keys'\naccess_log = false\n{}{conf}{DOLLAR_A_TOKEN}[providers.openai]\nbase_url = 'http://{}'\napi_key = 'sk'\n{MODELS}",
            key("load", "org = 'acme'"),
            stage.address
        );
        Self((0..count).map(|_| Gateway::start(&conf)).collect())
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|gateway| gateway.address).collect()
    }

    pub fn idle(&self) {
        self.0.iter().for_each(Gateway::idle);
    }

    /// What the ledgers of all say was spent, and in how many rows.
    pub fn spent(&self) -> (Decimal, usize) {
        let rows: Vec<Value> = self.0.iter().flat_map(Gateway::rows).collect();
        let costs =
            rows.iter().filter_map(|row| row["cost"].as_str()).map(|cost| cost.parse::<Decimal>().unwrap());
        (costs.sum(), rows.len())
    }
}
