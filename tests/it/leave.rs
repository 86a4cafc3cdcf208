//! What becomes of an exchange whose client leaves: cancelled, drained, or drained until a deadline.

use std::io::Read as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::dialect::ALL;
use crate::support::provider::{chunk, head};
use crate::support::{Client, DIALECTS, Dialect, Gateway, Provider, Reply, Seen, eventually, http2};

const SSE: (&str, &str) = ("content-type", "text/event-stream");
const JSON: (&str, &str) = ("content-type", "application/json");

/// The dialect of a request, by its path.
fn asked(seen: &Seen) -> Dialect {
    match seen.target.as_str() {
        "/v1/responses" => Dialect::Responses,
        "/v1/messages" => Dialect::Messages,
        path if path.starts_with("/v1beta") => Dialect::Gemini,
        _ => Dialect::Chat,
    }
}

fn is_stream(seen: &Seen) -> bool {
    seen.target.contains("stream") || String::from_utf8_lossy(&seen.body).contains("\"stream\":true")
}

/// The end of a stream, with the provider's own count: 25 tokens in and 7 out.
fn last(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Chat => {
            "data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":25,\"completion_tokens\":7,\"total_tokens\":32}}\n\ndata: [DONE]\n\n"
        }
        Dialect::Responses => {
            "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"model\":\"m-1\",\"status\":\"completed\",\"usage\":{\"input_tokens\":25,\"output_tokens\":7,\"total_tokens\":32}},\"sequence_number\":3}\n\n"
        }
        Dialect::Messages => {
            "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
        }
        Dialect::Gemini => {
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"ef\"}]},\"finishReason\":\"STOP\"}],\"modelVersion\":\"m-1\",\"usageMetadata\":{\"promptTokenCount\":25,\"candidatesTokenCount\":7,\"totalTokenCount\":32}}\r\n\r\n"
        }
    }
}

/// What a stream begins with, and the rest of it, as HTTP/1.1 frames them.
fn stream(dialect: Dialect) -> (Vec<u8>, Vec<u8>) {
    let mut begun = head(200, &[SSE], "transfer-encoding: chunked\r\n");
    begun.extend_from_slice(&chunk(dialect.events()[..2].concat().as_bytes()));
    let mut rest = chunk(dialect.events()[2].as_bytes());
    rest.extend_from_slice(&chunk(last(dialect).as_bytes()));
    rest.extend_from_slice(b"0\r\n\r\n");
    (begun, rest)
}

fn whole(dialect: Dialect) -> Vec<u8> {
    let body = dialect.answer();
    [head(200, &[JSON], &format!("content-length: {}\r\n", body.len())), body.as_bytes().to_vec()].concat()
}

/// Answers in the dialect and the form that is asked for; what comes after the beginning of a stream, and all of a
/// whole answer, comes once the test says so. `with` makes the answer other than that.
struct Held {
    provider: Provider,
    release: Sender<()>,
}

impl Held {
    fn start() -> Self {
        Self::start_with(|seen| match asked(seen) {
            dialect if is_stream(seen) => stream(dialect),
            dialect => (Vec::new(), whole(dialect)),
        })
    }

    fn start_with(play: impl Fn(&Seen) -> (Vec<u8>, Vec<u8>) + Send + Sync + 'static) -> Self {
        let (release, released) = channel();
        let released: Arc<Mutex<Receiver<()>>> = Arc::new(Mutex::new(released));
        let provider = Provider::start(move |seen| {
            let (released, (begun, rest)) = (released.clone(), play(seen));
            let wait = move || {
                let _ = released.lock().unwrap().recv();
                // It goes on when the client has been gone for a moment.
                std::thread::sleep(Duration::from_millis(50));
            };
            Reply::ThenWait(begun, Box::new(wait), rest)
        });
        Self { provider, release }
    }

    /// A gateway with this provider, which is called `first`; `rule` is its `when_client_leaves`.
    fn gateway(&self, server: &str, rule: &str) -> Gateway {
        Gateway::start(&format!(
            "{server}[providers.first]\nbase_url = '{}'\nmodels = ['m-1']\nwhen_client_leaves = {rule}\n{ALL}\
             [prices.first.m-1]\ninput = '3'\noutput = '10'\n",
            self.provider.url()
        ))
    }

