//! The process: how it starts, what it says, how it ends, and what others build with it.

use std::process::Stdio;

use serde_json::json;

use crate::support::gateway::{command, free_port};
use crate::support::provider::{chunk, head};
use crate::support::{Client, Gateway, Provider, Reply, eventually};

const STREAM: &str = r#"{"model":"gpt-4o","stream":true,"messages":[]}"#;

fn begun_stream() -> Vec<u8> {
    let mut bytes = head(200, &[("content-type", "text/event-stream")], "transfer-encoding: chunked\r\n");
    bytes.extend_from_slice(&chunk(b"data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n"));
    bytes
}

#[test]
fn without_a_key_the_demo_answers_in_all_four_dialects() {
    let gateway = Gateway::start("");
    let mut client = gateway.client();
    assert!(gateway.stderr().contains("on   demo"));
    for (path, body, at, input) in [
        (
            "/v1/chat/completions",
            r#"{"model":"demo","messages":[{"role":"user","content":"Hi there"}]}"#,
            "/choices/0/message/content",
            2,
        ),
        ("/v1/responses", r#"{"model":"demo","input":"Hi there"}"#, "/output/0/content/0/text", 2),
        (
            "/v1/messages",
            r#"{"model":"demo","max_tokens":99,"messages":[{"role":"user","content":"Hi there"}]}"#,
            "/content/0/text",
            2,
        ),
        (
            "/v1beta/models/demo:generateContent",
            r#"{"contents":[{"parts":[{"text":"Hi there"}]}]}"#,
            "/candidates/0/content/parts/0/text",
            2,
        ),
    ] {
        let answer = client.post(path, body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(answer.json().pointer(at).unwrap().as_str().unwrap().contains("Hi there"), "{path}");
        let row = &gateway.rows_of(answer.id(), 1)[0];
        assert_eq!((&row["input_tokens"], &row["measured"]), (&json!(input), &json!(true)), "{path}");
        assert!(row["output_tokens"].as_u64().unwrap() > 10);
    }
}

#[test]
fn the_curl_lines_that_it_prints_work_as_printed() {
    let gateway = Gateway::start("");
    let lines: Vec<String> =
        gateway.stderr().lines().filter(|l| l.trim_start().starts_with("curl ")).map(str::to_owned).collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("{} -sS -f", line.trim())])
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("demo"), "{line}");
    }
}

#[test]
fn a_real_provider_switches_the_demo_off() {
    let provider = Provider::start(|_| Reply::json(200, "{}"));
    let gateway = Gateway::start(&provider.table("openai"));
    let answer = gateway.client().post("/v1/chat/completions", r#"{"model":"demo/demo"}"#);
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("is off"), "{}", answer.text());
}

#[test]
fn the_environment_alone_is_enough() {
    let provider = Provider::start(|_| Reply::json(200, "{}"));
    let folder = tempfile::tempdir().unwrap();
    let address = free_port();
    let mut child = command()
        .args(["--listen", &address.to_string(), "--admin", ""])
        .env("ANTHROPIC_API_KEY", "sk-ant-1")
        .env("ANTHROPIC_BASE_URL", provider.url())
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut client = eventually("it to listen", || {
        std::net::TcpStream::connect(address).ok().map(|_| Client::connect(address))
    });
    let answer = client.post("/v1/messages", r#"{"model":"claude-haiku-4-5","max_tokens":1,"messages":[]}"#);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(provider.last().header("x-api-key"), Some("sk-ant-1"));
    assert!(folder.path().join("data/usage.db").exists(), "data lives in ./data");
}

#[test]
fn sigterm_lets_a_running_stream_end_and_takes_no_new_connections() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Arc::new(std::sync::Mutex::new(released));
    let provider = Provider::start(move |_| {
        let released = released.clone();
        let wait = move || released.lock().unwrap().recv().unwrap();
        let rest = [chunk(b"data: [DONE]\n\n"), b"0\r\n\r\n".to_vec()].concat();
        Reply::ThenWait(begun_stream(), Box::new(wait), rest)
    });
    let mut gateway = Gateway::start(&provider.table("openai"));
    let mut client = gateway.client();
    client
        .send("POST", "/v1/chat/completions", &[("content-type", "application/json")], STREAM.as_bytes())
        .unwrap();
    let mut answer = client.head().unwrap();
    assert!(client.chunk().unwrap().is_some());
    gateway.signal("-TERM");
    eventually("the listener to close", || {
        std::net::TcpStream::connect(gateway.address).is_err().then_some(())
    });
    assert!(gateway.is_running());
    let ready = Client::connect(gateway.admin).call("GET", "/readyz", &[], b"");
    assert_eq!(
        (ready.status, &ready.json()["draining"], &ready.json()["in_flight"]),
        (503, &json!(true), &json!(1))
    );
    release.send(()).unwrap();
    client.body(&mut answer).unwrap();
    assert!(answer.complete && answer.text().ends_with("data: [DONE]\n\n"));
    assert!(gateway.wait().success());
    assert_eq!(gateway.rows().len(), 1, "the last row is written before the process ends");
    assert_eq!(gateway.access_log().len(), 1);
}

