//! Answers that break off after their header: a JSON answer must not look whole, a stream says what happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{JSON, SSE, asked, attempts, pair};
use crate::support::dialect::events;
use crate::support::provider::{chunk, head};
use crate::support::{Answer, DIALECTS, Dialect, Reply, http2};

/// Half of a JSON answer, in each way in which its end can be announced and not come.
fn half(dialect: Dialect, n: usize) -> (Vec<u8>, Reply) {
    let whole = dialect.answer().as_bytes();
    // Behind some of the text.
    let half = &whole[..whole.windows(4).position(|w| w == b"abcd").unwrap() + 4];
    let length = format!("content-length: {}\r\n", whole.len());
    let mut bytes = match n % 7 {
        0 | 1 => head(200, &[JSON], &length),
        2..=5 => head(200, &[JSON], "transfer-encoding: chunked\r\n"),
        _ => head(200, &[JSON], "connection: close\r\n"),
    };
    match n % 7 {
        2 | 3 => bytes.extend_from_slice(&chunk(half)),
        4 | 5 => bytes.extend_from_slice(&[format!("{:x}\r\n", whole.len()).as_bytes(), half].concat()),
        _ => bytes.extend_from_slice(half),
    }
    // A body that ends with its connection is cut off only by a reset.
    let reply =
        if n % 7 == 6 || n.is_multiple_of(2) { Reply::ThenReset(bytes) } else { Reply::ThenClose(bytes) };
    (half.to_vec(), reply)
}

/// The row of an answer of which twelve bytes of text were seen, and no usage.
fn check_half_seen(row: &Value, dialect: Dialect) {
    assert_eq!((&row["status"], &row["measured"]), (&json!(200), &json!(false)), "{dialect:?} {row}");
    assert!(row["error"].as_str().is_some_and(|e| !e.is_empty()), "{dialect:?} {row}");
    let sent = row["request_bytes"].as_u64().unwrap();
    assert_eq!(row["input_tokens"], json!(sent.div_ceil(4)), "{dialect:?} {row}");
    assert_eq!(row["output_tokens"], json!(3), "{dialect:?} {row}");
}

#[test]
fn an_answer_that_is_cut_off_never_looks_whole() {
    let turn = AtomicUsize::new(0);
    let pair = pair("", move |seen| half(asked(seen), turn.fetch_add(1, Ordering::SeqCst)).1);
    for dialect in DIALECTS {
        for n in 0..7 {
            // Another target is of no use once a byte is out.
            let answer = dialect.call(&mut pair.gateway.client(), "two", false);
            assert_eq!(answer.status, 200);
            assert!(!answer.complete, "{dialect:?} {n}: a part looks like the whole");
            assert_eq!(answer.body, half(dialect, n).0, "{dialect:?} {n}");
            let rows = pair.gateway.rows_of(answer.id(), 1);
            assert_eq!(attempts(&rows), [1]);
            check_half_seen(&rows[0], dialect);
        }
    }
    assert!(pair.second.seen().is_empty());
}