    fn go_on(&self) {
        self.release.send(()).unwrap();
    }
}

/// Sends a request, and reads its answer's header and first chunk. The client, and the exchange's id.
fn begin(gateway: &Gateway, dialect: Dialect) -> (Client, String) {
    let mut client = gateway.client();
    dialect.send(&mut client, "m-1", true);
    let answer = client.head().unwrap();
    assert_eq!(client.chunk().unwrap().unwrap(), dialect.events()[..2].concat().as_bytes());
    (client, answer.id().to_owned())
}

/// The one row of a gateway, once there are `count`: the last of them.
fn nth_row(gateway: &Gateway, count: usize) -> Value {
    eventually("the row", || Some(gateway.rows()).filter(|rows| rows.len() >= count)).pop().unwrap()
}

/// 25 tokens in at 3 and 7 out at 10 dollars a million.
fn check_exact(row: &Value, client_left: &Value) {
    assert_eq!((&row["client_left"], &row["error"]), (client_left, &Value::Null), "{row}");
    assert_eq!((&row["status"], &row["measured"]), (&json!(200), &json!(true)), "{row}");
    assert_eq!((&row["input_tokens"], &row["output_tokens"]), (&json!(25), &json!(7)), "{row}");
    assert_eq!(row["cost"], json!("0.000145"), "{row}");
}

#[test]
fn with_cancel_the_provider_is_let_go_at_once() {
    let held = Held::start();
    let gateway = held.gateway("", "'cancel'");
    for dialect in DIALECTS {
        let (client, id) = begin(&gateway, dialect);
        drop(client);
        let row = &gateway.rows_of(&id, 1)[0];
        assert_eq!(
            (&row["client_left"], &row["error"]),
            (&json!("cancelled"), &json!("client_left")),
            "{row}"
        );
        assert_eq!(row["measured"], json!(false), "{row}");
        held.go_on();
        eventually("the provider to find nobody there", || (held.provider.open() == 0).then_some(()));
    }
}

#[test]
fn with_drain_a_stream_is_read_to_its_end_and_its_cost_is_exact() {
    let held = Held::start();
    let gateway = held.gateway("", "'drain'");
    for dialect in DIALECTS {
        let (client, id) = begin(&gateway, dialect);
        drop(client);
        held.go_on();
        check_exact(&gateway.rows_of(&id, 1)[0], &json!("drained"));
        gateway.idle();
    }
    assert_eq!(held.provider.connections(), 1, "what was read to its end is used again");
    let log = eventually("the log", || Some(gateway.access_log()).filter(|log| log.len() >= 4));
    assert_eq!(log[0]["answered_by"]["client_left"], json!("drained"), "{}", log[0]);
}

#[test]
fn an_answer_that_is_translated_is_drained_too() {
    let held = Held::start();
    let gateway = Gateway::start(&format!(
        "[providers.first]\nbase_url = '{}'\nmodels = ['m-1']\nwhen_client_leaves = 'drain'\ndialects = ['openai_chat']\n\
         [prices.first.m-1]\ninput = '3'\noutput = '10'\n",
        held.provider.url()
    ));
    let mut client = gateway.client();
    let body = r#"{"model":"m-1","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
    client.send("POST", "/v1/messages", Dialect::Messages.headers(), body.as_bytes()).unwrap();
    let id = client.head().unwrap().id().to_owned();
    assert!(client.chunk().unwrap().is_some());
    drop(client);
    held.go_on();
    let row = &gateway.rows_of(&id, 1)[0];
    check_exact(row, &json!("drained"));
    assert_eq!(row["translated_to"], json!("openai_chat"));
}

