//! Whatever a dialect can say: read and written again it is the same, and a stream is the same however it is cut.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use tollgate::dialect::translate::{Form, parse_request, render_request};
use tollgate_filters::chat::Losses;
use tollgate_filters::exchange::Dialect;

use super::identity;
use super::streams::decode;
use super::targets::{DIALECTS, TARGETS, home, target};

/// Text with whatever JSON and SSE may stumble over.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z][a-z ,.]{0,20}[a-z]",
        Just("\"quoted\" \\ back".to_owned()),
        Just("ünï → 🦀\u{2028}x".to_owned()),
        Just("data: x\n\nevent: y".to_owned()),
        Just("{\"a\": [1, 2]}".to_owned()),
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[a-z]{1,6}(_[a-z]{1,4})?"
}

fn schema() -> impl Strategy<Value = Value> {
    let field = prop_oneof![
        Just(json!({"type": "string"})),
        Just(json!({"type": "integer", "description": "how many"})),
        Just(json!({"type": "string", "enum": ["a", "b"]})),
        Just(json!({"type": "array", "items": {"type": "number"}})),
        Just(json!({"anyOf": [{"type": "string"}, {"type": "null"}]})),
    ];
    proptest::collection::btree_map(name(), field, 1..4).prop_map(|fields| {
        let required: Vec<&String> = fields.keys().take(1).collect();
        json!({"type": "object", "properties": fields, "required": required})
    })
}

fn arguments() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        words().prop_map(|text| json!({"text": text})),
        (0..9_i64).prop_map(|n| json!({"n": n, "deep": {"list": [n, null, 0.5]}})),
    ]
}

const PNG: &str = "iVBORw0KGgo=";

/// Members of the top level, each there or not.
fn members(all: Vec<(&'static str, BoxedStrategy<Value>)>) -> impl Strategy<Value = Map<String, Value>> {
    let each: Vec<_> = all.into_iter().map(|(key, value)| (Just(key), proptest::option::of(value))).collect();
    each.prop_map(|members| {
        let there = members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        there.collect()
    })
}

fn number() -> BoxedStrategy<Value> {
    select(vec![json!(0), json!(0.1), json!(0.7), json!(1), json!(0.3333)]).boxed()
}

fn tools(wrap: fn(String, String, Value) -> Value) -> BoxedStrategy<Value> {
    let tool = (words(), schema());
    proptest::collection::btree_map(name(), tool, 1..3)
        .prop_map(move |tools| tools.into_iter().map(|(n, (d, s))| wrap(n, d, s)).collect::<Vec<_>>().into())
        .boxed()
}

/// Turns of user and assistant, the last the user's; each step may be a call with its result.
fn turns(
    user: fn(String, bool) -> Vec<Value>,
    call: fn(String, String, Value, String) -> Vec<Value>,
    assistant: fn(String) -> Vec<Value>,
) -> BoxedStrategy<Vec<Value>> {
    let said = (words(), any::<bool>()).prop_map(move |(text, picture)| user(text, picture)).boxed();
    let step = prop_oneof![
        words().prop_map(assistant),
        ("[a-zA-Z0-9]{9}", name(), arguments(), words()).prop_map(move |(id, n, a, r)| call(id, n, a, r)),
    ];
    let turn = (said.clone(), step);
    (proptest::collection::vec(turn, 0..3), said)
        .prop_map(|(turns, last)| {
            turns.into_iter().flat_map(|(one, other)| [one, other]).flatten().chain(last).collect()
        })
        .boxed()
}

fn chat() -> BoxedStrategy<Value> {
    let user = |text: String, picture| {
        let url = format!("data:image/png;base64,{PNG}");
        vec![if picture {
            json!({"role": "user", "content": [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]})
        } else {
            json!({"role": "user", "content": text})
        }]
    };
    let call = |id: String, name: String, arguments: Value, result: String| {
        let call = json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments.to_string()}});
        vec![
            json!({"role": "assistant", "content": null, "tool_calls": [call]}),
            json!({"role": "tool", "tool_call_id": id, "content": result}),
        ]
    };
    let assistant = |text: String| vec![json!({"role": "assistant", "content": text})];
    let tool = |name, description, parameters| json!({"type": "function", "function": {"name": name, "description": description, "parameters": parameters}});
    let top = members(vec![
        ("tools", tools(tool)),
        ("temperature", number()),
        ("top_p", number()),
        ("seed", (0..99_i64).prop_map(Value::from).boxed()),
        ("max_completion_tokens", (1..9000_i64).prop_map(Value::from).boxed()),
        ("stop", proptest::collection::vec(words(), 1..3).prop_map(Value::from).boxed()),
        ("n", (1..4_i64).prop_map(Value::from).boxed()),
        ("reasoning_effort", select(vec![json!("low"), json!("medium"), json!("high")]).boxed()),
        (
            "response_format",
            schema()
                .prop_map(|s| json!({"type": "json_schema", "json_schema": {"name": "n", "schema": s}}))
                .boxed(),
        ),
        ("logit_bias", Just(json!({"50256": -100})).boxed()),
        ("something_new", arguments().boxed()),
    ]);
    (top, turns(user, call, assistant))
        .prop_map(|(mut top, messages)| {
            top.insert("model".to_owned(), json!("m"));
            top.insert("messages".to_owned(), messages.into());
            Value::Object(top)
        })
        .boxed()
}

