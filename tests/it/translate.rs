//! A client of any dialect reaches a provider of any other, and hears what could not be carried.

use serde_json::{Value, json};

use crate::support::dialect::{Event, events};
use crate::support::{Answer, DIALECTS, Dialect, Gateway, Provider, Reply, Seen, eventually, provider};

const MODEL: &str = "m";

impl Dialect {
    /// What a provider is called that speaks this dialect alone.
    fn provider(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Gemini => "generate",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Chat => "openai_chat",
            Self::Responses => "openai_responses",
            Self::Messages => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// What ends a stream after [`Dialect::events`]: the finish and 25 tokens in, 7 out.
    fn end(self) -> &'static str {
        match self {
            Self::Chat => {
                "data: {\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":25,\"completion_tokens\":7,\"total_tokens\":32}}\n\ndata: [DONE]\n\n"
            }
            Self::Responses => {
                "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":3,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"model\":\"m-1\",\"status\":\"completed\",\"output\":[{\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\",\"status\":\"completed\",\"content\":[{\"type\":\"output_text\",\"text\":\"12345678abcd\",\"annotations\":[]}]}],\"usage\":{\"input_tokens\":25,\"output_tokens\":7,\"total_tokens\":32}}}\n\n"
            }
            Self::Messages => {
                "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":7}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
            }
            Self::Gemini => {
                "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":25,\"candidatesTokenCount\":7,\"totalTokenCount\":32}}\r\n\r\n"
            }
        }
    }

    fn stream(self) -> String {
        self.events().concat() + self.end()
    }

    /// A question as this dialect's SDK sends it.
    fn question(self, model: &str, stream: bool) -> String {
        let mut body = match self {
            Self::Chat => json!({ "messages": [{ "role": "user", "content": "Hi" }] }),
            Self::Responses => json!({ "input": "Hi", "store": false }),
            Self::Messages => json!({ "messages": [{ "role": "user", "content": "Hi" }], "max_tokens": 99 }),
            Self::Gemini => json!({ "contents": [{ "role": "user", "parts": [{ "text": "Hi" }] }] }),
        };
        if self != Self::Gemini {
            body["model"] = json!(model);
            body["stream"] = json!(stream);
        }
        body.to_string()
    }

    fn ask(self, gateway: &Gateway, model: &str, stream: bool, headers: &[(&str, &str)]) -> Answer {
        let headers = [self.headers(), headers].concat();
        let path = self.path(&model.replace('/', "%2F"), stream);
        gateway.client().call("POST", &path, &headers, self.question(model, stream).as_bytes())
    }

    /// The text of a whole answer in this dialect.
    fn text_of(self, answer: &Value) -> String {
        let text = match self {
            Self::Chat => &answer["choices"][0]["message"]["content"],
            Self::Responses => &answer["output"][0]["content"][0]["text"],
            Self::Messages => &answer["content"][0]["text"],
            Self::Gemini => &answer["candidates"][0]["content"]["parts"][0]["text"],
        };
        text.as_str().unwrap_or_else(|| panic!("{self:?}: no text in {answer}")).to_owned()
    }

    /// The text that the events of a stream bring.
    fn text_of_events(self, events: &[Event]) -> String {
        let documents = events.iter().filter_map(|event| serde_json::from_str::<Value>(&event.data).ok());
        let delta = |event: Value| {
            let text = match self {
                Self::Chat => &event["choices"][0]["delta"]["content"],
                Self::Responses if event["type"] == "response.output_text.delta" => &event["delta"],
                Self::Responses => &Value::Null,
                Self::Messages => &event["delta"]["text"],
                Self::Gemini => &event["candidates"][0]["content"]["parts"][0]["text"],
            };
            text.as_str().map(str::to_owned)
        };
        documents.filter_map(delta).collect()
    }

    /// Whether the last event is the one that this dialect ends with.
    fn is_ended_by(self, event: &Event) -> bool {
        match self {
            Self::Chat => event.data == "[DONE]",
            Self::Responses => event.name == "response.completed",
            Self::Messages => event.name == "message_stop",
            Self::Gemini => event.data.contains("\"finishReason\":\"STOP\""),
        }
    }

    fn asks_for_stream(self, request: &Seen) -> bool {
        match self {
            Self::Gemini => request.target.contains(":streamGenerateContent?alt=sse"),
            _ => request.json()["stream"] == json!(true),
        }
    }
}

