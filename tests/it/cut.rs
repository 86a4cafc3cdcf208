//! A stream whose budget runs out: its end as each dialect's client sees it.

use std::time::Duration;

use serde_json::Value;

use crate::support::dialect::{ALL, events};
use crate::support::policy::{DOLLAR_A_TOKEN, MODELS, dialect_of, key, secret};
use crate::support::provider::{chunk, head};
use crate::support::{Client, DIALECTS, Dialect, Gateway, Provider, Reply, Seen, eventually};

/// The beginning of a stream, and then a text of four tokens, again and again.
fn endless(seen: &Seen) -> Reply {
    let dialect = dialect_of(seen);
    let [first, _, _] = dialect.events();
    let begin = head(200, &[("content-type", "text/event-stream")], "transfer-encoding: chunked\r\n");
    let open = match dialect {
        Dialect::Messages => {
            "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
        }
        _ => "",
    };
    let text = match dialect {
        Dialect::Chat => {
            "data: {\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"0123456789abcdef\"}}]}\n\n"
        }
        Dialect::Messages => {
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"0123456789abcdef\"}}\n\n"
        }
        Dialect::Responses => {
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"i\",\"output_index\":0,\"content_index\":0,\"delta\":\"0123456789abcdef\",\"sequence_number\":1}\n\n"
        }
        Dialect::Gemini => {
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"0123456789abcdef\"}]}}]}\r\n\r\n"
        }
    };
    let pieces = [begin, chunk(first.as_bytes()), chunk(open.as_bytes())]
        .into_iter()
        .filter(|piece| piece != b"0\r\n\r\n");
    Reply::Paced(
        pieces.chain(std::iter::repeat_n(chunk(text.as_bytes()), 3000)).collect(),
        Duration::from_micros(500),
    )
}

fn ask(client: &mut Client, dialect: Dialect) -> crate::support::Answer {
    let secret = secret("ann");
    let mut headers = vec![("content-type", "application/json"), ("x-tollgate-key", &*secret)];
    headers.extend(dialect.headers().iter().skip(1));
    let body = match dialect {
        Dialect::Gemini => dialect.body("m-1", true),
        // No limit of output: 4,096 tokens are reserved, and then more.
        _ => dialect.body("m-1", true).replace(r#""max_tokens":9,"#, ""),
    };
    client.send("POST", &dialect.path("m-1", true), &headers, body.as_bytes()).unwrap();
    client.answer().unwrap()
}

/// The last word on why it ended, and the note.
fn ending(dialect: Dialect, events: &[crate::support::dialect::Event]) -> (Value, Value) {
    let json: Vec<Value> = events.iter().filter_map(|event| serde_json::from_str(&event.data).ok()).collect();
    let found = |pointer: &str| {
        json.iter().rev().find_map(|event| event.pointer(pointer).filter(|v| !v.is_null()).cloned())
    };
    let (why, note) = match dialect {
        Dialect::Chat => ("/choices/0/finish_reason", "/tollgate"),
        Dialect::Responses => ("/response/incomplete_details/reason", "/response/usage/tollgate"),
        Dialect::Messages => ("/delta/stop_reason", "/usage/tollgate"),
        Dialect::Gemini => ("/candidates/0/finishReason", "/usageMetadata/tollgate"),
    };
    (found(why).unwrap_or_default(), found(note).unwrap_or_default())
}

#[test]
fn a_stream_whose_budget_runs_out_ends_as_if_the_model_had_come_to_its_limit() {
    for dialect in DIALECTS {
        let provider = Provider::start(endless);
        let gateway = Gateway::start(&format!(
            "auth = 'keys'\n{}[[budgets]]\nname = 'money'\nscope = ['org']\namount = '6000 USD'\nperiod = 'month'\n{DOLLAR_A_TOKEN}{}{ALL}{MODELS}",
            key("ann", ""),
            provider.table("openai")
        ));
        let mut client = gateway.client();
        let answer = ask(&mut client, dialect);
        assert_eq!(answer.status, 200, "{dialect:?}: {}", answer.text());
        assert!(answer.complete, "{dialect:?}: the body is whole");
        let events = events(&answer.text());
        let (why, note) = ending(dialect, &events);
        let expected = match dialect {
            Dialect::Chat => "length",
            Dialect::Responses => "max_output_tokens",
            Dialect::Messages => "max_tokens",
            Dialect::Gemini => "MAX_TOKENS",
        };
        assert_eq!(why, expected, "{dialect:?}: {:?}", events.last());
        assert_eq!(note["stopped"], "budget", "{dialect:?}: {:?}", events.last());
        assert_eq!(note["rule"], "money", "{dialect:?}");
        match dialect {
            Dialect::Chat => assert_eq!(events.last().unwrap().data, "[DONE]"),
            Dialect::Messages => assert_eq!(events.last().unwrap().name, "message_stop"),
            Dialect::Responses => assert_eq!(events.last().unwrap().name, "response.incomplete"),
            Dialect::Gemini => {}
        }
        eventually("the provider's connection to be closed", || (provider.open() == 0).then_some(()));
        let row = &gateway.rows_of(answer.id(), 1)[0];
        assert_eq!(
            (&row["error"], &row["measured"]),
            (&"budget".into(), &false.into()),
            "{dialect:?}: {row}"
        );
        let spent: f64 = row["cost"].as_str().unwrap().parse().unwrap();
        assert!((5000.0..=6000.0).contains(&spent), "{dialect:?}: {spent}");
        // The connection is as good as new.
        let again = client.call("GET", "/v1/models", &[("x-tollgate-key", &secret("ann"))], b"");
        assert_eq!(again.status, 200, "{dialect:?}: {}", again.text());
    }
}
