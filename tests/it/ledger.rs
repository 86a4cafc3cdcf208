//! The ledger when things go wrong: a killed process, a locked database, a full disk.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::gateway::rows;
use crate::support::{Client, Dialect, Gateway, Provider, Reply, alone, eventually};

/// A killed gateway may lose what it answered in the last tenth of a second; the rest is for a busy machine.
const WINDOW: Duration = Duration::from_millis(150);

fn provider() -> Provider {
    Provider::start(|_| Reply::json(200, Dialect::Chat.answer()))
}

/// An exchange that was answered.
struct Answered {
    id: String,
    at: Instant,
    took: Duration,
}

/// Four clients that ask again and again, some hundred times a second.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Answered>>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |_| {
            let stop = stop.clone();
            std::thread::spawn(move || ask(address, &stop))
        };
        Self { clients: (0..4).map(client).collect(), stop }
    }

    /// Every exchange that was answered. None was refused.
    fn end(self) -> Vec<Answered> {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    }
}

/// Asks until it is to stop or the gateway is gone.
fn ask(address: SocketAddr, stop: &AtomicBool) -> Vec<Answered> {
    let mut client = Client::connect(address);
    let (mut answered, body) = (Vec::new(), br#"{"model":"gpt-4o","messages":[]}"#);
    while !stop.load(Ordering::SeqCst) {
        let start = Instant::now();
        let sent = client.send("POST", "/v1/chat/completions", &[("content-type", "application/json")], body);
        let Ok(answer) = sent.and_then(|()| client.answer()) else { break };
        if !answer.complete {
            break;
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        answered.push(Answered { id: answer.id().to_owned(), at: Instant::now(), took: start.elapsed() });
        std::thread::sleep(Duration::from_millis(8));
    }
    answered
}

fn ids(rows: &[Value]) -> BTreeSet<String> {
    let ids: BTreeSet<_> = rows.iter().map(|row| row["request_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), rows.len(), "no row is there twice");
    ids
}

fn ids_of(answered: &[Answered]) -> BTreeSet<String> {
    answered.iter().map(|a| a.id.clone()).collect()
}

/// Every exchange was answered as if nothing had happened, and all of them are in the ledger.
fn check_nothing_missed(gateway: &Gateway, mut answered: Vec<Answered>) {
    let ids = ids_of(&answered);
    eventually("every row", || {
        Some(self::ids(&gateway.rows()))
            .filter(|rows| rows.len() >= ids.len())
            .map(|rows| assert_eq!(rows, ids))
    });
    eventually("the ledger to be well", || {
        (gateway.readiness()["ledger"]["failing"] == json!(false)).then_some(())
    });
    eventually("the metric to say so", || (gateway.metric("tollgate_ledger_failing") < 0.5).then_some(()));
    assert_eq!(gateway.readiness()["ledger"]["lost"], json!(0));
    assert_eq!(
        fs::metadata(spill(&gateway.data())).map_or(0, |file| file.len()),
        0,
        "nothing is left to take in"
    );
    answered.sort_by_key(|a| a.took);
    let p99 = answered[answered.len() * 99 / 100].took;
    eprintln!("{} exchanges, the 99th percentile took {p99:?}", answered.len());
    assert!(p99 < Duration::from_millis(250), "{p99:?}");
}

fn spill(data: &Path) -> PathBuf {
    data.join("usage.spill.jsonl")
}

/// Waits until readiness and metrics say that the ledger takes no rows. The gateway itself stays ready.
fn await_failing(gateway: &Gateway) {
    eventually("readiness to say that the ledger fails", || {
        let ready = gateway.readiness();
        assert_eq!(ready["ready"], json!(true));
        (ready["ledger"]["failing"] == json!(true)).then_some(())
    });
    assert!((gateway.metric("tollgate_ledger_failing") - 1.0).abs() < 0.5);
}

#[test]
fn a_killed_gateway_loses_no_more_than_its_last_tenth_of_a_second() {
    let _alone = alone();
    let provider = provider();
    for round in 0..3 {
        let gateway = Gateway::start(&provider.table("openai"));
        let load = Load::start(gateway.address);
        std::thread::sleep(Duration::from_millis(700 + 13 * round));
        let killed = Instant::now();
        let folder = gateway.kill();
        let answered = load.end();
        let kept = ids(&rows(&folder.path().join("data"), &[]));
        let lost: Vec<_> = answered.iter().filter(|a| !kept.contains(&a.id)).collect();
        let oldest = lost.iter().map(|a| killed.saturating_duration_since(a.at)).max().unwrap_or_default();
        eprintln!(
            "{} of {} rows were lost, the oldest {oldest:?} before the end",
            lost.len(),
            answered.len()
        );
        assert!(answered.len() > 100, "{} exchanges are no load", answered.len());
        assert!(kept.len() <= answered.len() + 4, "there are rows that nobody asked for");
        assert!(oldest <= WINDOW, "a row is lost that was {oldest:?} old");
    }
}

/// Another process that keeps the ledger from being written.
struct Lock(Child);

impl Lock {
    fn take(data: &Path) -> Self {
        const HOLD: &str = "import sqlite3, sys\n\
            ledger = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)\n\
            ledger.execute('BEGIN EXCLUSIVE')\n\
            print('locked', flush=True)\n\
            sys.stdin.read()";
        let mut child = Command::new("python3")
            .args(["-c", HOLD])
            .arg(data.join("usage.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 holds the lock");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "locked\n");
        Self(child)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn a_locked_ledger_neither_slows_an_exchange_nor_costs_a_row() {
    let _alone = alone();
    let provider = provider();
    let gateway = Gateway::start(&provider.table("openai"));
    let load = Load::start(gateway.address);
    eventually("rows to come", || Some(gateway.rows()).filter(|rows| !rows.is_empty()));
    let lock = Lock::take(&gateway.data());
    await_failing(&gateway);
    // SQLite itself waits for some seconds before it gives up.
    eventually("rows to be spilled", || {
        (gateway.metric("tollgate_ledger_spilled_rows_total") > 0.5).then_some(())
    });
    assert_eq!(gateway.readiness()["ledger"]["failing"], json!(true));
    let answered = load.end();
    let held = ids(&gateway.rows()).len();
    assert!(held < answered.len(), "the lock held nothing up");
    drop(lock);
    check_nothing_missed(&gateway, answered);
}

#[test]
fn rows_that_a_killed_gateway_had_spilled_are_taken_in_at_the_next_start() {
    let _alone = alone();
    let provider = provider();
    let gateway = Gateway::start(&provider.table("openai"));
    let lock = Lock::take(&gateway.data());
    let mut client = gateway.client();
    for _ in 0..20 {
        assert_eq!(client.post("/v1/chat/completions", r#"{"model":"gpt-4o"}"#).status, 200);
    }
    eventually("rows to be spilled", || {
        (gateway.metric("tollgate_ledger_spilled_rows_total") > 0.5).then_some(())
    });
    let folder = gateway.kill();
    drop(lock);
    let data = folder.path().join("data");
    let spilled: Vec<Value> = fs::read_to_string(spill(&data))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let spilled = ids(&spilled);
    assert!(!spilled.is_empty());
    assert!(ids(&rows(&data, &[])).is_disjoint(&spilled), "they were in the ledger all along");
    // A process that is killed while it writes leaves half a line.
    let mut file = File::options().append(true).open(spill(&data)).unwrap();
    file.write_all(br#"{"request_id":"0"#).unwrap();

    let gateway = Gateway::start_in(folder, &provider.table("openai"), &[]);
    let kept = eventually("the spilled rows", || {
        Some(ids(&gateway.rows())).filter(|kept| kept.is_superset(&spilled))
    });
    assert!(kept.len() <= 20);
    eventually("the spill file to be gone", || (!spill(&data).exists()).then_some(()));
    let answer = gateway.client().post("/v1/chat/completions", r#"{"model":"gpt-4o"}"#);
    assert_eq!(gateway.rows_of(answer.id(), 1).len(), 1);
}

/// A disk of eight megabytes.
struct Disk(PathBuf);

impl Disk {
    /// `None` where this process may not mount one.
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(at).output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(at.to_owned())),
            Ok(output) => {
                eprintln!(
                    "left out, for no disk can be mounted here: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
                None
            }
            Err(e) => {
                eprintln!("left out, for there is no `mount`: {e}");
                None
            }
        }
    }

    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        for size in [65_536, 1] {
            let e = (0..8 << 20).find_map(|_| file.write_all(&vec![0; size]).err());
            assert_eq!(e.expect("a disk that is full").kind(), ErrorKind::StorageFull);
        }
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the gateway may still have files open there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_neither_slows_an_exchange_nor_costs_a_row() {
    let _alone = alone();
    let provider = provider();
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(&folder.path().join("data")) else { return };
    // The disk goes before the gateway's folder does, in which it is mounted.
    let (gateway, disk) = (Gateway::start_in(folder, &provider.table("openai"), &[]), disk);
    let load = Load::start(gateway.address);
    eventually("rows to come", || Some(gateway.rows()).filter(|rows| !rows.is_empty()));
    disk.fill();
    await_failing(&gateway);
    // Neither the ledger nor the spill file can grow: rows wait in memory.
    eventually("rows to wait", || (gateway.metric("tollgate_ledger_queue_rows") > 300.0).then_some(()));
    assert_eq!(gateway.readiness()["ledger"]["failing"], json!(true));
    let answered = load.end();
    disk.free();
    check_nothing_missed(&gateway, answered);
}
