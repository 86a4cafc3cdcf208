//! Rotation: all or nothing, whatever comes in between.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

/// Set for the process that `a_killed_rotation_leaves_all_or_nothing` starts and kills.
const CHILD: &str = "TOLLGATE_TEST_ROTATE";

const MANY: usize = 300;

async fn many(data: &Path) -> SecretStore {
    let mut store = store(data, 1).await;
    for i in 0..MANY {
        store.set(&format!("s{i}"), &format!("{PLANTED}{i}")).await.unwrap();
    }
    store
}

/// The master keys that rows are wrapped with, each once.
async fn wrapped_with(data: &Path) -> Vec<String> {
    let mut store = SecretStore::open(data, MasterKeys::default()).await.unwrap();
    let mut ids: Vec<_> = store.list().await.unwrap().into_iter().map(|info| info.key_id).collect();
    ids.sort();
    ids.dedup();
    ids
}

#[tokio::test]
async fn rotation_wraps_every_data_key_anew_and_leaves_nothing_under_the_old_master_key() {
    let (data, mut before) = two().await;
    let old = before.rows().await.unwrap();
    let mut rotating = SecretStore::open(data.path(), keys(2, &[1])).await.unwrap();
    assert_eq!(rotating.rotate().await.unwrap(), 2);
    assert_eq!(rotating.rotate().await.unwrap(), 0);
    let mut new = store(data.path(), 2).await;
    assert_eq!((value(&mut new, "a").await, value(&mut new, "b").await), (PLANTED.into(), "another".into()));
    assert!(matches!(why(&mut before, "a").await, SecretError::UnknownMasterKey { .. }));
    let rows = new.rows().await.unwrap();
    for (old, new) in old.iter().zip(&rows) {
        // A rotation is no change of the secret.
        assert_eq!((&old.value, old.created, old.updated), (&new.value, new.created, new.updated));
        assert_eq!(new.key_id, master(2).id());
        for (name, bytes) in bytes(data.path()) {
            assert!(!holds(&bytes, &old.wrapped_key), "{name} still has the old wrap of {}", old.name);
        }
    }
}

#[tokio::test]
async fn a_rotation_that_cannot_have_all_changes_none_and_names_those_in_the_way() {
    let (data, mut store) = two().await;
    store.set("c", "third").await.unwrap();
    meddle(data.path(), "UPDATE secrets SET wrapped_key = x'00' WHERE name = 'b'").await;
    let before = wrapped_with(data.path()).await;
    let mut rotating = SecretStore::open(data.path(), keys(2, &[1])).await.unwrap();
    let refused = rotating.rotate().await.unwrap_err().to_string();
    assert!(refused.contains("nothing was rotated") && refused.contains("\"b\""), "{refused}");
    assert!(!refused.contains("\"a\"") && !refused.contains("\"c\""), "{refused}");
    assert_eq!(wrapped_with(data.path()).await, before);
    rotating.remove("b").await.unwrap();
    assert_eq!(rotating.rotate().await.unwrap(), 2);
}

#[tokio::test]
async fn a_rotation_that_fails_or_is_dropped_half_way_changes_none() {
    let data = tempfile::tempdir().unwrap();
    drop(many(data.path()).await);
    let mut rotating = SecretStore::open(data.path(), keys(2, &[1])).await.unwrap();
    let old = [master(1).id().to_owned()];
    let trigger = "CREATE TRIGGER half BEFORE UPDATE ON secrets WHEN OLD.name = 's7' \
                   BEGIN SELECT RAISE(ABORT, 'disk on fire'); END";
    rotating.connection.execute(trigger).await.unwrap();
    let refused = rotating.rotate().await.unwrap_err().to_string();
    assert!(refused.contains("disk on fire"), "{refused}");
    assert_eq!(wrapped_with(data.path()).await, old);
    rotating.connection.execute("DROP TRIGGER half").await.unwrap();
    // Each statement of the rotation gives way once: the tenth poll is between the first row and the last.
    let mut polls = 0;
    {
        let mut rotation = Box::pin(rotating.rotate());
        std::future::poll_fn(|context| {
            polls += 1;
            assert!(rotation.as_mut().poll(context).is_pending(), "it was over before it could be dropped");
            if polls < 10 { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
        })
        .await;
    }
    assert_eq!(wrapped_with(data.path()).await, old);
    assert_eq!(rotating.rotate().await.unwrap(), MANY);
    assert_eq!(wrapped_with(data.path()).await, [master(2).id()]);
}

/// Rotates to and fro until it is killed; it is no test unless it is told to be.
#[tokio::test]
async fn rotates_for_ever_where_it_is_a_child() {
    let Some(data) = std::env::var_os(CHILD) else { return };
    for turn in 0_u8.. {
        let (current, previous) = if turn % 2 == 0 { (2, 1) } else { (1, 2) };
        let mut store = SecretStore::open(Path::new(&data), keys(current, &[previous])).await.unwrap();
        assert_eq!(store.rotate().await.unwrap(), MANY);
        println!("rotated");
    }
}

#[tokio::test]
async fn a_killed_rotation_leaves_all_or_nothing() {
    let data = tempfile::tempdir().unwrap();
    drop(many(data.path()).await);
    for kill in 0..12 {
        // Whatever the last one left is rotated to 1 again, as the child begins by rotating from 1 to 2.
        SecretStore::open(data.path(), keys(1, &[2])).await.unwrap().rotate().await.unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["rotates_for_ever_where_it_is_a_child", "--nocapture"])
            .env(CHILD, data.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("rotated")), "the child did not rotate");
        // A rotation takes a few milliseconds: each kill meets another part of one.
        std::thread::sleep(Duration::from_micros(700 * kill));
        child.kill().unwrap();
        child.wait().unwrap();
        let ids = wrapped_with(data.path()).await;
        assert_eq!(ids.len(), 1, "kill {kill} left rows under both master keys");
        let mut after = SecretStore::open(data.path(), keys(1, &[2])).await.unwrap();
        for (name, value) in after.values().await.unwrap() {
            assert_eq!(value.unwrap().expose(), format!("{PLANTED}{}", &name[1..]));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_set_while_a_rotation_runs_is_neither_lost_nor_undone() {
    let data = tempfile::tempdir().unwrap();
    let mut setter = many(data.path()).await;
    let folder = data.path().to_owned();
    let rotations = tokio::spawn(async move {
        for turn in 0..10 {
            let (current, previous) = if turn % 2 == 0 { (2, 1) } else { (1, 2) };
            let mut store = SecretStore::open(&folder, keys(current, &[previous])).await.unwrap();
            store.rotate().await.unwrap();
        }
    });
    let mut sets = 0;
    while !rotations.is_finished() {
        sets += 1;
        setter.set("s7", &format!("new-{sets}")).await.unwrap();
        let mut reader = SecretStore::open(data.path(), keys(1, &[2])).await.unwrap();
        assert_eq!(value(&mut reader, "s7").await, format!("new-{sets}"));
    }
    rotations.await.unwrap();
    assert!(sets > 1, "nothing was set meanwhile");
    let mut end = SecretStore::open(data.path(), keys(1, &[2])).await.unwrap();
    end.rotate().await.unwrap();
    assert_eq!(wrapped_with(data.path()).await, [master(1).id()]);
    assert_eq!(value(&mut end, "s8").await, format!("{PLANTED}8"));
}