#[test]
fn a_whole_answer_may_be_drained_where_a_stream_is_not() {
    let held = Held::start();
    let gateway = held.gateway("", "{ answers = 'drain' }");
    for (n, dialect) in DIALECTS.into_iter().enumerate() {
        let mut client = gateway.client();
        dialect.send(&mut client, "m-1", false);
        eventually("the provider to be asked", || (held.provider.seen().len() > n).then_some(()));
        drop(client);
        held.go_on();
        check_exact(&nth_row(&gateway, n + 1), &json!("drained"));
    }
    let log = eventually("the log", || Some(gateway.access_log()).filter(|log| log.len() >= 4));
    assert_eq!(log[0]["status"], json!(0), "the client got nothing: {}", log[0]);
    let (client, id) = begin(&gateway, Dialect::Chat);
    drop(client);
    assert_eq!(gateway.rows_of(&id, 1)[0]["client_left"], json!("cancelled"));
    held.go_on();
}

#[test]
fn draining_ends_at_its_deadline() {
    let held = Held::start();
    let gateway = held.gateway("", "'drain_until 400ms'");
    for dialect in DIALECTS {
        let (client, id) = begin(&gateway, dialect);
        drop(client);
        let left = Instant::now();
        let row = &gateway.rows_of(&id, 1)[0];
        assert!((0.35..5.0).contains(&left.elapsed().as_secs_f64()), "{:?}", left.elapsed());
        assert_eq!((&row["client_left"], &row["error"]), (&json!("drain_deadline"), &json!("client_left")));
        assert_eq!((&row["measured"], &row["output_tokens"]), (&json!(false), &json!(2)), "{row}");
        held.go_on();
        eventually("the provider to find nobody there", || (held.provider.open() == 0).then_some(()));
        let (client, id) = begin(&gateway, dialect);
        drop(client);
        held.go_on();
        check_exact(&gateway.rows_of(&id, 1)[0], &json!("drained"));
    }
}

#[test]
fn a_provider_that_breaks_off_while_it_is_drained_is_booked_as_such() {
    let held = Held::start_with(|seen| {
        let (begun, _) = stream(asked(seen));
        // A whole chunk, and one that is none.
        (begun, [chunk(asked(seen).events()[2].as_bytes()), b"xyz\r\n".to_vec()].concat())
    });
    let gateway = held.gateway("", "'drain'");
    let (client, id) = begin(&gateway, Dialect::Chat);
    drop(client);
    held.go_on();
    let row = &gateway.rows_of(&id, 1)[0];
    assert_eq!((&row["client_left"], &row["measured"]), (&json!("drain_broken"), &json!(false)), "{row}");
    assert!(row["error"].as_str().is_some_and(|e| e != "client_left"), "{row}");
}

#[test]
fn a_client_that_stays_keeps_its_connection() {
    let held = Held::start();
    let gateway = held.gateway("", "'drain'");
    let mut client = gateway.client();
    for round in 0..2 {
        for dialect in DIALECTS {
            for stream in [true, false] {
                held.go_on();
                let answer = dialect.call(&mut client, "m-1", stream);
                assert!(answer.complete, "{round} {dialect:?}");
                assert_ne!(answer.header("connection"), Some("close"));
                check_exact(&gateway.rows_of(answer.id(), 1)[0], &Value::Null);
            }
        }
    }
}

