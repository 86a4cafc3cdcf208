//! Sealing and unsealing on real files: what is written, what is refused, and why.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sqlx::Connection as _;
use tempfile::TempDir;

use super::*;
use crate::store::seal::{MasterKey, new_master_key};

mod live;
mod rotation;

const PLANTED: &str = "sk-planted-4f9c2e71b8";

/// The same number gives the same master key.
fn master(seed: u8) -> MasterKey {
    let bytes: [u8; 32] = std::array::from_fn(|i| seed.wrapping_add(7 * u8::try_from(i).unwrap()));
    MasterKey::parse(&STANDARD.encode(bytes)).unwrap()
}

fn keys(current: u8, previous: &[u8]) -> MasterKeys {
    MasterKeys::new(Some(master(current)), previous.iter().copied().map(master).collect())
}

async fn store(data: &Path, current: u8) -> SecretStore {
    SecretStore::open(data, keys(current, &[])).await.unwrap()
}

/// A store with the secrets `a` and `b`.
async fn two() -> (TempDir, SecretStore) {
    let data = tempfile::tempdir().unwrap();
    let mut store = store(data.path(), 1).await;
    store.set("a", PLANTED).await.unwrap();
    store.set("b", "another").await.unwrap();
    (data, store)
}

/// Runs `statement` on the file as somebody who is not the gateway would.
async fn meddle(data: &Path, statement: &'static str) {
    let mut connection = sqlite::open(&data.join(FILE), "").await.unwrap();
    let done = connection.execute(statement).await.unwrap();
    assert!(done.rows_affected() > 0, "{statement} changed nothing");
    connection.close().await.unwrap();
}

