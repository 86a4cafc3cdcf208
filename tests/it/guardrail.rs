//! Guardrails: what the provider does not get to see, and what the client gets back.

use crate::support::dialect::ALL;
use crate::support::policy::{MODELS, dialect_of, eventually_events};
use crate::support::provider::{chunk, head};
use crate::support::{Client, Dialect, Gateway, Provider, Reply, Seen};

const RULES: &str = "[[guardrails]]\nkinds = { email = 'replace', card = 'block', iban = 'mask' }\n";
const MAIL: &str = "ann.smith@example.org";

fn start(provider: &Provider, rules: &str, dialects: &str) -> Gateway {
    Gateway::start(&format!("{rules}{}{dialects}{MODELS}", provider.table("openai")))
}

fn chat(client: &mut Client, text: &str, stream: bool) -> crate::support::Answer {
    let body =
        format!(r#"{{"model":"m-1","stream":{stream},"messages":[{{"role":"user","content":"{text}"}}]}}"#);
    client.post("/v1/chat/completions", &body)
}

/// Says again what it was told, the placeholder cut in the middle where it streams.
fn echo(seen: &Seen) -> Reply {
    let said = String::from_utf8(seen.body.clone()).unwrap();
    let at = said.find("<EMAIL").unwrap_or_else(|| panic!("no placeholder: {said}"));
    let placeholder = said[at..=at + said[at..].find('>').unwrap()].to_owned();
    let stream = seen.json()["stream"] == true;
    match (dialect_of(seen), stream) {
        (Dialect::Chat, true) => {
            let (first, second) = placeholder.split_at(4);
            let delta = |text: &str| {
                format!(
                    "data: {{\"id\":\"c\",\"model\":\"m-1\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
                )
            };
            let end = "data: {\"id\":\"c\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
            let events =
                [delta(&format!("I write to {first}")), delta(&format!("{second} now")), end.to_owned()];
            let begin = head(200, &[("content-type", "text/event-stream")], "transfer-encoding: chunked\r\n");
            let pieces = std::iter::once(begin).chain(events.iter().map(|event| chunk(event.as_bytes())));
            Reply::Pieces(pieces.chain([b"0\r\n\r\n".to_vec()]).collect())
        }
        (Dialect::Chat, false) => Reply::json(
            200,
            &format!(
                r#"{{"id":"c","model":"m-1","choices":[{{"index":0,"message":{{"role":"assistant","content":"I write to {placeholder} now"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":5,"completion_tokens":5,"total_tokens":10}}}}"#
            ),
        ),
        _ => Reply::json(
            200,
            &format!(
                r#"{{"id":"m","type":"message","role":"assistant","model":"m-1","content":[{{"type":"text","text":"I write to {placeholder} now"}}],"stop_reason":"end_turn","usage":{{"input_tokens":5,"output_tokens":5}}}}"#
            ),
        ),
    }
}

#[test]
fn what_is_replaced_never_leaves_and_comes_back_in_the_answer() {
    for dialects in [ALL, "dialects = ['anthropic']\n"] {
        let provider = Provider::start(echo);
        let gateway = start(&provider, RULES, dialects);
        let answer =
            chat(&mut gateway.client(), &format!("Write to {MAIL}, IBAN DE89370400440532013000"), false);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = &answer.json()["choices"][0]["message"]["content"];
        assert_eq!(*text, format!("I write to {MAIL} now"));
        let went = String::from_utf8(provider.last().body).unwrap();
        assert!(!went.contains("ann.smith") && !went.contains("DE8937"), "{went}");
        assert!(went.contains("[IBAN]"), "{went}");
        let told = eventually_events(&gateway, "guardrail", 2);
        assert!(told.iter().all(|line| !line.to_string().contains("ann.smith")), "{told:?}");
    }
}

#[test]
fn a_placeholder_that_a_stream_cuts_in_two_comes_back_whole() {
    let provider = Provider::start(echo);
    let gateway = start(&provider, RULES, "");
    let answer = chat(&mut gateway.client(), &format!("Write to {MAIL}"), true);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let events = crate::support::dialect::events(&answer.text());
    let text: String = events
        .iter()
        .filter_map(|event| serde_json::from_str::<serde_json::Value>(&event.data).ok())
        .filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned()))
        .collect();
    assert_eq!(text, format!("I write to {MAIL} now"));
    assert!(answer.complete);
}

#[test]
fn what_is_blocked_goes_nowhere_behind_a_prefix_neither() {
    let provider = Provider::start(|_| Reply::json(200, "{}"));
    let gateway = start(&provider, RULES, "");
    let card = r#"{"model":"m-1","messages":[{"role":"user","content":"pay with 4111 1111 1111 1111"}],"input":"4111 1111 1111 1111"}"#;
    for path in
        ["/v1/chat/completions", "/openai/v1/chat/completions", "/v1/embeddings", "/openai/v1/embeddings"]
    {
        let answer = gateway.client().post(path, card);
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "blocked_by_guardrail", "{path}");
        assert!(!answer.text().contains("4111"), "{path}: {}", answer.text());
    }
    assert!(provider.seen().is_empty());
}

#[test]
fn where_nothing_is_found_bytes_pass_as_they_came() {
    let answer = Dialect::Chat.answer();
    let provider = Provider::start(move |_| Reply::json(200, answer));
    let gateway = start(&provider, RULES, "");
    let body = r#"{"model" : "m-1", "x-unknown":[1.10],"messages":[{"role":"user","content":"hello"}]}"#;
    let got = gateway.client().post("/v1/chat/completions", body);
    assert_eq!((got.status, got.text().as_str()), (200, answer));
    assert_eq!(provider.last().body, body.as_bytes());
}
