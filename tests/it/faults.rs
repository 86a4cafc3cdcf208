//! Providers that break off, stall, refuse or go away: what the client gets, and what the ledger says of it.

mod clients;
mod cut;
mod malformed;
mod slow;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::dialect::ALL;
use crate::support::gateway::free_port;
use crate::support::provider::head;
use crate::support::{DIALECTS, Dialect, Gateway, Provider, Reply, Seen, eventually};

const JSON: (&str, &str) = ("content-type", "application/json");
const SSE: (&str, &str) = ("content-type", "text/event-stream");

/// A provider that is played as `first`, and one behind it that is well. The alias `one` has only the
/// first as its target, `two` has both.
struct Pair {
    first: Provider,
    second: Provider,
    gateway: Gateway,
}

/// `table` goes into the first provider's table.
fn pair(table: &str, first: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Pair {
    pair_with("", table, first)
}

/// `server` goes into the `[server]` table.
fn pair_with(server: &str, table: &str, first: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Pair {
    let first = Provider::start(first);
    let second = Provider::start(|seen| Reply::json(200, asked(seen).answer()));
    let gateway = Gateway::start(&format!(
        "{server}[models.one]\ntargets = [{{ provider = 'first', model = 'm-1' }}]\n\
         [models.two]\ntargets = [{{ provider = 'first', model = 'm-1' }}, {{ provider = 'second', model = 'm-1' }}]\n\
         [providers.first]\nbase_url = '{}'\n{ALL}{table}\n[providers.second]\nbase_url = '{}'\n{ALL}",
        first.url(),
        second.url(),
    ));
    Pair { first, second, gateway }
}

/// The dialect of a request, by its path.
fn asked(seen: &Seen) -> Dialect {
    match seen.target.as_str() {
        "/v1/responses" => Dialect::Responses,
        "/v1/messages" => Dialect::Messages,
        path if path.starts_with("/v1beta") => Dialect::Gemini,
        _ => Dialect::Chat,
    }
}

/// A reply that is another one each time.
fn in_turn(replies: impl Fn(usize) -> Reply + Send + Sync + 'static) -> impl Fn(&Seen) -> Reply {
    let asked = AtomicUsize::new(0);
    move |_| replies(asked.fetch_add(1, Ordering::SeqCst))
}

fn statuses(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["status"].as_u64().unwrap()).collect()
}

fn attempts(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["attempt"].as_u64().unwrap()).collect()
}

/// The row of an attempt that got no further than its request.
fn check_unanswered(row: &Value) {
    assert_eq!((&row["status"], &row["measured"]), (&json!(0), &json!(false)), "{row}");
    assert!(row["error"].as_str().is_some_and(|e| !e.is_empty()), "{row}");
    let sent = row["request_bytes"].as_u64().unwrap();
    assert_eq!(row["input_tokens"], json!(sent.div_ceil(4)), "{row}");
    assert_eq!(row["output_tokens"], json!(0), "{row}");
}

fn no_header(n: usize) -> Reply {
    match n % 5 {
        0 => Reply::ThenReset(Vec::new()),
        1 => Reply::Close,
        2 => Reply::ThenClose(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()),
        3 => Reply::ThenReset(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()),
        _ => Reply::ThenClose(b"\x15\x03\x01\x00\x02\x02\x28\r\n\r\n".to_vec()),
    }
}

#[test]
fn a_provider_that_breaks_off_before_its_header_is_a_502_in_each_dialect() {
    let pair = pair("", in_turn(no_header));
    for dialect in DIALECTS {
        for n in 0..5 {
            let answer = dialect.call(&mut pair.gateway.client(), "one", n % 2 == 0);
            dialect.check_error(&answer, 502);
            let rows = pair.gateway.rows_of(answer.id(), 1);
            assert_eq!(attempts(&rows), [1], "{dialect:?} {n}");
            check_unanswered(&rows[0]);
        }
    }
    assert_eq!(pair.first.seen().len(), 20, "nobody was asked twice");
}