fn responses() -> BoxedStrategy<Value> {
    let user = |text: String, picture| {
        let mut content = vec![json!({"type": "input_text", "text": text})];
        if picture {
            content.push(json!({"type": "input_image", "image_url": format!("data:image/png;base64,{PNG}"), "detail": "low"}));
        }
        vec![json!({"role": "user", "content": content})]
    };
    let call = |id: String, name: String, arguments: Value, result: String| {
        vec![
            json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments.to_string()}),
            json!({"type": "function_call_output", "call_id": id, "output": result}),
        ]
    };
    let assistant = |text: String| vec![json!({"role": "assistant", "content": text})];
    let tool = |name, description, parameters| json!({"type": "function", "name": name, "description": description, "parameters": parameters, "strict": false});
    let top = members(vec![
        ("instructions", words().prop_map(Value::from).boxed()),
        ("tools", tools(tool)),
        ("temperature", number()),
        ("top_p", number()),
        ("max_output_tokens", (1..9000_i64).prop_map(Value::from).boxed()),
        (
            "reasoning",
            select(vec![json!({"effort": "low"}), json!({"effort": "high", "summary": "detailed"})]).boxed(),
        ),
        (
            "text",
            schema()
                .prop_map(|s| json!({"format": {"type": "json_schema", "name": "n", "schema": s}}))
                .boxed(),
        ),
        ("truncation", Just(json!("auto")).boxed()),
        ("something_new", arguments().boxed()),
    ]);
    (top, turns(user, call, assistant))
        .prop_map(|(mut top, input)| {
            top.insert("model".to_owned(), json!("m"));
            top.insert("input".to_owned(), input.into());
            Value::Object(top)
        })
        .boxed()
}

fn anthropic() -> BoxedStrategy<Value> {
    let user = |text: String, picture| {
        let mut content = vec![json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}})];
        if picture {
            content.push(json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}));
        }
        vec![json!({"role": "user", "content": content})]
    };
    let call = |id: String, name: String, arguments: Value, result: String| {
        vec![
            json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}, {"type": "tool_use", "id": id, "name": name, "input": arguments}]}),
            json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": result, "is_error": true}]}),
        ]
    };
    let assistant = |text: String| vec![json!({"role": "assistant", "content": text})];
    let tool = |name, description, parameters| json!({"name": name, "description": description, "input_schema": parameters});
    let top = members(vec![
        ("system", words().prop_map(Value::from).boxed()),
        ("tools", tools(tool)),
        ("temperature", number()),
        ("top_k", (1..99_i64).prop_map(Value::from).boxed()),
        ("stop_sequences", proptest::collection::vec(words(), 1..3).prop_map(Value::from).boxed()),
        (
            "thinking",
            select(vec![
                json!({"type": "enabled", "budget_tokens": 2000}),
                json!({"type": "disabled"}),
                json!({"type": "adaptive"}),
            ])
            .boxed(),
        ),
        ("metadata", Just(json!({"user_id": "u"})).boxed()),
        ("container", words().prop_map(Value::from).boxed()),
        ("something_new", arguments().boxed()),
    ]);
    (top, turns(user, call, assistant), 3000..9000_i64)
        .prop_map(|(mut top, messages, limit)| {
            top.insert("model".to_owned(), json!("m"));
            top.insert("max_tokens".to_owned(), json!(limit));
            top.insert("messages".to_owned(), messages.into());
            Value::Object(top)
        })
        .boxed()
}