#[test]
fn a_stream_that_outlives_the_grace_time_is_booked_as_far_as_it_came() {
    let provider = Provider::start(|_| Reply::ThenHold(begun_stream()));
    let mut gateway = Gateway::start(&format!("grace = '1s'\n{}", provider.table("openai")));
    let mut client = gateway.client();
    client
        .send("POST", "/v1/chat/completions", &[("content-type", "application/json")], STREAM.as_bytes())
        .unwrap();
    client.head().unwrap();
    assert!(client.chunk().unwrap().is_some());
    gateway.signal("-TERM");
    gateway.wait();
    let rows = gateway.rows();
    assert_eq!((&rows[0]["measured"], &rows[0]["error"]), (&json!(false), &json!("shutdown")));
    assert_eq!(gateway.access_log().len(), 1);
}

#[test]
fn health_readiness_and_metrics_have_a_listener_of_their_own() {
    let gateway = Gateway::start("");
    let mut admin = Client::connect(gateway.admin);
    assert_eq!(admin.call("GET", "/healthz", &[], b"").text(), "ok\n");
    assert_eq!(admin.call("GET", "/readyz", &[], b"").json()["ready"], json!(true));
    assert_eq!(admin.call("GET", "/nothing", &[], b"").status, 404);
    assert_eq!(gateway.client().call("GET", "/metrics", &[], b"").status, 404, "it is not for clients");
    let id =
        gateway.client().post("/v1/chat/completions", r#"{"model":"demo","messages":[]}"#).id().to_owned();
    gateway
        .client()
        .post("/v1/chat/completions", r#"{"model":"a-name-that-a-client-made-up","messages":[]}"#);
    gateway.rows_of(&id, 1);
    eventually("both to be counted", || {
        let name = "tollgate_requests_total{dialect=\"openai_chat\",operation=\"chat\",status=\"404\"}";
        (gateway.metric(name) > 0.0).then_some(())
    });
    let page = gateway.metrics();
    for name in [
        "tollgate_requests_total{dialect=\"openai_chat\",operation=\"chat\",status=\"200\"} 1",
        "tollgate_request_duration_seconds_bucket",
        "tollgate_time_to_first_byte_seconds_bucket{provider=\"demo\"",
        "tollgate_tokens_total{kind=\"output\",model=\"demo\",provider=\"demo\"}",
        "tollgate_exchanges_in_flight 0",
        "tollgate_upstream_connections_total{connection=\"new\",provider=\"demo\"} 1",
        "tollgate_ledger_queue_rows 0",
    ] {
        assert!(page.contains(name), "{name} is missing in\n{page}");
    }
    assert!(!page.contains("made-up"), "a client cannot make time series");
}

#[test]
fn what_keeps_it_from_starting_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let own = free_port();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for (conf, expected) in [
        ("[server]\nlissten=[]".to_owned(), "lissten"),
        (format!("[server]\nlisten=['{}']", taken.local_addr().unwrap()), "cannot listen on"),
        (
            format!(
                "[server]\nlisten=['{own}']\n[providers.openai]\napi_key='x'\nbase_url='http://localhost:{}/v1'",
                own.port()
            ),
            "is this gateway itself",
        ),
        ("[[keys]]\nname='a'\nkey='env:NOT_SET_ANYWHERE'".to_owned(), "NOT_SET_ANYWHERE is not set"),
        ("[server]\ndata='/proc/nowhere'".to_owned(), "/proc/nowhere"),
        ("[providers.x]\nbase_url='nonsense'".to_owned(), "providers.x"),
    ] {
        let file = folder.path().join("c.toml");
        std::fs::write(&file, &conf).unwrap();
        let output = command().arg("--config").arg(&file).current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains(expected) && !said.contains("panicked"),
            "{conf}: {said}"
        );
    }
}

#[test]
fn the_library_serves_inside_a_pingora_server_of_ones_own() {
    let example =
        std::path::Path::new(env!("CARGO_BIN_EXE_tollgate")).with_file_name("examples").join("embed");
    // Built with all the tests, but not with this one alone.
    if !example.exists() {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        assert!(cargo.args(["build", "--quiet", "--example", "embed"]).status().unwrap().success());
    }
    let folder = tempfile::tempdir().unwrap();
    let address = free_port();
    let mut child = std::process::Command::new(example)
        .arg(address.to_string())
        .env_clear()
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut client = eventually("it to listen", || {
        std::net::TcpStream::connect(address).ok().map(|_| Client::connect(address))
    });
    let answer = client
        .post("/v1/chat/completions", r#"{"model":"demo","messages":[{"role":"user","content":"Hi"}]}"#);
    let rows = eventually("the row", || {
        Some(crate::support::gateway::rows(&folder.path().join("data"), &[])).filter(|r| !r.is_empty())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((answer.status, rows.len()), (200, 1));
}
