//! A client process: so many connections that ask as fast as they are let, and a line at the end that says what came of it.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const VARIABLE: &str = "TOLLGATE_EXACT_LOAD";
const MARK: &str = "came of it: ";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Load {
    /// The replicas, asked in turns.
    pub gateways: Vec<SocketAddr>,
    pub key: String,
    pub connections: usize,
    /// When to begin and to end, in microseconds since 1970.
    pub begin: u64,
    pub end: u64,
    /// The most requests of a connection.
    pub each: usize,
    pub stream: bool,
    /// `max_tokens` lies between these, and what is used between these parts of it, in percent.
    pub max_tokens: (u64, u64),
    pub used: (u64, u64),
    pub seed: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    pub allowed: u64,
    pub refused: u64,
    /// Anything but an answer or a refusal.
    pub failed: u64,
    /// Tokens that the answers say were used.
    pub tokens: u64,
    pub first: u64,
    pub last: u64,
}

impl Outcome {
    pub fn add(&mut self, other: &Self) {
        self.allowed += other.allowed;
        self.refused += other.refused;
        self.failed += other.failed;
        self.tokens += other.tokens;
        self.first = if self.first == 0 { other.first } else { self.first.min(other.first) };
        self.last = self.last.max(other.last);
    }
}

pub fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// Starts a client process.
pub fn start(load: &Load) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "client", "--nocapture", "--test-threads", "1"])
        .env(VARIABLE, serde_json::to_string(load).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What came of a client process.
pub fn outcome(child: Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.split_once(MARK)).unwrap_or_else(|| panic!("{text}")).1;
    serde_json::from_str(line).unwrap()
}

pub fn run_if_told() {
    let Ok(load) = std::env::var(VARIABLE) else { return };
    let load: Load = serde_json::from_str(&load).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(async move {
        tokio::time::sleep(Duration::from_micros(load.begin.saturating_sub(now()))).await;
        let ask = |connection| tokio::spawn(ask(load.clone(), connection));
        let asking: Vec<_> = (0..load.connections).map(ask).collect();
        let mut all = Outcome::default();
        for one in asking {
            all.add(&one.await.unwrap());
        }
        all
    });
    println!("\n{MARK}{}", serde_json::to_string(&outcome).unwrap());
}

/// A small generator that gives the same for the same seed.
struct Random(u64);

impl Random {
    fn between(&mut self, (low, high): (u64, u64)) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + self.0 % (high - low + 1)
    }
}

async fn ask(load: Load, connection: usize) -> Outcome {
    let mut random = Random((load.seed * 1000 + connection as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let gateway = load.gateways[connection % load.gateways.len()];
    let mut outcome = Outcome { first: now(), ..Outcome::default() };
    let mut stream = None;
    for _ in 0..load.each {
        if now() >= load.end {
            break;
        }
        let max_tokens = random.between(load.max_tokens);
        let used = max_tokens * random.between(load.used) / 100;
        let Load { key, stream: streams, .. } = &load;
        let body = format!(
            r#"{{"model":"m-1","max_tokens":{max_tokens},"stream":{streams},"seed":{used},"messages":[]}}"#
        );
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.test\r\nx-tollgate-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let one = async {
            if stream.is_none() {
                stream = TcpStream::connect(gateway).await.ok();
            }
            exchange(stream.as_mut()?, request.as_bytes()).await
        };
        let answer = one.await;
        outcome.last = now();
        match answer {
            Some((200, text)) => {
                outcome.allowed += 1;
                outcome.tokens += tokens(&text);
                continue;
            }
            Some((429, _)) => outcome.refused += 1,
            _ => outcome.failed += 1,
        }
        // A refusal ends the connection.
        stream = None;
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    outcome
}

/// The last count of all tokens that an answer tells of.
fn tokens(text: &str) -> u64 {
    let told = text.rsplit_once("\"total_tokens\":").map(|(_, rest)| rest);
    let digits = told.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// One request and its whole answer, if there is one.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> Option<(u16, String)> {
    stream.write_all(request).await.ok()?;
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let status = head.split(' ').nth(1)?.parse().ok()?;
            let head = head.to_ascii_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let whole = match length {
                Some(length) => body.len() >= length,
                None => body.ends_with("0\r\n\r\n"),
            };
            if whole {
                return Some((status, body.to_owned()));
            }
        }
        drop(text);
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
