//! Which replica this is: an id in the data folder, held by one process at a time.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use uuid::Uuid;

use super::StoreError;

const FILE: &str = "replica";

/// The id that this gateway's part of shared counters goes by. It is held for as long as this lives.
#[derive(Debug)]
pub struct Replica {
    pub id: String,
    /// Whether what the data folder's ledger says is this process's own to tell. A second process on the same folder
    /// (while a new version takes over) goes by an id of its own, and tells only what it adds.
    pub keeps_the_books: bool,
    _held: Option<File>,
}

impl Replica {
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        let path = data.join(FILE);
        let wrap = |source| StoreError::File { path: path.display().to_string(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(wrap)?;
        let held = file.try_lock().is_ok();
        let mut id = String::new();
        file.read_to_string(&mut id).map_err(wrap)?;
        if Uuid::parse_str(id.trim()).is_err() {
            id = Uuid::now_v7().to_string();
            if held {
                file.set_len(0).and_then(|()| file.rewind()).map_err(wrap)?;
                file.write_all(id.as_bytes()).map_err(wrap)?;
            }
        }
        let id = id.trim();
        Ok(if held {
            Self { id: id.to_owned(), keeps_the_books: true, _held: Some(file) }
        } else {
            Self { id: format!("{id}.{}", Uuid::now_v7()), keeps_the_books: false, _held: None }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_goes_by_the_folders_id() {
        let data = tempfile::tempdir().unwrap();
        let first = Replica::open(data.path()).unwrap();
        let second = Replica::open(data.path()).unwrap();
        assert!(first.keeps_the_books && !second.keeps_the_books);
        assert!(second.id.starts_with(&format!("{}.", first.id)), "{} {}", first.id, second.id);
        let id = first.id.clone();
        drop(first);
        let next = Replica::open(data.path()).unwrap();
        assert!(next.keeps_the_books);
        assert_eq!(next.id, id);
    }
}