#[test]
fn a_client_whose_long_body_has_no_length_keeps_its_connection() {
    for rule in ["'cancel'", "'drain'"] {
        let held = Held::start();
        let gateway = held.gateway("", rule);
        let mut client = gateway.client();
        let body = format!(r#"{{"model":"m-1","messages":[],"user":"{}"}}"#, "x".repeat(300_000));
        for _ in 0..3 {
            held.go_on();
            client.send_chunked("/v1/chat/completions", &[JSON], body.as_bytes(), 10_000).unwrap();
            let answer = client.answer().unwrap();
            assert_eq!((answer.status, answer.complete), (200, true));
            assert_ne!(answer.header("connection"), Some("close"));
            assert_eq!(held.provider.last().body, body.as_bytes());
        }
    }
}

#[test]
fn an_error_of_the_gateway_tells_a_drained_client_whether_its_connection_is_kept() {
    let provider = Provider::start(|_| Reply::Close);
    let gateway = Gateway::start(&format!(
        "[providers.first]\nbase_url = '{}'\nmodels = ['m-1']\nwhen_client_leaves = 'drain'\n{ALL}",
        provider.url()
    ));
    for dialect in DIALECTS {
        let mut client = gateway.client();
        let answer = dialect.call(&mut client, "m-1", false);
        dialect.check_error(&answer, 502);
        assert_eq!(answer.header("connection"), Some("close"), "it will not be used again");
        let mut rest = Vec::new();
        assert_eq!(client.stream().read_to_end(&mut rest).unwrap(), 0);
    }
}

#[test]
fn over_http_2_one_exchange_leaves_and_the_other_goes_on() {
    for rule in ["'drain'", "'cancel'"] {
        let held = Held::start();
        let gateway = held.gateway("", rule);
        let dialect = Dialect::Chat;
        let (left, stayed) = http2::block_on(async {
            let (path, body) = (dialect.path("m-1", true), dialect.body("m-1", true));
            let (mut sender, head, mut leaving) =
                http2::begin(gateway.address, &path, dialect.headers(), &body).await.unwrap();
            assert!(leaving.data().await.unwrap().is_ok());
            let left = head.headers["x-tollgate-request-id"].to_str().unwrap().to_owned();
            let mut request = http::Request::post(format!("http://gateway.test{path}"));
            for (name, value) in dialect.headers() {
                request = request.header(*name, *value);
            }
            let (response, mut stream) = sender.send_request(request.body(()).unwrap(), false).unwrap();
            stream.send_data(body.into(), true).unwrap();
            let (head, mut staying) = response.await.unwrap().into_parts();
            drop(leaving);
            tokio::time::sleep(Duration::from_millis(20)).await;
            held.go_on();
            held.go_on();
            let (bytes, complete) = http2::read(&mut staying).await;
            assert!(complete && bytes.ends_with(b"data: [DONE]\n\n"), "{}", String::from_utf8_lossy(&bytes));
            (left, head.headers["x-tollgate-request-id"].to_str().unwrap().to_owned())
        });
        check_exact(&gateway.rows_of(&stayed, 1)[0], &Value::Null);
        let row = &gateway.rows_of(&left, 1)[0];
        if rule == "'drain'" {
            check_exact(row, &json!("drained"));
        } else {
            assert_eq!(row["client_left"], json!("cancelled"));
        }
    }
}

#[test]
fn nobody_else_is_asked_for_a_client_that_has_left() {
    let first = Held::start_with(|_| (Vec::new(), head(503, &[JSON], "content-length: 0\r\n")));
    let second = Provider::start(|seen| Reply::Raw(whole(asked(seen))));
    let gateway = Gateway::start(&format!(
        "[models.two]\nwhen_client_leaves = 'drain'\n\
         targets = [{{ provider = 'first', model = 'm-1' }}, {{ provider = 'second', model = 'm-1' }}]\n\
         [providers.first]\nbase_url = '{}'\n{ALL}[providers.second]\nbase_url = '{}'\n{ALL}",
        first.provider.url(),
        second.url()
    ));
    let mut client = gateway.client();
    first.go_on();
    assert_eq!(
        Dialect::Chat.call(&mut client, "two", false).status,
        200,
        "a client that stays gets its answer"
    );
    assert_eq!(second.seen().len(), 1);
    Dialect::Chat.send(&mut client, "two", false);
    eventually("the first to be asked", || (first.provider.seen().len() == 2).then_some(()));
    drop(client);
    first.go_on();
    let row = nth_row(&gateway, 3);
    assert_eq!((&row["status"], &row["client_left"]), (&json!(503), &json!("drained")), "{row}");
    gateway.idle();
    assert_eq!(second.seen().len(), 1);
}

/// A listener whose queue is full takes a connection only when somebody has been let in, up to seconds later.
#[test]
fn a_client_that_leaves_while_its_provider_is_being_reached_costs_nothing() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let listener: std::net::TcpListener = socket.into();
    let address = listener.local_addr().unwrap();
    let fill: Vec<_> = std::iter::from_fn(|| {
        std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()
    })
    .take(10)
    .collect();
    assert!(fill.len() < 10, "the queue is never full");
    let gateway = Gateway::start(&format!(
        "[providers.first]\nbase_url = 'http://{address}'\nmodels = ['m-1']\nwhen_client_leaves = 'drain'\nconnect_timeout = '30s'\n{ALL}"
    ));
    let mut client = gateway.client();
    Dialect::Chat.send(&mut client, "m-1", false);
    eventually("the exchange to be under way", || {
        (gateway.metric("tollgate_exchanges_in_flight") > 0.5).then_some(())
    });
    drop(client);
    for _ in &fill {
        drop(listener.accept().unwrap());
    }
    // One of those that filled the queue may have been in neither count.
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut sent = Vec::new();
    let ended = stream.read_to_end(&mut sent);
    assert!(ended.is_ok() && sent.is_empty(), "{}", String::from_utf8_lossy(&sent));
    gateway.idle();
    assert!(gateway.rows().is_empty(), "nobody was asked");
}

