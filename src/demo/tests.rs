//! The demo provider over a real socket, and what the other tests here read answers with.

use super::*;
use serde_json::json;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(super) fn whole(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.pieces.concat()).into_owned()
}

pub(super) fn body(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", whole(answer));
    serde_json::from_str(&whole(answer)).unwrap_or_default()
}

/// The data of every event; what is not JSON as a string.
pub(super) fn events(answer: &Answer) -> Vec<Value> {
    let text = whole(answer);
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data))).collect()
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

async fn connect() -> io::Result<Client> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener));
    Ok(Client(TcpStream::connect(address).await?))
}

struct Client(TcpStream);

impl Client {
    /// Sends this, and reads until the answer has `end` in it.
    async fn ask(&mut self, request: &str, end: &str) -> io::Result<String> {
        self.0.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains(end) {
            let read = self.0.read_buf(&mut answer).await?;
            assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

const CHAT: &str = r#"{"model":"demo","messages":[{"role":"user","content":"Hi"}]}"#;

#[tokio::test]
async fn one_connection_serves_many_requests() -> io::Result<()> {
    let mut client = connect().await?;
    let fixed = format!("POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {}\r\n\r\n{CHAT}", CHAT.len());
    let answer = client.ask(&fixed, "\"usage\"").await?;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("content-length: "));
    let (left, right) = CHAT.split_at(20);
    let chunked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n14;x=y\r\n{left}\r\n{:x}\r\n{right}\r\n0\r\na: b\r\n\r\n",
        right.len()
    );
    assert!(client.ask(&chunked, "\"usage\"").await?.contains("You said: \\\"Hi\\\"."));
    let stream = CHAT.replace('}', "").replace(']', "}],\"stream\":true}");
    let request =
        format!("POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {}\r\n\r\n{stream}", stream.len());
    let answer = client.ask(&request, "0\r\n\r\n").await?;
    assert!(answer.contains("transfer-encoding: chunked") && answer.contains("data: [DONE]"));
    let models = client.ask("GET /v1/models HTTP/1.1\r\nanthropic-version: 2023-06-01\r\n\r\n", "}").await?;
    assert!(models.contains("\"display_name\""));
    let missing = client.ask("GET /v1beta/nothing HTTP/1.1\r\n\r\n", "NOT_FOUND").await?;
    assert!(missing.starts_with("HTTP/1.1 404"));
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() -> io::Result<()> {
    let big = format!("POST /v1/responses HTTP/1.1\r\ncontent-length: {}\r\n\r\n", 9 << 20);
    let chunks =
        format!("POST /v1/responses HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n", 9 << 20);
    for (request, status) in [
        (big.as_str(), "413"),
        (chunks.as_str(), "413"),
        ("nonsense\r\n\r\n", "400"),
        ("POST /v1/messages HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", "400"),
        ("POST /v1/messages HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "400"),
        ("POST /v1/messages HTTP/1.1\r\ncontent-length: 3\r\n\r\n{{{", "400"),
    ] {
        let answer = connect().await?.ask(request, "\"message\":").await?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    Ok(())
}

#[test]
fn errors_have_the_shape_of_the_dialect() {
    let ask = |path: &str, body: &'static str| {
        let method = Method::POST;
        let (path, query, body) = (path.to_owned(), String::new(), Bytes::from_static(body.as_bytes()));
        let answer = answer(&Request { method, path, query, sender: None, body });
        let body: Value = serde_json::from_str(&whole(&answer)).unwrap_or_default();
        (answer.status.as_u16(), body)
    };
    let (status, body) = ask("/v1/chat/completions", "{\"model\":\"other\",\"messages\":[]}");
    assert_eq!((status, text(&body["error"]["code"])), (404, "model_not_found"));
    let (status, body) = ask("/v1/messages/batches", "{}");
    assert_eq!((status, text(&body["error"]["type"])), (404, "not_found_error"));
    let (status, body) = ask("/v1/messages", "[");
    assert_eq!((status, text(&body["error"]["type"])), (400, "invalid_request_error"));
    let (status, body) = ask("/v1/models/demo:generateContent", "{}");
    assert_eq!((status, text(&body["error"]["status"])), (400, "INVALID_ARGUMENT"));
    let (status, body) = ask("/v1beta/models/other:generateContent", "{}");
    assert_eq!((status, text(&body["error"]["status"])), (404, "NOT_FOUND"));
}
