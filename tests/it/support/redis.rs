//! Redis servers and a cluster that tests start and end themselves, and a proxy that loses and delays what passes it.

#![allow(dead_code)] // each test takes what it needs

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A `redis-server` of one's own, on a free port, that keeps nothing on disk.
pub struct RedisServer {
    pub port: u16,
    options: Vec<String>,
    dir: tempfile::TempDir,
    child: Option<Child>,
}

impl RedisServer {
    pub fn start() -> Self {
        Self::with(&[])
    }

    pub fn with(options: &[&str]) -> Self {
        let mut server = Self {
            port: free_port(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            dir: tempfile::tempdir().unwrap(),
            child: None,
        };
        // A port that was free may be taken by the time that the server binds it.
        while !server.starts() {
            server.port = free_port();
        }
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it again, empty.
    pub fn restart(&mut self) {
        assert!(self.starts(), "redis-server ended at once, see its log in {}", self.dir.path().display());
    }

    /// Whether it is there now, or has ended by itself.
    fn starts(&mut self) -> bool {
        self.kill();
        let port = self.port.to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--dir", self.dir.path().to_str().unwrap(), "--logfile", "log"])
            .args(&self.options)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed (scripts/setup.sh test)");
        let child = self.child.insert(child);
        let start = Instant::now();
        loop {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if try_ask::<String>(self.port, &["PING"]).is_ok() {
                return true;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "redis-server does not answer");
            sleep(Duration::from_millis(20));
        }
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// It takes connections and bytes, and does nothing with them.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Asks the server directly.
    pub fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        try_ask(self.port, command).unwrap()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn try_ask<T: redis::FromRedisValue>(port: u16, command: &[&str]) -> redis::RedisResult<T> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(1))?;
    connection.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut asked = redis::cmd(command[0]);
    asked.arg(&command[1..]);
    asked.query(&mut connection)
}

/// Three masters with a replica each.
pub struct RedisCluster {
    pub nodes: Vec<RedisServer>,
}

impl RedisCluster {
    pub fn start() -> Self {
        let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        let nodes: Vec<_> = (0..6).map(|_| RedisServer::with(&options)).collect();
        let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(&addresses)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let cluster = Self { nodes };
        until("every node knows the cluster", || {
            cluster.nodes.iter().all(|node| {
                let info: String = node.ask(&["CLUSTER", "INFO"]);
                let role: String = node.ask(&["INFO", "replication"]);
                let whole = info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:6");
                whole && (role.contains("role:master") || role.contains("master_link_status:up"))
            })
        });
        cluster
    }

    pub fn url(&self) -> String {
        let nodes: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    /// The index of the master of a key.
    pub fn master_of(&self, key: &str) -> usize {
        (0..self.nodes.len())
            .find(|index| {
                self.nodes[*index].child.is_some()
                    && try_ask::<Option<String>>(self.nodes[*index].port, &["GET", key])
                        .is_ok_and(|_| self.is_master(*index))
            })
            .unwrap()
    }

    pub fn is_master(&self, index: usize) -> bool {
        self.nodes[index].ask::<String>(&["INFO", "replication"]).contains("role:master")
    }
}

/// What a [`Proxy`] does with what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    All,
    /// Answers come so much later.
    Late(Duration),
    /// Requests arrive, their answers do not, and the connection ends.
    NoAnswers,
    /// Nobody is there.
    Nothing,
}

/// Stands between a client and a server.
pub struct Proxy {
    pub port: u16,
    pass: Arc<Mutex<Pass>>,
    /// Connections cut.
    pub cut: Arc<AtomicUsize>,
}

impl Proxy {
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            pass: Arc::new(Mutex::new(Pass::All)),
            cut: Arc::default(),
        };
        let (pass, cut) = (proxy.pass.clone(), proxy.cut.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                if *pass.lock().unwrap() == Pass::Nothing {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (there, back) = (pass.clone(), pass.clone());
                std::thread::spawn(move || copy(from, to, &there, None));
                let cut = cut.clone();
                std::thread::spawn(move || copy(server, client, &back, Some(&cut)));
            }
        });
        proxy
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn set(&self, pass: Pass) {
        *self.pass.lock().unwrap() = pass;
    }
}

/// Copies until an end; `answers` is what counts those that were cut.
fn copy(mut from: TcpStream, mut to: TcpStream, pass: &Mutex<Pass>, answers: Option<&AtomicUsize>) {
    let mut buffer = vec![0; 65_536];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        let now = *pass.lock().unwrap();
        match (now, answers) {
            (Pass::Nothing, _) => break,
            (Pass::NoAnswers, Some(cut)) => {
                cut.fetch_add(1, Ordering::SeqCst);
                break;
            }
            (Pass::Late(by), Some(_)) => sleep(by),
            _ => {}
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// A port that is free, and free ten thousand higher, where nodes of a cluster talk to each other.
fn free_port() -> u16 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::SeqCst) + std::process::id() as usize * 37;
        // Both below the ports that connections going out take.
        let port = u16::try_from(10_000 + step % 12_000).unwrap();
        let free = |port: u16| -> io::Result<()> { TcpListener::bind(("127.0.0.1", port)).map(drop) };
        if free(port).is_ok() && free(port + 10_000).is_ok() {
            return port;
        }
    }
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "timed out waiting: {what}");
        sleep(Duration::from_millis(20));
    }
}
