//! The load generator: requests as fast as they are answered, requests at a fixed rate, and streams held open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::Result;
use crate::shape::{Expected, Script};
use crate::wire::{Connection, Message, find};

/// No phase is meant to take this long; whoever does not answer by then never will.
const PATIENCE: Duration = Duration::from_secs(600);

/// One client that keeps its connection between requests and checks every answer.
struct Client {
    address: SocketAddr,
    connection: Connection,
    script: Script,
    answer: Message,
}

impl Client {
    async fn new(address: SocketAddr, script: Script) -> Result<Self> {
        Ok(Self {
            address,
            connection: Connection::connect(address).await?,
            script,
            answer: Message::default(),
        })
    }

    async fn exchange(&mut self) -> Result<()> {
        self.connection.write(&self.script.request).await?;
        if !self.connection.read(&mut self.answer).await? {
            return Err("the connection closed instead of an answer".into());
        }
        self.check()?;
        if self.answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.connection = Connection::connect(self.address).await?;
        }
        Ok(())
    }

    /// Reads the head and the first event of a stream that then stays open.
    async fn open(&mut self) -> Result<()> {
        self.connection.write(&self.script.request).await?;
        if !self.connection.read_head(&mut self.answer).await? {
            return Err("the connection closed instead of an answer".into());
        }
        while self.answer.status() == Some(200)
            && self.answer.body.len() < self.first_event()
            && self.connection.read_chunk(&mut self.answer).await?
        {}
        self.check()
    }

    /// How long the body is once the first event has come, where that is known.
    fn first_event(&self) -> usize {
        match self.script.expected {
            Expected::Lengths([length, _]) => length,
            Expected::Word(_) => 1,
        }
    }

    fn check(&self) -> Result<()> {
        let Message { head, body, .. } = &self.answer;
        let right = match self.script.expected {
            Expected::Lengths(lengths) => lengths.contains(&body.len()),
            Expected::Word(word) => find(body, word.as_bytes()).is_some(),
        };
        if self.answer.status() == Some(200) && right {
            return Ok(());
        }
        let start = |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..600).unwrap_or(bytes)).into_owned();
        let (length, expected) = (body.len(), self.script.expected);
        let (head, body) = (start(head), start(body));
        Err(format!("wrong answer: {length} bytes of body, not {expected:?}\n{head}{body}").into())
    }
}

/// Clients of one address that all send the same kind of request and keep their connections.
pub struct Pool {
    clients: Vec<Client>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("clients", &self.clients.len()).finish_non_exhaustive()
    }
}

impl Pool {
    pub async fn new(address: SocketAddr, script: &Script, connections: u32) -> Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(Client::new(address, script.clone()).await?);
        }
        Ok(Self { clients })
    }

    /// Sends `count` requests, each client its next as soon as its last is answered.
    pub async fn closed_loop(&mut self, count: u32) -> Result<()> {
        let left = Arc::new(AtomicU32::new(count));
        let mut tasks = JoinSet::new();
        for mut client in self.clients.drain(..) {
            let left = Arc::clone(&left);
            tasks.spawn(async move {
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                    .is_ok()
                {
                    client.exchange().await?;
                }
                Ok(client)
            });
        }
        self.clients = finish(tasks).await?;
        Ok(())
    }

    /// Sends requests at a fixed rate whether or not earlier ones are answered, and returns every latency.
    ///
    /// A latency counts from the moment the request was due, so a stall shows in all that waited behind it.
    pub async fn open_loop(&mut self, rate: u32, length: Duration) -> Result<Vec<Duration>> {
        let (send, receive) = mpsc::unbounded_channel::<Instant>();
        let receive = Arc::new(Mutex::new(receive));
        let latencies = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for mut client in self.clients.drain(..) {
            let (receive, latencies) = (Arc::clone(&receive), Arc::clone(&latencies));
            tasks.spawn(async move {
                loop {
                    let Some(due) = receive.lock().await.recv().await else {
                        return Ok(client);
                    };
                    client.exchange().await?;
                    latencies.lock().await.push(due.elapsed());
                }
            });
        }
        // A thread's sleep is far finer than the millisecond wheel of an async timer.
        let pacer = std::thread::spawn(move || pace(&send, rate, length));
        self.clients = finish(tasks).await?;
        pacer.join().map_err(|_| "the pacing thread failed")?;
        Ok(std::mem::take(&mut *latencies.lock().await))
    }

    /// Opens a stream with each client, one after another, as far as its first event.
    pub async fn open_all(&mut self) -> Result<()> {
        for (number, client) in self.clients.iter_mut().enumerate() {
            let opened = tokio::time::timeout(Duration::from_secs(30), client.open()).await;
            let opened = opened.unwrap_or_else(|_| Err("no first event within 30 s".into()));
            opened.map_err(|error| format!("stream {}: {error}", number + 1))?;
        }
        Ok(())
    }
}

fn pace(send: &mpsc::UnboundedSender<Instant>, rate: u32, length: Duration) {
    let (start, gap) = (Instant::now(), Duration::from_secs(1) / rate.max(1));
    let mut after = Duration::ZERO;
    while after < length {
        let due = start + after;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if send.send(due).is_err() {
            return;
        }
        after += gap;
    }
}

/// Waits for every client; the first failure ends them all.
async fn finish(mut tasks: JoinSet<Result<Client>>) -> Result<Vec<Client>> {
    let all = async {
        let mut clients = Vec::new();
        while let Some(done) = tasks.join_next().await {
            clients.push(done??);
        }
        Ok(clients)
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| Err("a phase did not end in time".into()))
}
