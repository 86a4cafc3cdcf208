//! Which targets a translated exchange tries, and what each of them gets to see.

use serde_json::{Value, json};

use crate::support::{Dialect, Gateway, Provider, Reply};

const JSON: (&str, &str) = ("content-type", "application/json");

fn table(name: &str, provider: &Provider, more: &str) -> String {
    format!("{}{more}\n", provider.table(name))
}

fn alias(targets: &[&str]) -> String {
    let list: Vec<_> = targets.iter().map(|name| format!("{{ provider = '{name}', model = 'm' }}")).collect();
    format!("[models.any]\ntargets = [{}]\n", list.join(", "))
}

const CHAT: &str = "dialects = ['openai_chat']";
const ANTHROPIC: &str = "dialects = ['anthropic']";
const RESPONSES: &str = "dialects = ['openai_responses']";

fn busy() -> Provider {
    Provider::start(|_| Reply::json(503, r#"{"error":{"message":"busy"}}"#))
}

fn well(dialect: Dialect) -> Provider {
    Provider::start(move |_| Reply::json(200, dialect.answer()))
}

#[test]
fn a_clients_own_key_is_shown_to_one_provider_alone() {
    let (first, second) = (busy(), well(Dialect::Messages));
    let gateway = Gateway::start(&format!(
        "{}{}{}",
        table("one", &first, "dialects = ['openai_chat']\nauth = 'passthrough'"),
        table("two", &second, "dialects = ['anthropic']\nauth = 'passthrough'"),
        alias(&["one", "two"]),
    ));
    let headers = [JSON, ("authorization", "Bearer sk-of-the-client"), ("api-key", "sk-azure")];
    let body = r#"{"model":"any","messages":[{"role":"user","content":"Hi"}]}"#;
    let answer = gateway.client().call("POST", "/v1/chat/completions", &headers, body.as_bytes());
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(first.last().header("authorization"), Some("Bearer sk-of-the-client"));
    assert_eq!(first.last().header("api-key"), None, "another vendor's place for a key stays here, too");
    assert!(second.seen().is_empty());
}

#[test]
fn a_strict_request_goes_to_the_target_that_loses_nothing() {
    let (anthropic, chat) = (well(Dialect::Messages), well(Dialect::Chat));
    let conf = |order: &[&str]| {
        format!("{}{}{}", table("a", &anthropic, ANTHROPIC), table("c", &chat, CHAT), alias(order))
    };
    let headers = [JSON, ("x-tollgate-strict", "true")];
    let body = r#"{"model":"any","seed":7,"messages":[{"role":"user","content":"Hi"}]}"#;
    let gateway = Gateway::start(&conf(&["a", "c"]));
    let answer = gateway.client().call("POST", "/v1/chat/completions", &headers, body.as_bytes());
    assert_eq!((answer.status, answer.header("x-tollgate-provider")), (200, Some("c")), "{}", answer.text());
    assert!(anthropic.seen().is_empty());
    // Where the one that could fails, that is no mistake of the client's.
    let down = busy();
    let gateway = Gateway::start(&format!(
        "{}{}{}",
        table("c", &down, CHAT),
        table("a", &anthropic, ANTHROPIC),
        alias(&["c", "a"])
    ));
    let answer = gateway.client().call("POST", "/v1/chat/completions", &headers, body.as_bytes());
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(anthropic.seen().is_empty());
}

#[test]
fn a_target_whose_name_is_not_known_is_passed_over() {
    let chat = well(Dialect::Chat);
    let gateway = Gateway::start(&format!(
        "[providers.gone]\nbase_url = 'http://no-such-host.invalid'\n{}{}",
        table("c", &chat, CHAT),
        alias(&["gone", "c"])
    ));
    let body = r#"{"model":"any","messages":[]}"#;
    let answer = gateway.client().post("/v1/chat/completions", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn reasoning_that_another_provider_sealed_does_not_go_up_in_the_clients_own_dialect() {
    let responses = well(Dialect::Responses);
    let gateway = Gateway::start(&table("r", &responses, RESPONSES));
    let body = json!({ "model": "r/m", "store": false, "input": [
        { "role": "user", "content": "Why?" },
        { "type": "reasoning", "id": "rs_1", "summary": [{ "type": "summary_text", "text": "Hm." }], "encrypted_content": "tollgate.anthropic.c2ln" },
        { "type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": [{ "type": "output_text", "text": "Because.", "annotations": [] }] },
        { "role": "user", "content": "Really?" },
    ]});
    let answer = gateway.client().post("/v1/responses", &body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = String::from_utf8(responses.last().body).unwrap();
    assert!(!sent.contains("tollgate.") && sent.contains("Because."), "{sent}");
    assert_eq!(answer.header("x-tollgate-lossy"), Some("/input/1"));
    // Its own goes up byte for byte.
    let own = body.to_string().replace("tollgate.anthropic.c2ln", "gAAAAA");
    let answer = gateway.client().post("/v1/responses", &own.replace("r/m", "m").replace("\"m\"", "\"r/m\""));
    assert_eq!(answer.header("x-tollgate-lossy"), None);
    assert!(String::from_utf8(responses.last().body).unwrap().contains("gAAAAA"));
}

#[test]
fn an_id_that_a_provider_gave_goes_to_those_that_keep_what_they_gave() {
    let (responses, chat) = (well(Dialect::Responses), well(Dialect::Chat));
    let gateway = Gateway::start(&format!(
        "{}{}{}",
        table("c", &chat, CHAT),
        table("r", &responses, RESPONSES),
        alias(&["c", "r"])
    ));
    let body = json!({ "model": "any", "input": "x", "previous_response_id": "resp_of_the_provider" });
    let answer = gateway.client().post("/v1/responses", &body.to_string());
    assert_eq!((answer.status, answer.header("x-tollgate-provider")), (200, Some("r")), "{}", answer.text());
    assert_eq!(responses.last().json()["previous_response_id"], json!("resp_of_the_provider"));
    assert!(chat.seen().is_empty());
}

#[test]
fn a_model_is_listed_under_the_name_that_means_it_and_is_not_deleted_here() {
    let (groq, openai) = (well(Dialect::Chat), well(Dialect::Chat));
    let gateway = Gateway::start(&format!("{}{}", table("groq", &groq, ""), table("openai", &openai, "")));
    let list = gateway.client().call("GET", "/v1/models", &[], b"").json();
    let listed: Vec<&Value> = list["data"].as_array().unwrap().iter().collect();
    let of_groq = listed.iter().find(|model| model["id"] == "groq/openai/gpt-oss-120b");
    assert_eq!(of_groq.map(|model| &model["owned_by"]), Some(&json!("groq")));
    assert!(listed.iter().all(|model| model["id"] != "openai/gpt-oss-120b"), "that would be asked of openai");
    gateway.client().call("DELETE", "/v1/models/ft:gpt-4o:x", &[], b"");
    assert_eq!(openai.last().method, "DELETE");
}

/// A provider over h2c whose answers end with trailers.
fn with_trailers(body: &'static str) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let serve = async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let head = http::Response::builder().header("content-type", "application/json");
                    let mut answer = respond.send_response(head.body(()).unwrap(), false).unwrap();
                    answer.send_data(body.into(), false).unwrap();
                    let trailers = http::HeaderMap::from_iter([(
                        http::HeaderName::from_static("x-checksum"),
                        http::HeaderValue::from_static("1"),
                    )]);
                    answer.send_trailers(trailers).unwrap();
                }
            });
        }
    };
    std::thread::spawn(|| crate::support::http2::block_on(serve));
    address
}

#[test]
fn an_answer_that_ends_with_trailers_is_whole() {
    let address = with_trailers(Dialect::Messages.answer());
    let gateway = Gateway::start(&format!(
        "[providers.t]\nbase_url = 'http://{address}'\nhttp = '2'\napi_key = 'sk-t'\n{ANTHROPIC}\n"
    ));
    let body = r#"{"model":"t/m","messages":[{"role":"user","content":"Hi"}]}"#;
    let answer = gateway.client().post("/v1/chat/completions", body);
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        json!("12345678abcdefgh"),
        "{}",
        answer.text()
    );
    assert_eq!(gateway.rows_of(answer.id(), 1)[0]["measured"], json!(true));
}