#[test]
fn an_error_answer_closes_its_connection_only_if_it_says_so() {
    let pair = pair("read_timeout = '300ms'", |seen| match asked(seen) {
        Dialect::Chat => Reply::Close,
        Dialect::Gemini => Reply::ThenHold(Vec::new()),
        other => Reply::json(200, other.answer()),
    });
    for dialect in [Dialect::Chat, Dialect::Gemini] {
        let mut client = pair.gateway.client();
        let answer = dialect.call(&mut client, "one", false);
        assert!(answer.status >= 500);
        if answer.header("connection") != Some("close") {
            let sent = client.send("POST", "/v1/responses", &[JSON], br#"{"model":"one"}"#);
            let answer = sent.and_then(|()| client.answer());
            assert!(answer.is_ok(), "{dialect:?}: keep-alive was promised: {answer:?}");
        }
    }
}

#[test]
fn the_second_target_answers_when_the_first_breaks_off_before_its_header() {
    let pair = pair("", in_turn(no_header));
    let mut client = pair.gateway.client();
    for dialect in DIALECTS {
        for _ in 0..5 {
            let answer = dialect.call(&mut client, "two", false);
            assert_eq!((answer.status, answer.text().as_str()), (200, dialect.answer()), "{dialect:?}");
            assert_eq!(answer.header("x-tollgate-attempts"), Some("2"));
            let rows = pair.gateway.rows_of(answer.id(), 2);
            assert_eq!((attempts(&rows), statuses(&rows)), (vec![1, 2], vec![0, 200]), "{dialect:?}");
            check_unanswered(&rows[0]);
            assert_eq!((&rows[1]["measured"], &rows[1]["input_tokens"]), (&json!(true), &json!(25)));
        }
    }
    assert_eq!((pair.first.seen().len(), pair.second.seen().len()), (20, 20));
}

#[test]
fn a_provider_that_does_not_answer_in_time_is_a_504_in_each_dialect() {
    let pair = pair("read_timeout = '300ms'", |_| Reply::ThenHold(Vec::new()));
    for dialect in DIALECTS {
        let start = Instant::now();
        let answer = dialect.call(&mut pair.gateway.client(), "one", false);
        assert!((0.25..5.0).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
        dialect.check_error(&answer, 504);
        let rows = pair.gateway.rows_of(answer.id(), 1);
        assert_eq!(attempts(&rows), [1]);
        check_unanswered(&rows[0]);

        let answer = dialect.call(&mut pair.gateway.client(), "two", false);
        assert_eq!((answer.status, answer.text().as_str()), (200, dialect.answer()), "{dialect:?}");
        let rows = pair.gateway.rows_of(answer.id(), 2);
        assert_eq!((attempts(&rows), statuses(&rows)), (vec![1, 2], vec![0, 200]));
        check_unanswered(&rows[0]);
    }
}

#[test]
fn overload_and_failure_move_on_to_the_next_target() {
    for status in [429_u16, 500, 502, 503, 504, 529] {
        let pair = pair("", move |_| Reply::json(status, r#"{"error":"busy"}"#));
        for dialect in DIALECTS {
            let answer = dialect.call(&mut pair.gateway.client(), "two", false);
            assert_eq!((answer.status, answer.text().as_str()), (200, dialect.answer()), "{status}");
            let rows = pair.gateway.rows_of(answer.id(), 2);
            assert_eq!((attempts(&rows), statuses(&rows)), (vec![1, 2], vec![u64::from(status), 200]));
        }
    }
}

#[test]
fn the_last_answer_is_passed_on_byte_for_byte() {
    let body = "{ \"error\" : {\"message\":\"\\u0073low\\n\", \"x\":1e3} }\n\n";
    let refusals = [429_u16, 503, 529].map(|status| {
        Provider::start(move |_| {
            Reply::full(status, &[JSON, ("retry-after", "7"), ("x-request-id", "theirs")], body.as_bytes())
        })
    });
    let table = |(n, p): (usize, &Provider)| format!("[providers.p{n}]\nbase_url = '{}'\n{ALL}", p.url());
    let tables = refusals.iter().enumerate().map(table).collect::<Vec<_>>().concat();
    let gateway = Gateway::start(&format!(
        "[models.all]\ntargets = [{{ provider = 'p0', model = 'a' }}, {{ provider = 'p1', model = 'b' }}, {{ provider = 'p2', model = 'c' }}]\n{tables}"
    ));
    for dialect in DIALECTS {
        let answer = dialect.call(&mut gateway.client(), "all", false);
        assert_eq!((answer.status, answer.text().as_str()), (529, body), "{dialect:?}");
        assert_eq!(
            (answer.header("retry-after"), answer.header("x-request-id")),
            (Some("7"), Some("theirs"))
        );
        let rows = gateway.rows_of(answer.id(), 3);
        assert_eq!((attempts(&rows), statuses(&rows)), (vec![1, 2, 3], vec![429, 503, 529]));
        for (row, model) in rows.iter().zip(["a", "b", "c"]) {
            assert_eq!((&row["model"], &row["error"]), (&json!(model), &json!(null)), "{row}");
            assert_eq!((&row["input_tokens"], &row["measured"]), (&json!(0), &json!(true)), "{row}");
        }
    }
}

#[test]
fn what_the_client_did_wrong_does_not_move_on() {
    for status in [400_u16, 401, 403, 404, 413, 422] {
        let pair = pair("", move |_| Reply::json(status, r#"{"error":"no"}"#));
        for dialect in DIALECTS {
            let answer = dialect.call(&mut pair.gateway.client(), "two", false);
            assert_eq!((answer.status, answer.text().as_str()), (status, r#"{"error":"no"}"#));
            assert_eq!(statuses(&pair.gateway.rows_of(answer.id(), 1)), [u64::from(status)]);
        }
        assert!(pair.second.seen().is_empty(), "{status}");
    }
}

#[test]
fn an_attempt_that_was_answered_does_not_get_the_error_of_the_next_one() {
    let limited = Provider::start(|_| Reply::json(429, "{}"));
    let gateway = Gateway::start(&format!(
        "[models.x]\ntargets = [{{ provider = 'limited', model = 'a' }}, {{ provider = 'gone', model = 'a' }}]\n\
         [providers.limited]\nbase_url = '{}'\n[providers.gone]\nbase_url = 'http://{}'\n",
        limited.url(),
        free_port()
    ));
    let answer = Dialect::Chat.call(&mut gateway.client(), "x", false);
    Dialect::Chat.check_error(&answer, 502);
    let rows = gateway.rows_of(answer.id(), 1);
    assert_eq!((statuses(&rows), &rows[0]["error"]), (vec![429], &json!(null)), "{rows:?}");
}

/// Whatever is asked for on a connection that was used before finds it dying.
#[test]
fn a_kept_connection_that_has_died_does_not_fail_an_exchange() {
    let pair = pair("", |seen| match seen.nth {
        0 => Reply::json(200, "{}"),
        _ if seen.body.len() % 2 == 0 => Reply::Close,
        _ => Reply::ThenReset(Vec::new()),
    });
    let long = format!(r#"{{"model":"one","pad":"{}"}}"#, "x".repeat(3_000_000));
    let mut client = pair.gateway.client();
    let form = [("content-type", "multipart/form-data; boundary=x"), ("x-tollgate-provider", "first")];
    for round in 0..4 {
        for body in [r#"{"model":"one"}"#, r#"{"model":"one" }"#, &long] {
            let answer = client.post("/v1/chat/completions", body);
            assert_eq!(answer.status, 200, "round {round}, {} bytes", body.len());
            assert_eq!(pair.gateway.rows_of(answer.id(), 1).len(), 1, "what reached nobody has no row");
        }
        let answer = client.call("GET", "/v1/files", &[("x-tollgate-provider", "first")], b"");
        assert_eq!(answer.status, 200, "round {round}, no body");
        let answer = client.call("POST", "/v1/files", &form, b"--x--\r\n");
        assert_eq!(answer.status, 200, "round {round}, an upload");
    }
    let died = pair.first.seen().iter().filter(|seen| seen.nth > 0).count();
    assert!(died > 10, "only {died} of 20 connections were used again");
}

#[test]
fn a_connection_that_was_closed_while_idle_is_not_used() {
    let pair = pair("", |_| {
        let mut bytes = head(200, &[JSON], "content-length: 2\r\n");
        bytes.extend_from_slice(b"{}");
        Reply::ThenClose(bytes)
    });
    for _ in 0..20 {
        assert_eq!(Dialect::Chat.call(&mut pair.gateway.client(), "one", false).status, 200);
        eventually("the connection to be closed", || (pair.first.open() == 0).then_some(()));
    }
    assert_eq!(pair.first.seen().len(), 20);
}
