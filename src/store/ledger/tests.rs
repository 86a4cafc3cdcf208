use std::time::Instant;

use tollgate_filters::exchange::{Dialect, Operation};
use tollgate_filters::usage::{ClientLeft, Usage};

use super::*;
use crate::store::read_rows;

fn row(n: u64) -> Row {
    Row {
        request_id: uuid::Uuid::now_v7().to_string(),
        attempt: 1,
        time: n,
        org: "default".into(),
        user: None,
        key: Some("k".into()),
        dialect: Dialect::Anthropic,
        operation: Operation::Messages,
        provider: "anthropic".into(),
        model_asked: Some("m".into()),
        model: None,
        model_answered: None,
        status: 200,
        stream: true,
        finish_reason: None,
        error: None,
        usage: Usage { input_tokens: n, output_tokens: 7, ..Usage::default() },
        measured: true,
        cost: Some("0.000000123456789".parse().unwrap()),
        ttfb_ms: Some(3.25),
        duration_ms: 4.5,
        request_bytes: 5,
        response_bytes: 6,
        translated_to: None,
        request_losses: None,
        answer_losses: None,
        bridge: None,
        client_left: (n % 2 == 1).then_some(ClientLeft::Drained),
    }
}

fn stored(data: &Path) -> Vec<Row> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(read_rows(data, 0, None)).unwrap()
}

#[test]
fn rows_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(folder.path()).unwrap();
    let mut rows: Vec<Row> = (0..1000).map(row).collect();
    ledger.append(rows.clone());
    ledger.close();
    rows.sort_by(|a, b| a.request_id.cmp(&b.request_id));
    assert_eq!(stored(folder.path()), rows);
    assert_eq!(ledger.stats().written, 1000);
}

#[test]
fn a_row_is_written_within_a_tenth_of_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(folder.path()).unwrap();
    let start = Instant::now();
    ledger.append(vec![row(1)]);
    while ledger.stats().written == 0 {
        assert!(start.elapsed() < Duration::from_millis(100));
        std::thread::yield_now();
    }
    assert_eq!(stored(folder.path()).len(), 1);
}

#[test]
fn a_locked_ledger_spills_and_takes_the_rows_in_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(folder.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut other = runtime.block_on(rows::open(&folder.path().join(rows::FILE))).unwrap();
    runtime.block_on(sqlx::query("BEGIN IMMEDIATE").execute(&mut other)).unwrap();
    let count = SPILL_AT + BATCH + 100;
    for n in 0..count {
        let start = Instant::now();
        ledger.append(vec![row(n as u64)]);
        assert!(start.elapsed() < Duration::from_millis(100), "taking a row waited for the disk");
    }
    while ledger.stats().spilled == 0 {
        std::thread::yield_now();
    }
    assert!(ledger.stats().failing);
    runtime.block_on(sqlx::query("ROLLBACK").execute(&mut other)).unwrap();
    while ledger.stats().written < count as u64 {
        std::thread::sleep(Duration::from_millis(1));
        ledger.append(Vec::new());
    }
    ledger.close();
    assert_eq!(stored(folder.path()).len(), count);
    assert!(Spill::new(folder.path()).is_empty());
    assert_eq!(ledger.stats().lost, 0);
}

#[test]
fn what_an_earlier_process_spilled_is_taken_in_once() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Row> = (0..3).map(row).collect();
    let ledger = SqliteLedger::open(folder.path()).unwrap();
    ledger.append(rows[..1].to_vec());
    ledger.close();
    Spill::new(folder.path()).append(&rows).unwrap();
    // A process that is killed while it writes leaves half a line.
    let mut spilled = std::fs::read(folder.path().join("usage.spill.jsonl")).unwrap();
    spilled.extend_from_slice(b"{\"request_id\":\"0");
    std::fs::write(folder.path().join("usage.spill.jsonl"), spilled).unwrap();
    SqliteLedger::open(folder.path()).unwrap().close();
    assert_eq!(stored(folder.path()).len(), 3);
    assert!(Spill::new(folder.path()).is_empty());
}