fn gemini() -> BoxedStrategy<Value> {
    let user = |text: String, picture| {
        let mut parts = vec![json!({"text": text})];
        if picture {
            parts.push(json!({"inlineData": {"mimeType": "image/png", "data": PNG}}));
        }
        vec![json!({"role": "user", "parts": parts})]
    };
    let call = |id: String, name: String, arguments: Value, result: String| {
        vec![
            json!({"role": "model", "parts": [{"text": "hm", "thought": true}, {"functionCall": {"id": id, "name": name, "args": arguments}, "thoughtSignature": "c2ln"}]}),
            json!({"role": "user", "parts": [{"functionResponse": {"id": id, "name": name, "response": {"output": result}}}]}),
        ]
    };
    let assistant = |text: String| vec![json!({"role": "model", "parts": [{"text": text}]})];
    let tool = |name, description, parameters| json!({"name": name, "description": description, "parametersJsonSchema": parameters});
    let config = members(vec![
        ("temperature", number()),
        ("topK", (1..99_i64).prop_map(Value::from).boxed()),
        ("maxOutputTokens", (1..9000_i64).prop_map(Value::from).boxed()),
        ("stopSequences", proptest::collection::vec(words(), 1..3).prop_map(Value::from).boxed()),
        (
            "thinkingConfig",
            select(vec![
                json!({"thinkingBudget": 2000}),
                json!({"thinkingBudget": -1, "includeThoughts": true}),
                json!({"thinkingLevel": "LOW"}),
            ])
            .boxed(),
        ),
        ("speechConfig", arguments().boxed()),
    ]);
    let top = members(vec![
        ("systemInstruction", words().prop_map(|text| json!({"parts": [{"text": text}]})).boxed()),
        ("tools", tools(tool).prop_map(|list| json!([{"functionDeclarations": list}])).boxed()),
        ("generationConfig", config.prop_map(Value::Object).boxed()),
        (
            "safetySettings",
            Just(json!([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}])).boxed(),
        ),
        ("somethingNew", arguments().boxed()),
    ]);
    (top, turns(user, call, assistant))
        .prop_map(|(mut top, contents)| {
            top.insert("contents".to_owned(), contents.into());
            Value::Object(top)
        })
        .boxed()
}

fn any_request() -> BoxedStrategy<(Dialect, Value)> {
    prop_oneof![
        chat().prop_map(|body| (Dialect::OpenaiChat, body)),
        responses().prop_map(|body| (Dialect::OpenaiResponses, body)),
        anthropic().prop_map(|body| (Dialect::Anthropic, body)),
        gemini().prop_map(|body| (Dialect::Gemini, body)),
    ]
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_read_and_written_in_its_dialect_is_the_same((dialect, body) in any_request()) {
        let request = parse_request(dialect, body.to_string().as_bytes()).unwrap();
        let mut losses = Losses::default();
        let again = render_request(dialect, &request, &target(&request, home(dialect)), &mut losses);
        prop_assert_eq!(losses.list(), "");
        prop_assert_eq!(identity::differences(&body, &again), []);
    }

    #[test]
    fn what_a_request_loses_elsewhere_is_told((dialect, body) in any_request()) {
        for (to, provider, name) in TARGETS.into_iter().filter(|(to, ..)| *to != dialect) {
            let failures = super::requests::failures_of(dialect, &body, (to, provider, name));
            prop_assert!(failures.is_empty(), "{} to {}: {:?}", dialect, name, failures);
        }
    }

    #[test]
    fn a_stream_is_the_same_however_it_is_cut(
        dialect in select(DIALECTS.to_vec()),
        cuts in proptest::collection::btree_set(0..4000_usize, 0..40),
    ) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let bytes = std::fs::read(path.join(dialect.as_str()).join("stream.sse")).unwrap();
        let mut pieces = Vec::new();
        let mut from = 0;
        for at in cuts.into_iter().filter(|at| *at < bytes.len()).chain([bytes.len()]) {
            pieces.push(&bytes[from..at]);
            from = at;
        }
        prop_assert_eq!(decode(dialect, Form::Sse, &pieces), decode(dialect, Form::Sse, &[&bytes]));
    }
}
