//! Rows that the ledger cannot take now, as JSON lines in a file beside it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use tollgate_filters::usage::Row;

pub(super) struct Spill {
    file: PathBuf,
}

impl Spill {
    pub(super) fn new(data: &Path) -> Self {
        Self { file: data.join("usage.spill.jsonl") }
    }

    /// Appends `rows`, all or none: a write that fails halfway is taken back.
    pub(super) fn append(&self, rows: &[Row]) -> io::Result<()> {
        let mut lines = Vec::with_capacity(rows.len() * 512);
        for row in rows {
            serde_json::to_writer(&mut lines, row)?;
            lines.push(b'\n');
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.file)?;
        let before = file.metadata()?.len();
        file.write_all(&lines).inspect_err(|_| {
            // What cannot even be taken back is cut off by the reader.
            let _ = file.set_len(before);
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        fs::metadata(&self.file).map_or(true, |meta| meta.len() == 0)
    }

    /// Every whole row in the file. A line that is none, such as the last one of a process that was killed
    /// while writing, is left out; `cut` counts those.
    pub(super) fn read(&self) -> io::Result<(Vec<Row>, usize)> {
        let (mut rows, mut cut) = (Vec::new(), 0);
        for line in BufReader::new(File::open(&self.file)?).split(b'\n') {
            match serde_json::from_slice(&line?) {
                Ok(row) => rows.push(row),
                Err(_) => cut += 1,
            }
        }
        Ok((rows, cut))
    }

    /// The rows are in the ledger.
    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.file)
    }
}
