//! A gateway that runs while its secrets change.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;

/// Opens the directory as a gateway does, with a connection of its own, and lets it follow.
async fn following(data: &Path, current: u8) -> Arc<SecretsDirectory> {
    let mut own = store(data, current).await;
    let directory = Arc::new(SecretsDirectory::open(&mut own).await.unwrap());
    let follower = directory.clone();
    tokio::spawn(async move { follower.follow(own).await });
    directory
}

/// Waits until `directory` has for `name` what is expected, at most five seconds.
async fn until(directory: &SecretsDirectory, name: &str, expected: Option<&str>) {
    let has = || directory.get(name).ok().map(|value| value.expose().to_owned());
    let wait = async {
        while has().as_deref() != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(5), wait).await;
    assert!(waited.is_ok(), "{name} is {:?}, not {expected:?}, after five seconds", has());
}

#[tokio::test]
async fn what_another_process_sets_replaces_and_removes_counts_without_a_restart() {
    let (data, mut writer) = two().await;
    let directory = following(data.path(), 1).await;
    let (a, b) = (directory.get("a").unwrap(), directory.get("b").unwrap());
    let missing = directory.get("c").unwrap_err();
    assert!(missing.to_string().contains("tollgate secrets set c"), "{missing}");
    writer.set("c", "third").await.unwrap();
    until(&directory, "c", Some("third")).await;
    writer.set("a", "sk-newer").await.unwrap();
    until(&directory, "a", Some("sk-newer")).await;
    assert_eq!(a.expose(), PLANTED, "an exchange under way keeps what it had");
    assert!(Arc::ptr_eq(&b, &directory.get("b").unwrap()), "what was not set again is not replaced");
    writer.remove("a").await.unwrap();
    until(&directory, "a", None).await;
}

#[tokio::test]
async fn a_rotation_to_a_master_key_that_the_gateway_has_not_takes_no_secret_from_it() {
    let (data, _writer) = two().await;
    let directory = following(data.path(), 1).await;
    let mut rotating = SecretStore::open(data.path(), keys(2, &[1])).await.unwrap();
    rotating.rotate().await.unwrap();
    // When this one is not there any more, the gateway has seen the rotation, too.
    rotating.remove("b").await.unwrap();
    until(&directory, "b", None).await;
    assert_eq!(directory.get("a").unwrap().expose(), PLANTED);
    let fresh = SecretsDirectory::open(&mut store(data.path(), 1).await).await.unwrap();
    assert!(matches!(fresh.get("a"), Err(SecretError::UnknownMasterKey { .. })));
}

#[tokio::test]
async fn one_bad_secret_takes_no_other_down_and_is_good_again_when_it_is_set_again() {
    let (data, mut writer) = two().await;
    flip(data.path(), "value", 20).await;
    let directory = following(data.path(), 1).await;
    assert!(matches!(directory.get("a"), Err(SecretError::Tampered { part: "value", .. })));
    assert_eq!(directory.get("b").unwrap().expose(), "another");
    writer.set("a", "sk-again").await.unwrap();
    until(&directory, "a", Some("sk-again")).await;
    // Damage while the gateway runs: it goes on with what it had.
    flip(data.path(), "value", 20).await;
    writer.remove("b").await.unwrap();
    until(&directory, "b", None).await;
    assert_eq!(directory.get("a").unwrap().expose(), "sk-again");
}

/// A log that is kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_names_a_secret_that_is_bad_or_gone_and_never_shows_a_value() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
    let _guard = tracing::subscriber::set_default(subscriber.with_writer(move || writer.clone()).finish());
    let (data, mut store) = two().await;
    let mut own = self::store(data.path(), 1).await;
    let directory = SecretsDirectory::open(&mut own).await.unwrap();
    flip(data.path(), "value", 20).await;
    store.remove("b").await.unwrap();
    directory.read(&mut own).await.unwrap();
    SecretsDirectory::open(&mut own).await.unwrap().get("a").unwrap_err();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for said in ["\"a\" does not decrypt", "the value known before stays", "the others are not affected"] {
        assert!(log.contains(said), "{said} is not in {log}");
    }
    assert!(log.contains("a secret was removed") && log.contains("name=b"), "{log}");
    assert!(!log.contains(PLANTED) && !log.contains("another"), "{log}");
}

#[tokio::test]
async fn a_store_that_cannot_be_read_for_a_while_leaves_what_was_known() {
    let (data, mut writer) = two().await;
    let directory = following(data.path(), 1).await;
    meddle(data.path(), "UPDATE secrets SET updated = updated; ALTER TABLE secrets RENAME TO gone").await;
    tokio::time::sleep(POLL * 3).await;
    assert_eq!(directory.get("a").unwrap().expose(), PLANTED);
    meddle(data.path(), "ALTER TABLE gone RENAME TO secrets; UPDATE secrets SET updated = updated").await;
    writer.set("a", "sk-back").await.unwrap();
    until(&directory, "a", Some("sk-back")).await;
}
