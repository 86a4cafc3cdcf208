use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tempfile::TempDir;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn stored(org: &str, id: &str, previous: Option<&str>) -> Stored {
    let output =
        json!([{"type": "message", "content": [{"type": "output_text", "text": format!("to {id}")}]}]);
    Stored {
        org: org.to_owned(),
        id: id.to_owned(),
        created: now(),
        expires: 0,
        model: "m".to_owned(),
        previous: previous.map(str::to_owned),
        input: json!([{"role": "user", "content": "ä\u{0}\"", "n": 0.1}]),
        output: output.clone(),
        response: json!({"id": id, "object": "response", "output": output}),
    }
}

fn open(folder: &TempDir) -> SqliteResponses {
    // It has a runtime of its own, which cannot start within the test's.
    std::thread::scope(|scope| {
        scope.spawn(|| SqliteResponses::open(folder.path(), DAY).unwrap()).join().unwrap()
    })
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Another process's connection to the file.
async fn other(folder: &TempDir) -> SqliteConnection {
    table::open(&folder.path().join(table::FILE)).await.unwrap()
}

async fn until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(8), "it does not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn found(store: &SqliteResponses, org: &str, id: &str) -> bool {
    store.get(org, id).await.unwrap().is_some()
}

#[tokio::test]
async fn an_answer_comes_back_as_it_was_and_only_to_its_organisation() {
    let folder = folder();
    let store = open(&folder);
    let mut one = stored("a", "resp_1", None);
    let mut two = Stored { response: json!({"id": "resp_2"}), ..stored("a", "resp_2", Some("resp_1")) };
    store.put(one.clone()).unwrap();
    store.put(two.clone()).unwrap();
    (one.expires, two.expires) = (one.created + DAY.as_secs(), two.created + DAY.as_secs());
    assert_eq!(*store.get("a", "resp_1").await.unwrap().unwrap(), one);
    store.close();
    assert_eq!(store.stats().written, 2);
    let store = open(&folder);
    assert_eq!(*store.get("a", "resp_1").await.unwrap().unwrap(), one);
    assert_eq!(*store.get("a", "resp_2").await.unwrap().unwrap(), two);
    assert!(!found(&store, "b", "resp_1").await);
    assert!(!store.delete("b", "resp_1").await.unwrap());
    assert!(found(&store, "a", "resp_1").await);
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_written() {
    let (folder, copy) = (folder(), tempfile::tempdir().unwrap());
    let store = open(&folder);
    (0..100).for_each(|n| store.put(stored("a", &format!("resp_{n}"), None)).unwrap());
    until(|| store.stats().queued == 0).await;
    // What the files hold now is what a kill leaves behind.
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let file: PathBuf = entry.unwrap().path();
        std::fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
    }
    let store = open(&copy);
    for n in 0..100 {
        assert!(found(&store, "a", &format!("resp_{n}")).await, "{n}");
    }
}

#[tokio::test]
async fn a_locked_store_makes_nobody_wait_and_loses_nothing() {
    let folder = folder();
    let store = open(&folder);
    store.put(stored("a", "resp_before", None)).unwrap();
    until(|| store.stats().queued == 0).await;
    store.recent.clear();
    let mut other = other(&folder).await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let start = Instant::now();
    (0..50).for_each(|n| store.put(stored("a", &format!("resp_{n}"), None)).unwrap());
    store.recent.clear();
    for id in ["resp_0", "resp_49", "resp_before"] {
        assert!(found(&store, "a", id).await, "{id}");
    }
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    until(|| store.stats().failing).await;
    assert_eq!(store.stats().queued, 50);
    other.execute("COMMIT").await.unwrap();
    until(|| store.stats().queued == 0).await;
    let stats = store.stats();
    assert_eq!((stats.written, stats.lost, stats.failing), (51, 0, false));
}

#[tokio::test]
async fn a_store_that_refuses_fills_memory_only_so_far() {
    let folder = folder();
    let store = open(&folder);
    let mut other = other(&folder).await;
    let full = "CREATE TRIGGER full BEFORE INSERT ON responses BEGIN SELECT RAISE(FAIL, 'disk full'); END";
    other.execute(full).await.unwrap();
    let large =
        |n| Stored { input: Value::from("x".repeat(1 << 20)), ..stored("a", &format!("resp_{n}"), None) };
    let taken = (0..100).filter(|n| store.put(large(*n)).is_ok()).count();
    assert!((60..64).contains(&taken), "{taken}");
    assert_eq!(store.put(large(100)), Err(NotKept::Full));
    assert!(!found(&store, "a", "resp_100").await);
    until(|| store.stats().failing).await;
    let stats = store.stats();
    assert_eq!((stats.queued, stats.lost), (taken, 101 - taken as u64));
    assert!(found(&store, "a", "resp_0").await);
    other.execute("DROP TRIGGER full").await.unwrap();
    until(|| store.stats().queued == 0).await;
    assert_eq!((store.stats().queued_bytes, store.stats().failing), (0, false));
    assert_eq!(store.put(large(100)), Ok(()));
}