/// A provider for each dialect, which answers as [`Dialect::answer`] and [`Dialect::stream`] say.
fn providers() -> Vec<Provider> {
    let start = |dialect: Dialect| {
        Provider::start(move |request| {
            if dialect.asks_for_stream(request) {
                Reply::sse(&dialect.stream())
            } else {
                Reply::json(200, dialect.answer())
            }
        })
    };
    DIALECTS.map(start).into()
}

fn table(dialect: Dialect, provider: &Provider) -> String {
    format!("{}dialects = ['{}']\n", provider.table(dialect.provider()), dialect.name())
}

fn gateway(providers: &[Provider], more: &str) -> Gateway {
    let tables: String = DIALECTS.iter().zip(providers).map(|(d, p)| table(*d, p)).collect();
    Gateway::start(&format!("{tables}{more}"))
}

#[test]
fn every_dialect_reaches_every_provider() {
    let providers = providers();
    let gateway = gateway(&providers, "");
    for client in DIALECTS {
        for (to, provider) in DIALECTS.into_iter().zip(&providers) {
            let model = format!("{}/{MODEL}", to.provider());
            for stream in [false, true] {
                let what = format!("{client:?} -> {to:?}, stream {stream}");
                let answer = client.ask(&gateway, &model, stream, &[]);
                assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                assert!(answer.complete, "{what}");
                if stream {
                    let events = events(&answer.text());
                    assert_eq!(client.text_of_events(&events), "12345678abcd", "{what}: {}", answer.text());
                    assert!(client.is_ended_by(events.last().unwrap()), "{what}: {}", answer.text());
                } else {
                    assert_eq!(client.text_of(&answer.json()), "12345678abcdefgh", "{what}");
                }
                let seen = provider.take_last();
                assert_eq!(seen.target, to.path(MODEL, stream), "{what}");
                let key = match to {
                    Dialect::Messages => seen.header("x-api-key"),
                    Dialect::Gemini => seen.header("x-goog-api-key"),
                    _ => seen.header("authorization").and_then(|v| v.strip_prefix("Bearer ")),
                };
                assert_eq!(key, Some(&*format!("sk-of-{}", to.provider())), "{what}");
                assert_eq!(seen.header("anthropic-version").is_some(), to == Dialect::Messages, "{what}");
                let row = gateway.rows_of(answer.id(), 1).remove(0);
                assert_eq!((&row["input_tokens"], &row["output_tokens"]), (&json!(25), &json!(7)), "{what}");
                assert_eq!(row["measured"], json!(true), "{what}");
                let translated = if client == to { Value::Null } else { json!(to.name()) };
                assert_eq!(row["translated_to"], translated, "{what}");
                assert_eq!(
                    (&row["dialect"], &row["stream"]),
                    (&json!(client.name()), &json!(stream)),
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn what_a_request_loses_is_named_in_a_header_and_in_its_row() {
    let providers = providers();
    let gateway = gateway(&providers, "");
    let body = r#"{"model":"messages/m","messages":[{"role":"user","content":"Hi"}],"logit_bias":{"50256":-100},"seed":7}"#;
    let answer = gateway.client().post("/v1/chat/completions", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut lost: Vec<_> = answer.header("x-tollgate-lossy").unwrap().split(',').collect();
    lost.sort_unstable();
    assert_eq!(lost, ["/logit_bias", "/seed"]);
    let row = gateway.rows_of(answer.id(), 1).remove(0);
    assert_eq!(row["request_losses"], json!(answer.header("x-tollgate-lossy").unwrap()));
    assert!(
        gateway.metric(r#"tollgate_lossy_total{from="openai_chat",part="request",to="anthropic"}"#) >= 1.0,
        "{}",
        gateway.metrics()
    );
    let logged = |line: &Value| line["answered_by"]["request_losses"] == row["request_losses"];
    eventually("the access log", || gateway.access_log().iter().any(logged).then_some(()));
    let exact = gateway.client().post(
        "/v1/chat/completions",
        r#"{"model":"messages/m","messages":[{"role":"user","content":"Hi"}],"temperature":0.7}"#,
    );
    assert_eq!(exact.header("x-tollgate-lossy"), None);
    assert!(providers[2].last().body.windows(17).any(|w| w == br#""temperature":0.7"#), "to the digit");
}

#[test]
fn strictness_makes_a_loss_an_error_before_anything_is_sent() {
    let providers = providers();
    let more = "[[keys]]\nname = 'strict'\nkey = 'tg-strict-0123456789'\nstrict = true\n\
                [[keys]]\nname = 'easy'\nkey = 'tg-easy-0123456789ab'\n\
                [models.careful]\nstrict = true\ntargets = [{ provider = 'messages', model = 'm' }]\n";
    let gateway = gateway(&providers, more);
    let body = |model: &str| {
        format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hi"}}],"seed":7}}"#)
    };
    let ask = |model: &str, key: &str, strict: &str| {
        let key = format!("Bearer {key}");
        let headers =
            [("content-type", "application/json"), ("authorization", &key), ("x-tollgate-strict", strict)];
        gateway.client().call("POST", "/v1/chat/completions", &headers, body(model).as_bytes())
    };
    for refused in [
        ask("messages/m", "tg-easy-0123456789ab", "true"),
        ask("messages/m", "tg-strict-0123456789", "false"),
        ask("careful", "tg-easy-0123456789ab", "false"),
    ] {
        Dialect::Chat.check_error(&refused, 400);
        let error = &refused.json()["error"];
        assert_eq!((&error["code"], &error["param"]), (&json!("translation_lossy"), &json!("/seed")));
    }
    assert!(providers[2].seen().is_empty(), "nothing is sent");
    assert_eq!(ask("messages/m", "tg-easy-0123456789ab", "false").status, 200);
    // Where nothing is translated, nothing is lost.
    assert_eq!(ask("chat/m", "tg-strict-0123456789", "true").status, 200);
}

#[test]
fn an_alias_moves_on_to_a_provider_of_another_dialect() {
    let busy = Provider::start(|_| {
        Reply::json(429, r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#)
    });
    let well = Provider::start(|_| Reply::json(200, Dialect::Gemini.answer()));
    let gateway = Gateway::start(&format!(
        "{}{}[models.fast]\ntargets = [{{ provider = 'messages', model = 'a' }}, {{ provider = 'generate', model = 'b' }}]\n",
        table(Dialect::Messages, &busy),
        table(Dialect::Gemini, &well)
    ));
    let answer = Dialect::Chat.ask(&gateway, "fast", false, &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(Dialect::Chat.text_of(&answer.json()), "12345678abcdefgh");
    assert_eq!(answer.header("x-tollgate-attempts"), Some("2"));
    let rows = gateway.rows_of(answer.id(), 2);
    let to: Vec<_> = rows.iter().map(|row| row["translated_to"].as_str().unwrap()).collect();
    assert_eq!(to, ["anthropic", "gemini"]);
}

#[test]
fn a_providers_error_is_told_in_the_clients_dialect() {
    let error = |dialect: Dialect| match dialect {
        Dialect::Chat | Dialect::Responses => {
            r#"{"error":{"message":"That is too long for me.","type":"invalid_request_error","param":null,"code":"context_length_exceeded"}}"#
        }
        Dialect::Messages => {
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"That is too long for me."},"request_id":"req_1"}"#
        }
        Dialect::Gemini => {
            r#"{"error":{"code":400,"message":"That is too long for me.","status":"INVALID_ARGUMENT"}}"#
        }
    };
    let providers: Vec<_> =
        DIALECTS.map(|dialect| Provider::start(move |_| Reply::json(400, error(dialect)))).into();
    let gateway = gateway(&providers, "");
    for client in DIALECTS {
        for to in DIALECTS.into_iter().filter(|to| *to != client) {
            for stream in [false, true] {
                let answer = client.ask(&gateway, &format!("{}/m", to.provider()), stream, &[]);
                client.check_error(&answer, 400);
                assert_eq!(answer.json()["error"]["message"], json!("That is too long for me."));
            }
        }
    }
}

#[test]
fn a_stream_that_breaks_off_ends_with_an_error_event_of_the_clients_dialect() {
    let providers: Vec<_> = DIALECTS
        .map(|dialect| {
            Provider::start(move |_| {
                let head = provider::head(
                    200,
                    &[("content-type", "text/event-stream")],
                    "transfer-encoding: chunked\r\n",
                );
                let events = dialect.events().concat();
                Reply::ThenClose([head, provider::chunk(events.as_bytes())].concat())
            })
        })
        .into();
    let gateway = gateway(&providers, "");
    for client in DIALECTS {
        for to in DIALECTS.into_iter().filter(|to| *to != client) {
            let answer = client.ask(&gateway, &format!("{}/m", to.provider()), true, &[]);
            assert_eq!(answer.status, 200);
            let events = events(&answer.text());
            let (last, before) = events.split_last().unwrap();
            assert_eq!(client.text_of_events(before), "12345678abcd", "{client:?} -> {to:?}");
            client.check_error_event(last, 502, answer.id(), before.len());
            let row = gateway.rows_of(answer.id(), 1).remove(0);
            assert_eq!(row["measured"], json!(false), "{client:?} -> {to:?}");
        }
    }
}

#[test]
fn what_an_answer_loses_is_named_before_its_stream_ends() {
    let stream = "data: {\"id\":\"c\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"logprobs\":{\"content\":[{\"token\":\"Hi\",\"logprob\":-0.1,\"bytes\":[72,105],\"top_logprobs\":[]}],\"refusal\":null}}]}\n\n";
    let chat = Provider::start(move |_| Reply::sse(&format!("{stream}{}", Dialect::Chat.end())));
    let gateway = Gateway::start(&table(Dialect::Chat, &chat));
    let answer = Dialect::Messages.ask(&gateway, "chat/m", true, &[]);
    let text = answer.text();
    let comment = text.find(": tollgate-lossy /choices/0/logprobs\n\n");
    assert!(comment.is_some_and(|at| at < text.find("event: message_stop").unwrap()), "{text}");
    let row = gateway.rows_of(answer.id(), 1).remove(0);
    assert_eq!(row["answer_losses"], json!("/choices/0/logprobs"));
}

#[test]
fn an_answer_that_cannot_be_read_is_a_502_or_no_whole_answer() {
    let compressed = Provider::start(|_| {
        let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
        Reply::full(200, &headers, b"\x1f\x8b\x08\x00")
    });
    let nonsense = Provider::start(|_| Reply::json(200, "{\"choices\": nope"));
    let gateway = Gateway::start(&format!(
        "{}dialects = ['openai_chat']\n{}dialects = ['openai_chat']\n",
        compressed.table("compressed"),
        nonsense.table("nonsense")
    ));
    let answer = Dialect::Messages.ask(&gateway, "compressed/m", false, &[]);
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(answer.json()["error"]["type"], json!("api_error"));
    assert_eq!(compressed.last().header("accept-encoding"), Some("identity"));
    let answer = Dialect::Messages.ask(&gateway, "nonsense/m", false, &[]);
    // Whether the header had gone already depends on how the answer came.
    assert!(answer.status == 502 || !answer.complete, "a part is not taken for the whole: {}", answer.text());
}

#[test]
fn a_gemini_client_that_does_not_ask_for_sse_gets_an_array() {
    let providers = providers();
    let gateway = gateway(&providers, "");
    let path = "/v1beta/models/chat%2Fm:streamGenerateContent";
    let answer = gateway.client().post(path, &Dialect::Gemini.question("", true));
    assert_eq!(answer.header("content-type"), Some("application/json; charset=UTF-8"));
    let documents = answer.json();
    let text: String = documents
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|d| d["candidates"][0]["content"]["parts"][0]["text"].as_str())
        .collect();
    assert_eq!(text, "12345678abcd");
}
