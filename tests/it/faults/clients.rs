//! Clients that leave: the provider is let go at once, and what was seen is booked.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::{Pair, SSE, asked, pair, pair_with};
use crate::support::provider::{chunk, head};
use crate::support::{DIALECTS, Dialect, Reply, Seen, eventually, http2};

/// A stream that has begun and does not go on.
fn held(seen: &Seen) -> Reply {
    let mut bytes = head(200, &[SSE], "transfer-encoding: chunked\r\n");
    bytes.extend_from_slice(&chunk(asked(seen).events()[..2].concat().as_bytes()));
    Reply::ThenHold(bytes)
}

/// Nothing is left of exchange `id`, and its row says what was seen.
fn check_left(pair: &Pair, dialect: Dialect, id: &str) {
    eventually("the provider to be let go", || (pair.first.open() == 0).then_some(()));
    pair.gateway.idle();
    let row = &pair.gateway.rows_of(id, 1)[0];
    assert_eq!((&row["status"], &row["measured"]), (&json!(200), &json!(false)), "{dialect:?} {row}");
    assert_eq!(row["error"], json!("client_left"), "{dialect:?} {row}");
    let sent = row["request_bytes"].as_u64().unwrap();
    let input = if dialect == Dialect::Messages { 25 } else { sent.div_ceil(4) };
    assert_eq!(
        (&row["input_tokens"], &row["output_tokens"]),
        (&json!(input), &json!(2)),
        "{dialect:?} {row}"
    );
}

#[test]
fn a_client_that_leaves_mid_stream_ends_the_call_to_the_provider() {
    let pair = pair("", held);
    for dialect in DIALECTS {
        let mut client = pair.gateway.client();
        dialect.send(&mut client, "two", true);
        let answer = client.head().unwrap();
        assert_eq!(client.chunk().unwrap().unwrap(), dialect.events()[..2].concat().as_bytes());
        assert!(pair.gateway.metric("tollgate_exchanges_in_flight") > 0.5);
        assert_eq!(pair.first.open(), 1);
        drop(client);
        check_left(&pair, dialect, answer.id());
    }
    assert!(pair.second.seen().is_empty(), "nobody else is asked for a client that is gone");
}

#[test]
fn a_client_that_leaves_before_the_answer_ends_the_call_too() {
    let pair = pair("", |_| Reply::ThenHold(Vec::new()));
    for (n, dialect) in DIALECTS.into_iter().enumerate() {
        let mut client = pair.gateway.client();
        dialect.send(&mut client, "two", false);
        eventually("the provider to be asked", || (pair.first.seen().len() > n).then_some(()));
        drop(client);
        eventually("the provider to be let go", || (pair.first.open() == 0).then_some(()));
        pair.gateway.idle();
        let rows = eventually("the row", || Some(pair.gateway.rows()).filter(|rows| rows.len() > n));
        let row = &rows[n];
        assert_eq!((&row["status"], &row["measured"]), (&json!(0), &json!(false)), "{row}");
        assert_eq!((&row["error"], &row["output_tokens"]), (&json!("client_left"), &json!(0)), "{row}");
    }
    assert!(pair.second.seen().is_empty());
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_request_leaves_nothing_behind() {
    let pair = pair("", |_| Reply::json(200, "{}"));
    for (kind, read) in [("application/json", true), ("multipart/form-data; boundary=x", false)] {
        let mut client = pair.gateway.client();
        let head = format!(
            "POST /v1/files HTTP/1.1\r\nhost: x\r\nx-tollgate-provider: first\r\ncontent-type: {kind}\r\ncontent-length: 100000\r\n\r\n"
        );
        client.stream().write_all(&[head.as_bytes(), &vec![b' '; 50_000]].concat()).unwrap();
        eventually("the exchange to be under way", || {
            let under_way = pair.gateway.metric("tollgate_exchanges_in_flight") > 0.5;
            (under_way && (read || pair.first.open() == 1)).then_some(())
        });
        drop(client);
        pair.gateway.idle();
        eventually("the provider to be let go", || (pair.first.open() == 0).then_some(()));
    }
    assert!(pair.first.seen().is_empty(), "no request was whole");
}

#[test]
fn a_client_that_leaves_over_http_2_ends_the_call_whether_by_reset_or_with_its_connection() {
    let pair = pair("", held);
    for dialect in DIALECTS {
        for reset in [true, false] {
            let (path, body) = (dialect.path("one", true), dialect.body("one", true));
            let id = http2::block_on(async {
                let (mut sender, head, mut answer) =
                    http2::begin(pair.gateway.address, &path, dialect.headers(), &body).await.unwrap();
                let first = answer.data().await.unwrap().unwrap();
                assert_eq!(first, Bytes::from(dialect.events()[..2].concat()));
                if reset {
                    drop(answer);
                    // The connection lives on: the call must end all the same.
                    eventually_async(|| pair.first.open() == 0).await;
                    sender = sender.ready().await.unwrap();
                }
                drop(sender);
                head.headers["x-tollgate-request-id"].to_str().unwrap().to_owned()
            });
            check_left(&pair, dialect, &id);
        }
    }
}

async fn eventually_async(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("the provider to be let go");
}

/// Far more than what the buffers between four sockets hold.
fn flood(_: &Seen) -> Reply {
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"12345678\"}}]}\n\n".repeat(1000);
    let mut bytes = head(200, &[SSE], "transfer-encoding: chunked\r\n");
    for _ in 0..1000 {
        bytes.extend_from_slice(&chunk(event.as_bytes()));
    }
    Reply::ThenHold(bytes)
}

fn check_stalled(pair: &Pair, id: &str) {
    let row = &pair.gateway.rows_of(id, 1)[0];
    assert_eq!((&row["measured"], &row["error"]), (&json!(false), &json!("client_left")), "{row}");
    pair.gateway.idle();
}

#[test]
fn a_client_that_stops_reading_is_let_go() {
    let pair = pair_with("write_timeout = '500ms'\n", "", flood);
    let mut client = pair.gateway.client();
    Dialect::Chat.send(&mut client, "one", true);
    let answer = client.head().unwrap();
    assert_eq!(answer.status, 200);
    eventually("the stalled client to be let go", || (pair.first.open() == 0).then_some(()));
    check_stalled(&pair, answer.id());
}

#[test]
fn a_client_that_stops_reading_over_http_2_is_let_go() {
    let pair = pair_with("write_timeout = '500ms'\n", "", flood);
    let dialect = Dialect::Chat;
    let (path, body) = (dialect.path("one", true), dialect.body("one", true));
    let id = http2::block_on(async {
        let (_sender, head, _answer) =
            http2::begin(pair.gateway.address, &path, dialect.headers(), &body).await.unwrap();
        eventually_async(|| pair.first.open() == 0).await;
        head.headers["x-tollgate-request-id"].to_str().unwrap().to_owned()
    });
    check_stalled(&pair, &id);
}