#[tokio::test]
async fn what_the_disk_does_not_take_at_the_end_is_counted() {
    let folder = folder();
    let store = open(&folder);
    let full = "CREATE TRIGGER full BEFORE INSERT ON responses BEGIN SELECT RAISE(FAIL, 'disk full'); END";
    other(&folder).await.execute(full).await.unwrap();
    (0..200).for_each(|n| store.put(stored("a", &format!("resp_{n}"), None)).unwrap());
    let start = Instant::now();
    store.close();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(store.stats().lost, 200);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_given_up_soon() {
    let folder = folder();
    let store = open(&folder);
    let all = store.readers.take_all_turns().await;
    let start = Instant::now();
    assert!(matches!(store.get("a", "resp_1").await, Err(Error::Unavailable(_))));
    assert!(start.elapsed() < Duration::from_secs(4));
    let start = Instant::now();
    assert!(matches!(store.get("a", "resp_1").await, Err(Error::Unavailable(_))));
    assert!(start.elapsed() < Duration::from_millis(100), "the next one does not wait again");
    drop(all);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(store.get("a", "resp_1").await, Ok(None));
    assert_eq!(store.stats().unread, 1);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_kept_and_that_is_said() {
    let folder = folder();
    let store = open(&folder);
    let large = Stored { input: Value::from("x".repeat(LARGEST)), ..stored("a", "resp_1", None) };
    let refused = store.put(large).unwrap_err();
    assert!(matches!(refused, NotKept::TooLarge { size, limit: LARGEST } if size > LARGEST), "{refused}");
    assert!(!found(&store, "a", "resp_1").await);
    assert_eq!(store.stats().too_large, 1);
}

#[tokio::test]
async fn a_large_answer_comes_back_from_the_disk() {
    let folder = folder();
    let store = open(&folder);
    let large = Stored { input: Value::from("x".repeat(LARGEST - 4096)), ..stored("a", "resp_1", None) };
    store.put(large.clone()).unwrap();
    until(|| store.stats().queued == 0).await;
    store.recent.clear();
    assert_eq!(store.get("a", "resp_1").await.unwrap().unwrap().input, large.input);
}

#[tokio::test]
async fn an_expired_answer_is_not_found_and_goes() {
    let folder = folder();
    let store = open(&folder);
    let old = |n: u64| Stored { created: now() - DAY.as_secs(), ..stored("a", &format!("resp_{n}"), None) };
    (0..table::SWEEP + 50).for_each(|n| store.put(old(n)).unwrap());
    store.put(stored("a", "resp_new", None)).unwrap();
    assert!(!found(&store, "a", "resp_1").await);
    store.close();
    let mut other = other(&folder).await;
    let store = open(&folder);
    let start = Instant::now();
    loop {
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM responses").fetch_one(&mut other).await.unwrap();
        if count == 1 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{count}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(found(&store, "a", "resp_new").await);
}

#[tokio::test]
async fn a_deleted_answer_is_gone_for_good() {
    let folder = folder();
    let store = open(&folder);
    store.put(stored("a", "resp_1", None)).unwrap();
    store.put(stored("a", "resp_2", None)).unwrap();
    assert!(store.delete("a", "resp_1").await.unwrap());
    assert!(!store.delete("a", "resp_1").await.unwrap());
    assert!(!found(&store, "a", "resp_1").await);
    let mut other = other(&folder).await;
    let ids: Vec<String> =
        sqlx::query_scalar("SELECT id FROM responses").fetch_all(&mut other).await.unwrap();
    assert_eq!(ids, ["resp_2"]);
    other.close().await.unwrap();
}

#[tokio::test]
async fn the_last_change_of_an_id_counts_in_whatever_batches_they_are_written() {
    let folder = folder();
    let store = Arc::new(open(&folder));
    for n in 0..200 {
        let id = format!("resp_{}", n % 7);
        if n % 3 == 2 {
            let store = store.clone();
            // Not waited for: the next change overtakes it.
            tokio::spawn(async move { store.delete("a", &id).await });
        } else {
            store.put(Stored { model: n.to_string(), ..stored("a", &id, None) }).unwrap();
        }
        tokio::task::yield_now().await;
    }
    until(|| store.stats().queued == 0).await;
    let mut said = Vec::new();
    for n in 0..7 {
        said.push(store.get("a", &format!("resp_{n}")).await.unwrap().map(|s| s.model.clone()));
    }
    store.close();
    let store = open(&folder);
    for (n, said) in said.into_iter().enumerate() {
        let read = store.get("a", &format!("resp_{n}")).await.unwrap().map(|s| s.model.clone());
        assert_eq!(read, said, "{n}");
    }
}

#[tokio::test]
async fn a_conversation_is_found_by_its_last_answer() {
    let folder = folder();
    let store = open(&folder);
    store.put(stored("a", "resp_1", None)).unwrap();
    store.put(stored("a", "resp_2", Some("resp_1"))).unwrap();
    store.put(stored("a", "resp_3", Some("resp_2"))).unwrap();
    store.put(stored("b", "resp_4", Some("resp_3"))).unwrap();
    let chain = store.chain("a", "resp_3").await.unwrap();
    let ids: Vec<&str> = chain.iter().map(|stored| stored.id.as_str()).collect();
    assert_eq!(ids, ["resp_1", "resp_2", "resp_3"]);
    assert_eq!(store.chain("b", "resp_4").await, Err(Error::NotFound { id: "resp_3".to_owned() }));
    store.delete("a", "resp_1").await.unwrap();
    assert_eq!(store.chain("a", "resp_3").await, Err(Error::NotFound { id: "resp_1".to_owned() }));
}

#[tokio::test]
async fn a_conversation_is_bounded() {
    let folder = folder();
    let store = open(&folder);
    store.put(stored("a", "resp_loop", Some("resp_loop"))).unwrap();
    assert_eq!(store.chain("a", "resp_loop").await, Err(Error::ChainTooLong));
    let mut previous = None;
    for n in 0..6 {
        let id = format!("resp_{n}");
        let large = Value::from("x".repeat(15 << 20));
        store.put(Stored { input: large, ..stored("a", &id, previous.as_deref()) }).unwrap();
        until(|| store.stats().queued == 0).await;
        previous = Some(id);
    }
    assert_eq!(store.chain("a", "resp_3").await.unwrap().len(), 4);
    assert_eq!(store.chain("a", "resp_5").await, Err(Error::ChainTooLarge));
}