#[test]
fn an_answer_that_is_cut_off_never_looks_whole_over_http_2_or_after_a_long_chunked_request() {
    let turn = AtomicUsize::new(0);
    let pair = pair("", move |seen| half(asked(seen), turn.fetch_add(1, Ordering::SeqCst)).1);
    let dialect = Dialect::Chat;
    for n in 0..7 {
        let (path, body) = (dialect.path("one", false), dialect.body("one", false));
        let (got, complete) = http2::block_on(async {
            // The reset may overtake all that went before it.
            match http2::begin(pair.gateway.address, &path, dialect.headers(), &body).await {
                Ok((_sender, _, mut answer)) => http2::read(&mut answer).await,
                Err(e) => (Vec::new(), !e.is_reset()),
            }
        });
        assert!(!complete, "{n}: a part looks like the whole");
        assert!(half(dialect, n).0.starts_with(&got), "{n}: {got:?}");
    }
    for n in 0..7 {
        let body = format!(r#"{{"model":"one","pad":"{}"}}"#, "x".repeat(200_000));
        let mut client = pair.gateway.client();
        client.send_chunked("/v1/chat/completions", &[JSON], body.as_bytes(), 9_000).unwrap();
        let answer = client.answer().unwrap();
        assert!(!answer.complete, "{n}: a part looks like the whole");
        assert_eq!(answer.body, half(dialect, n).0, "{n}");
    }
}

/// A stream that breaks after `cut` bytes of its third event.
fn cut_stream(dialect: Dialect, cut: usize, reset: bool) -> Reply {
    let [first, second, third] = dialect.events();
    let mut bytes = head(200, &[SSE], "transfer-encoding: chunked\r\n");
    bytes.extend_from_slice(&chunk(format!("{first}{second}").as_bytes()));
    if cut > 0 {
        bytes.extend_from_slice(
            &[format!("{:x}\r\n", third.len()).as_bytes(), &third.as_bytes()[..cut]].concat(),
        );
    }
    if reset { Reply::ThenReset(bytes) } else { Reply::ThenClose(bytes) }
}

fn check_cut_stream(dialect: Dialect, cut: usize, answer: &Answer, status: u16) {
    let [first, second, third] = dialect.events();
    let what = format!("{dialect:?} cut at {cut}: {}", answer.text());
    assert!(answer.complete, "the stream ends cleanly; {what}");
    let text = answer.text();
    assert!(text.starts_with(&format!("{first}{second}")), "{what}");
    let seen = events(&text);
    assert!(seen.len() == 3 || seen.len() == 4, "{what}");
    if seen.len() == 4 {
        // What came of the third event may stand before the error; nothing else may.
        assert!(cut > 0 && events(third)[0].data.starts_with(&seen[2].data), "{what}");
    }
    dialect.check_error_event(seen.last().unwrap(), status, answer.id(), 2);
}

#[test]
fn a_stream_that_is_cut_off_ends_with_an_error_event_of_its_dialect() {
    for stream_usage in ["ask", "sent"] {
        let cut = Arc::new(AtomicUsize::new(0));
        let now = cut.clone();
        let pair = pair(&format!("stream_usage = '{stream_usage}'"), move |seen| {
            let cut = now.load(Ordering::SeqCst);
            cut_stream(asked(seen), cut, cut.is_multiple_of(2))
        });
        for dialect in DIALECTS {
            let length = dialect.events()[2].len();
            let line = dialect.events()[2].find('\n').unwrap() + 1;
            for at in [0, 1, 4, 9, 20, line, length / 2, length - 5, length - 3, length - 2, length - 1] {
                cut.store(at, Ordering::SeqCst);
                let answer = dialect.call(&mut pair.gateway.client(), "two", true);
                check_cut_stream(dialect, at, &answer, 502);
                let row = &pair.gateway.rows_of(answer.id(), 1)[0];
                assert_eq!((&row["status"], &row["measured"]), (&json!(200), &json!(false)), "{row}");
                assert!(row["error"].is_string() && row["stream"] == json!(true), "{row}");
                let sent = row["request_bytes"].as_u64().unwrap();
                let input = if dialect == Dialect::Messages { 25 } else { sent.div_ceil(4) };
                assert_eq!(row["input_tokens"], json!(input), "{row}");
                let output = row["output_tokens"].as_u64().unwrap();
                assert!((2..=3).contains(&output), "eight to twelve bytes of text were seen: {row}");
            }
        }
    }
}

#[test]
fn a_stream_that_is_cut_off_ends_with_an_error_event_over_http_2_too() {
    let pair = pair("", |seen| cut_stream(asked(seen), 0, true));
    for dialect in DIALECTS {
        let (path, body) = (dialect.path("one", true), dialect.body("one", true));
        let (head, body, complete) = http2::block_on(async {
            let (_sender, head, mut answer) =
                http2::begin(pair.gateway.address, &path, dialect.headers(), &body).await.unwrap();
            let (body, complete) = http2::read(&mut answer).await;
            (head, body, complete)
        });
        let id = head.headers["x-tollgate-request-id"].to_str().unwrap().to_owned();
        let headers = vec![("x-tollgate-request-id".to_owned(), id)];
        let answer = Answer { status: head.status.as_u16(), headers, body, complete };
        check_cut_stream(dialect, 0, &answer, 502);
    }
}

#[test]
fn what_anthropic_said_of_the_input_outlives_a_usage_block_that_was_cut() {
    let pair = pair("", |_| {
        let delta =
            "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"input_tokens\":999,\"out";
        let stream = [&Dialect::Messages.events()[..2].concat(), delta].concat();
        let mut bytes = head(200, &[SSE], "transfer-encoding: chunked\r\n");
        bytes.extend_from_slice(&chunk(stream.as_bytes()));
        Reply::ThenReset(bytes)
    });
    let answer = Dialect::Messages.call(&mut pair.gateway.client(), "one", true);
    let row = &pair.gateway.rows_of(answer.id(), 1)[0];
    let tokens = (&row["input_tokens"], &row["output_tokens"], &row["measured"]);
    assert_eq!(tokens, (&json!(25), &json!(2), &json!(false)));
}

#[test]
fn a_provider_that_falls_silent_ends_a_stream_with_an_error_event_and_cuts_off_anything_else() {
    let pair = pair("read_timeout = '300ms'", |seen| {
        let dialect = asked(seen);
        if seen.target.contains("streamGenerate") || seen.body.windows(13).any(|w| w == b"\"stream\":true") {
            let mut bytes = head(200, &[SSE], "transfer-encoding: chunked\r\n");
            bytes.extend_from_slice(&chunk(dialect.events()[..2].concat().as_bytes()));
            return Reply::ThenHold(bytes);
        }
        match half(dialect, 0).1 {
            Reply::ThenReset(bytes) => Reply::ThenHold(bytes),
            other => other,
        }
    });
    for dialect in DIALECTS {
        let answer = dialect.call(&mut pair.gateway.client(), "two", true);
        check_cut_stream(dialect, 0, &answer, 504);
        let answer = dialect.call(&mut pair.gateway.client(), "two", false);
        assert!(!answer.complete, "{dialect:?}");
        check_half_seen(&pair.gateway.rows_of(answer.id(), 1)[0], dialect);
    }
    assert!(pair.second.seen().is_empty());
}