/// Far more than what the buffers between four sockets hold, and a count at its end.
fn flood() -> (Vec<u8>, Vec<u8>) {
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"12345678\"}}]}\n\n".repeat(1000);
    let mut begun = head(200, &[SSE], "transfer-encoding: chunked\r\n");
    for _ in 0..400 {
        begun.extend_from_slice(&chunk(event.as_bytes()));
    }
    (begun, [chunk(last(Dialect::Chat).as_bytes()), b"0\r\n\r\n".to_vec()].concat())
}

#[test]
fn a_slow_client_has_not_left() {
    let held = Held::start_with(|_| flood());
    let gateway = held.gateway("", "'drain'");
    held.go_on();
    let mut client = gateway.client();
    Dialect::Chat.send(&mut client, "m-1", true);
    let mut answer = client.head().unwrap();
    // Long enough for everything to back up.
    std::thread::sleep(Duration::from_millis(700));
    client.body(&mut answer).unwrap();
    assert!(answer.complete);
    assert_eq!(answer.text().matches("12345678").count(), 400_000);
    check_exact(&gateway.rows_of(answer.id(), 1)[0], &Value::Null);
}

#[test]
fn a_client_that_stops_reading_has_left() {
    let held = Held::start_with(|_| flood());
    let gateway = held.gateway("write_timeout = '300ms'\n", "'drain'");
    held.go_on();
    let mut client = gateway.client();
    Dialect::Chat.send(&mut client, "m-1", true);
    let mut answer = client.head().unwrap();
    check_exact(&gateway.rows_of(answer.id(), 1)[0], &json!("drained"));
    client.body(&mut answer).unwrap();
    assert!(!answer.complete, "a part must not look like the whole");
}

#[test]
fn a_drain_is_part_of_the_grace_time() {
    let held = Held::start();
    let mut gateway = held.gateway("grace = '60s'\n", "'drain'");
    let (client, id) = begin(&gateway, Dialect::Chat);
    drop(client);
    gateway.signal("-TERM");
    eventually("the listener to close", || {
        std::net::TcpStream::connect(gateway.address).is_err().then_some(())
    });
    assert!(gateway.is_running(), "somebody is still being served");
    held.go_on();
    gateway.wait();
    check_exact(&gateway.rows_of(&id, 1)[0], &json!("drained"));
}

#[test]
fn a_drain_that_outlasts_the_grace_time_is_booked_as_far_as_it_came() {
    let held = Held::start();
    let mut gateway = held.gateway("grace = '1s'\n", "'drain'");
    let (client, id) = begin(&gateway, Dialect::Chat);
    drop(client);
    // The gateway sees that before it is told to end.
    std::thread::sleep(Duration::from_millis(100));
    gateway.signal("-TERM");
    gateway.wait();
    let row = &gateway.rows_of(&id, 1)[0];
    assert_eq!((&row["client_left"], &row["error"]), (&json!("drain_broken"), &json!("shutdown")), "{row}");
    assert_eq!((&row["measured"], &row["output_tokens"]), (&json!(false), &json!(2)), "{row}");
}
