//! Provider keys that change: in mounted files, swapped as Kubernetes does it, gone for a moment; in the store.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::store::{MasterKeys, SecretStore, new_master_key};

fn header(file: &Path) -> KeyHeader {
    KeyHeader::new(KeyStyle::Bearer, Some(Secret::File(file.to_owned())), &Arc::default()).unwrap()
}

fn now(header: &KeyHeader) -> String {
    let (_, value) = header.get("p", Dialect::OpenaiChat, None).unwrap().unwrap();
    assert!(value.is_sensitive());
    value.to_str().unwrap().to_owned()
}

/// How long it takes until the key is `expected`; at most 1.5 s.
fn until(header: &KeyHeader, expected: &str) -> Duration {
    let start = Instant::now();
    while now(header) != expected {
        assert!(start.elapsed() < Duration::from_millis(1500), "{} is not {expected}", now(header));
        std::thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}

#[test]
fn a_mounted_key_that_is_replaced_counts_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "sk-old\n").unwrap();
    let header = header(&file);
    assert_eq!(now(&header), "Bearer sk-old");
    std::fs::write(folder.path().join("new"), "sk-new\n").unwrap();
    std::fs::rename(folder.path().join("new"), &file).unwrap();
    assert!(until(&header, "Bearer sk-new") < Duration::from_millis(1250));
    // Written in place.
    std::fs::write(&file, "sk-newer").unwrap();
    assert!(until(&header, "Bearer sk-newer") < Duration::from_millis(1250));
}

#[test]
fn a_key_behind_links_that_are_swapped_as_kubernetes_does_counts_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("..1")).unwrap();
    std::fs::write(at("..1/key"), "sk-old").unwrap();
    symlink("..1", at("..data")).unwrap();
    symlink("..data/key", at("key")).unwrap();
    let header = header(&at("key"));
    std::fs::create_dir(at("..2")).unwrap();
    std::fs::write(at("..2/key"), "sk-new").unwrap();
    symlink("..2", at("..data_tmp")).unwrap();
    std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
    std::fs::remove_dir_all(at("..1")).unwrap();
    assert!(until(&header, "Bearer sk-new") < Duration::from_millis(1250));
}

#[test]
fn a_mounted_key_that_is_gone_empty_or_no_key_for_a_moment_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "sk-good").unwrap();
    let header = header(&file);
    let bad: [&dyn Fn(); 3] =
        [&|| std::fs::remove_file(&file).unwrap(), &|| std::fs::write(&file, "\n").unwrap(), &|| {
            std::fs::write(&file, "no key\u{0}").unwrap();
        }];
    for spoil in bad {
        spoil();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(1300) {
            assert_eq!(now(&header), "Bearer sk-good");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    std::fs::write(&file, "sk-back").unwrap();
    until(&header, "Bearer sk-back");
    assert!(!format!("{header:?}").contains("sk-"), "{header:?}");
}

#[tokio::test]
async fn a_key_from_the_store_is_the_one_that_is_there_now() {
    let data = tempfile::tempdir().unwrap();
    let master = new_master_key().unwrap();
    let open = || SecretStore::open(data.path(), MasterKeys::parse(Some(&master), &[]).unwrap());
    let (mut writer, mut own) = (open().await.unwrap(), open().await.unwrap());
    let secrets = Arc::new(SecretsDirectory::open(&mut own).await.unwrap());
    let header = KeyHeader::new(KeyStyle::XApiKey, Some(Secret::Store("p".to_owned())), &secrets).unwrap();
    let refused = header.get("p", Dialect::Anthropic, None).unwrap_err();
    assert_eq!(refused.kind.status(), 503);
    let follower = secrets.clone();
    tokio::spawn(async move { follower.follow(own).await });
    for key in ["sk-first", "sk-second"] {
        writer.set("p", key).await.unwrap();
        let there = async {
            while header.get("p", Dialect::Anthropic, None).ok().flatten().is_none_or(|(_, v)| v != key) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), there).await.unwrap();
    }
    assert!(!format!("{header:?}").contains("sk-"), "{header:?}");
}