/// Changes one bit of a blob of the secret `a`.
async fn flip(data: &Path, column: &str, at: usize) {
    let mut connection = sqlite::open(&data.join(FILE), "").await.unwrap();
    let select = sqlx::AssertSqlSafe(format!("SELECT {column} FROM secrets WHERE name = 'a'"));
    let mut blob: Vec<u8> = sqlx::query_scalar(select).fetch_one(&mut connection).await.unwrap();
    blob[at] ^= 1;
    let update = sqlx::AssertSqlSafe(format!("UPDATE secrets SET {column} = ? WHERE name = 'a'"));
    sqlx::query(update).bind(blob).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn why(store: &mut SecretStore, name: &str) -> SecretError {
    match store.get(name).await.unwrap_err() {
        StoreError::Secret(why) => why,
        other => panic!("{other}"),
    }
}

async fn value(store: &mut SecretStore, name: &str) -> String {
    store.get(name).await.unwrap().unwrap().expose().to_owned()
}

/// Everything that SQLite has written, file by file.
fn bytes(data: &Path) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(data).unwrap().map(|file| file.unwrap().path());
    files.map(|file| (file.display().to_string(), std::fs::read(&file).unwrap())).collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn a_value_comes_back_and_stands_in_none_of_the_files() {
    let (data, mut writer) = two().await;
    assert_eq!(value(&mut writer, "a").await, PLANTED);
    assert!(writer.get("c").await.unwrap().is_none());
    let files = bytes(data.path());
    for end in [".db", "-wal", "-shm"] {
        assert!(files.iter().any(|(name, _)| name.ends_with(end)), "no {end} is looked at");
    }
    for (name, bytes) in files {
        assert!(!holds(&bytes, PLANTED.as_bytes()), "{name}");
        let mode = std::fs::metadata(&name).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let (mut again, info) = (store(data.path(), 1).await, writer.list().await.unwrap());
    assert_eq!(value(&mut again, "b").await, "another");
    let names: Vec<_> = info.iter().map(|i| (i.name.as_str(), i.key_id.as_str())).collect();
    assert_eq!(names, [("a", master(1).id()), ("b", master(1).id())]);
}

#[tokio::test]
async fn a_file_that_was_open_to_others_is_closed_to_them() {
    let (data, store) = two().await;
    let file = data.path().join(FILE);
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    drop(store);
    drop(self::store(data.path(), 1).await);
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn every_value_has_a_data_key_of_its_own_and_never_looks_the_same_twice() {
    let (data, mut store) = two().await;
    store.set("b", PLANTED).await.unwrap();
    let rows = store.rows().await.unwrap();
    assert_ne!(rows[0].value, rows[1].value);
    let key = rows[0].data_key(&store.keys, &[]).unwrap();
    assert!(key.open(&rows[0].label(), &rows[0].value).is_ok());
    assert!(key.open(&rows[1].label(), &rows[1].value).is_err());
    meddle(data.path(), "UPDATE secrets SET created = created - 100 WHERE name = 'b'").await;
    store.set("b", PLANTED).await.unwrap();
    let again = store.rows().await.unwrap();
    assert_ne!(rows[1].value, again[1].value);
    assert_ne!(rows[1].wrapped_key, again[1].wrapped_key);
    assert_eq!(again[1].created, rows[1].created - 100, "a secret that is replaced is as old as it was");
}

#[tokio::test]
async fn no_debug_output_and_no_error_shows_a_value() {
    let (data, mut store) = two().await;
    let directory = SecretsDirectory::open(&mut store).await.unwrap();
    let held = directory.get("a").unwrap();
    assert_eq!(held.expose(), PLANTED);
    let raw = "00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210";
    let given = MasterKeys::parse(Some(raw), &[raw.to_owned()]).unwrap();
    let listed = store.list().await.unwrap();
    let mut seen = vec![format!("{store:?} {directory:?} {held:?} {given:?} {listed:?}")];
    for (name, value) in [("a b", PLANTED), ("a", "  "), ("a", &*PLANTED.repeat(5000))] {
        let error = store.set(name, value).await.unwrap_err();
        seen.push(format!("{error} {error:?}"));
    }
    meddle(data.path(), "UPDATE secrets SET value = zeroblob(40) WHERE name = 'a'").await;
    let error = store.get("a").await.unwrap_err();
    seen.push(format!("{error} {error:?}"));
    for wrong in [&raw[1..], &*format!("{raw}00"), "correct horse battery staple"] {
        let error = MasterKey::parse(wrong).unwrap_err();
        seen.push(format!("{error} {error:?}"));
        assert!(!seen.concat().contains(wrong), "{wrong} in {seen:?}");
    }
    let seen = seen.concat();
    assert!(!seen.contains(PLANTED) && !seen.contains(&raw[..12]), "{seen}");
    assert!(seen.contains("SecretValue(…)") && seen.contains(master(1).id()), "{seen}");
}

#[tokio::test]
async fn a_master_key_is_32_random_bytes_and_nothing_else() {
    let fresh = new_master_key().unwrap();
    assert_eq!(fresh.len(), 44);
    let id = MasterKey::parse(&format!(" {}\n", &*fresh)).unwrap().id().to_owned();
    assert_eq!(id, MasterKey::parse(fresh.trim_end_matches('=')).unwrap().id());
    assert_eq!(id.len(), 8);
    assert_ne!(id, MasterKey::parse(&new_master_key().unwrap()).unwrap().id());
    let (zeros, ones) = ("0".repeat(64), "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=");
    for wrong in ["", "password", &*zeros, ones, &fresh[..40], &*format!("{}AAAA", &*fresh), &"g".repeat(64)]
    {
        let why = MasterKey::parse(wrong).unwrap_err().to_string();
        assert!(why.contains("secrets keygen"), "{why}");
    }
    let why = MasterKeys::parse(Some(&fresh), &[fresh.to_string(), "no".to_owned()]).unwrap_err();
    assert!(why.to_string().starts_with("secrets.previous_master_keys[1]: "), "{why}");
}

#[test]
fn a_value_is_bound_to_everything_in_its_label() {
    let label = || Label { name: "a", version: 1, created: 2, updated: 3 };
    let (key, master) = (DataKey::random().unwrap(), master(1));
    let wrapped = master.wrap(&label(), &key).unwrap();
    let sealed = key.seal(&label(), PLANTED).unwrap();
    let key = master.unwrap(&label(), &wrapped).unwrap();
    assert_eq!(*key.open(&label(), &sealed).unwrap(), PLANTED);
    for other in [
        Label { name: "b", ..label() },
        Label { version: 2, ..label() },
        Label { created: 3, ..label() },
        Label { updated: 2, ..label() },
    ] {
        assert!(key.open(&other, &sealed).is_err());
    }
    assert!(master.unwrap(&Label { name: "b", ..label() }, &wrapped).is_err());
    assert!(master.unwrap(&Label { version: 2, ..label() }, &wrapped).is_err());
    assert!(self::master(2).unwrap(&label(), &wrapped).is_err());
}

#[tokio::test]
async fn without_its_master_key_a_secret_says_which_one_it_needs() {
    let (data, _store) = two().await;
    let mut none = SecretStore::open(data.path(), MasterKeys::default()).await.unwrap();
    assert_eq!(why(&mut none, "a").await, SecretError::NoMasterKey { name: "a".to_owned() });
    assert!(matches!(none.set("a", "x").await, Err(StoreError::Secret(SecretError::NoMasterKey { .. }))));
    assert!(matches!(none.rotate().await, Err(StoreError::Secret(SecretError::NothingToRotateTo))));
    assert_eq!(none.list().await.unwrap().len(), 2);
    let mut wrong = store(data.path(), 2).await;
    let (name, key_id, given) = ("a".to_owned(), master(1).id().to_owned(), master(2).id().to_owned());
    assert_eq!(why(&mut wrong, "a").await, SecretError::UnknownMasterKey { name, key_id, given });
    let mut previous = SecretStore::open(data.path(), keys(2, &[3, 1])).await.unwrap();
    assert_eq!(value(&mut previous, "a").await, PLANTED);
    // One bad secret is that one's matter alone.
    wrong.set("b", "newer").await.unwrap();
    assert_eq!(value(&mut wrong, "b").await, "newer");
}

#[tokio::test]
async fn a_change_in_any_column_is_noticed_and_harms_no_other_secret() {
    let tampered = |part| SecretError::Tampered { name: "a".to_owned(), part };
    let unknown = |key_id: &str| SecretError::UnknownMasterKey {
        name: "a".to_owned(),
        key_id: key_id.to_owned(),
        given: master(1).id().to_owned(),
    };
    let version = SecretError::Version { name: "a".to_owned(), version: 2 };
    let cases = [
        ("UPDATE secrets SET version = 2 WHERE name = 'a'", version),
        ("UPDATE secrets SET key_id = '00000000' WHERE name = 'a'", unknown("00000000")),
        ("UPDATE secrets SET key_id = CAST(x'ff' AS TEXT) WHERE name = 'a'", unknown("\u{fffd}")),
        ("UPDATE secrets SET wrapped_key = zeroblob(60) WHERE name = 'a'", tampered("data key")),
        ("UPDATE secrets SET wrapped_key = x'' WHERE name = 'a'", tampered("data key")),
        (
            "UPDATE secrets SET value = substr(value, 1, length(value) - 1) WHERE name = 'a'",
            tampered("value"),
        ),
        ("UPDATE secrets SET created = created - 1 WHERE name = 'a'", tampered("value")),
        ("UPDATE secrets SET updated = updated + 1 WHERE name = 'a'", tampered("value")),
    ];
    for (statement, expected) in cases {
        let (data, mut store) = two().await;
        meddle(data.path(), statement).await;
        assert_eq!(why(&mut store, "a").await, expected, "{statement}");
        assert_eq!(value(&mut store, "b").await, "another", "{statement}");
    }
    // Nonce, ciphertext and tag.
    for (column, part) in [("wrapped_key", "data key"), ("value", "value")] {
        for at in [0, 12, 30] {
            let (data, mut store) = two().await;
            flip(data.path(), column, at).await;
            assert_eq!(why(&mut store, "a").await, tampered(part), "{column} {at}");
            assert_eq!(value(&mut store, "b").await, "another", "{column} {at}");
        }
    }
    let (data, mut store) = two().await;
    meddle(data.path(), "UPDATE secrets SET name = 'z' WHERE name = 'a'").await;
    let renamed = SecretError::Tampered { name: "z".to_owned(), part: "data key" };
    assert_eq!(why(&mut store, "z").await, renamed);
}

#[tokio::test]
async fn rows_and_parts_of_rows_cannot_change_places() {
    let moves = [
        "UPDATE secrets SET name = 'c' WHERE name = 'a'; UPDATE secrets SET name = 'a' WHERE name = 'b';
         UPDATE secrets SET name = 'b' WHERE name = 'c'",
        "UPDATE secrets SET wrapped_key = (SELECT o.wrapped_key FROM secrets o WHERE o.name = 'b') WHERE name = 'a'",
        "UPDATE secrets SET value = (SELECT o.value FROM secrets o WHERE o.name = 'b') WHERE name = 'a'",
    ];
    for statement in moves {
        let (data, mut store) = two().await;
        meddle(data.path(), statement).await;
        let swapped = SecretError::Swapped { name: "a".to_owned(), of: "b".to_owned() };
        assert_eq!(why(&mut store, "a").await, swapped, "{statement}");
    }
}
