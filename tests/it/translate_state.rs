//! What is remembered between requests that are translated: responses, and reasoning that a client cannot send back;
//! and what stands beside conversations: counts, embeddings, lists of models, older completions.

use serde_json::{Value, json};

use crate::support::{Answer, Gateway, Provider, Reply, eventually};

const JSON: (&str, &str) = ("content-type", "application/json");

/// A chat provider that says how many messages it was sent.
fn counting() -> Provider {
    Provider::start(|request| {
        let messages = request.json()["messages"].as_array().map_or(0, Vec::len);
        let text = format!("You sent {messages}.");
        if request.json()["stream"] == json!(true) {
            return Reply::sse(&format!(
                "data: {{\"id\":\"c\",\"model\":\"m-1\",\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"{text}\"}}}}]}}\n\n\
                 data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n"
            ));
        }
        Reply::json(
            200,
            &json!({
                "id": "chatcmpl-1", "model": "m-1",
                "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
                "usage": { "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13 },
            })
            .to_string(),
        )
    })
}

fn chat_table(provider: &Provider) -> String {
    format!("{}dialects = ['openai_chat']\n", provider.table("chat"))
}

fn respond(gateway: &Gateway, key: &str, body: &Value) -> Answer {
    let key = format!("Bearer {key}");
    let headers = [JSON, ("authorization", &key)];
    gateway.client().call("POST", "/v1/responses", &headers, body.to_string().as_bytes())
}

fn get(gateway: &Gateway, key: &str, path: &str) -> Answer {
    let key = format!("Bearer {key}");
    gateway.client().call("GET", path, &[("authorization", &key)], b"")
}

fn text(answer: &Value) -> &str {
    answer["output"][0]["content"][0]["text"].as_str().unwrap_or_default()
}

const KEYS: &str = "[[keys]]\nname = 'a'\nkey = 'tg-of-acme-01234567'\norg = 'acme'\n\
                    [[keys]]\nname = 'b'\nkey = 'tg-of-other-0123456'\norg = 'other'\n";
const ACME: &str = "tg-of-acme-01234567";
const OTHER: &str = "tg-of-other-0123456";

#[test]
fn a_conversation_goes_on_by_the_id_of_its_last_response_with_a_provider_that_keeps_none() {
    let provider = counting();
    let gateway = Gateway::start(&format!("{}{KEYS}", chat_table(&provider)));
    let first = respond(&gateway, ACME, &json!({ "model": "chat/m", "input": "One" }));
    assert_eq!(first.status, 200, "{}", first.text());
    let first = first.json();
    assert_eq!(text(&first), "You sent 1.");
    let id = first["id"].as_str().unwrap();
    let second = json!({ "model": "chat/m", "input": "Two", "previous_response_id": id, "stream": true });
    let second = respond(&gateway, ACME, &second);
    let events = crate::support::dialect::events(&second.text());
    let last: Value = serde_json::from_str(&events.last().unwrap().data).unwrap();
    assert_eq!(text(&last["response"]), "You sent 3.", "{}", second.text());
    assert_eq!(last["response"]["previous_response_id"], json!(id));
    let sent = provider.last().json();
    let said: Vec<_> = sent["messages"].as_array().unwrap().iter().map(|m| m["content"].clone()).collect();
    assert_eq!(said, ["One", "You sent 1.", "Two"]);
    let id = last["response"]["id"].as_str().unwrap().to_owned();

    // A restart forgets nothing.
    let gateway = Gateway::start_in(gateway.stop(), &format!("{}{KEYS}", chat_table(&provider)), &[]);
    let third = json!({ "model": "chat/m", "input": [{ "role": "user", "content": "Three" }], "previous_response_id": id });
    let third = respond(&gateway, ACME, &third).json();
    assert_eq!(text(&third), "You sent 5.");
    let got = get(&gateway, ACME, &format!("/v1/responses/{id}")).json();
    assert_eq!(got, last["response"], "what is got is what was streamed");
    let items = get(&gateway, ACME, &format!("/v1/responses/{id}/input_items")).json();
    assert_eq!(items["data"][0]["content"][0]["text"], json!("Two"), "{items}");

    // Another organisation's ids do not exist.
    for path in [format!("/v1/responses/{id}"), format!("/v1/responses/{id}/input_items")] {
        assert_eq!(get(&gateway, OTHER, &path).status, 404);
    }
    let stolen =
        respond(&gateway, OTHER, &json!({ "model": "chat/m", "input": "x", "previous_response_id": id }));
    assert_eq!(
        (stolen.status, &stolen.json()["error"]["code"]),
        (400, &json!("previous_response_not_found"))
    );
    let key = format!("Bearer {OTHER}");
    let delete = |key: &str| {
        gateway.client().call("DELETE", &format!("/v1/responses/{id}"), &[("authorization", key)], b"")
    };
    assert_eq!(delete(&key).status, 404);
    let gone = delete(&format!("Bearer {ACME}"));
    assert_eq!(gone.json(), json!({ "id": id, "object": "response", "deleted": true }));
    assert_eq!(get(&gateway, ACME, &format!("/v1/responses/{id}")).status, 404);
    assert_eq!(provider.seen().len(), 3, "nobody else was asked");
}

#[test]
fn what_is_not_to_be_stored_is_not_and_says_so() {
    let provider = counting();
    let gateway = Gateway::start(&chat_table(&provider));
    let body = json!({ "model": "chat/m", "input": "x", "store": false });
    let answer = respond(&gateway, "any", &body).json();
    let id = answer["id"].as_str().unwrap();
    assert_eq!(answer["store"], json!(false));
    assert_eq!(get(&gateway, "any", &format!("/v1/responses/{id}")).status, 404);
    let on =
        respond(&gateway, "any", &json!({ "model": "chat/m", "input": "x", "previous_response_id": id }));
    assert_eq!((on.status, &on.json()["error"]["param"]), (400, &json!("previous_response_id")));
}

#[test]
fn a_provider_that_speaks_responses_but_keeps_none_is_passed_through_and_kept_for() {
    let answer = r#"{"id":"resp_x","object":"response","model":"m-1","status":"completed","output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Yes.","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}"#;
    let provider = Provider::start(move |_| Reply::json(200, answer));
    let table = format!(
        "{}dialects = ['openai_responses']\nquirks = {{ stateless_responses = true }}\n",
        provider.table("groq2")
    );
    let gateway = Gateway::start(&table);
    let first = respond(&gateway, "any", &json!({ "model": "groq2/m", "input": "One" }));
    assert_eq!(first.text(), answer, "byte for byte");
    assert_eq!(gateway.rows_of(first.id(), 1)[0]["translated_to"], Value::Null);
    assert_eq!(
        get(&gateway, "any", "/v1/responses/resp_x").json(),
        serde_json::from_str::<Value>(answer).unwrap()
    );
    let second = json!({ "model": "groq2/m", "input": "Two", "previous_response_id": "resp_x" });
    assert_eq!(respond(&gateway, "any", &second).status, 200);
    let sent = provider.last().json();
    assert_eq!(sent["previous_response_id"], Value::Null);
    let input = sent["input"].as_array().unwrap();
    assert_eq!((input.len(), &input[1]["content"][0]["text"]), (3, &json!("Yes.")), "{sent}");
}

/// An Anthropic provider that thinks, calls a tool, and refuses a tool loop without its thinking.
fn thinking() -> Provider {
    Provider::start(|request| {
        let request = request.json();
        let messages = request["messages"].as_array().unwrap().clone();
        let turns = messages.iter().filter(|m| m["role"] == "assistant");
        for (turn, message) in turns.enumerate() {
            let first = &message["content"][0];
            let signed = first["type"] == "thinking" && first["signature"] == json!(format!("sig-{turn}"));
            if !signed {
                let error = r#"{"type":"error","error":{"type":"invalid_request_error","message":"Expected `thinking`, but found `tool_use`."}}"#;
                return Reply::json(400, error);
            }
        }
        let turn = messages.iter().filter(|m| m["role"] == "assistant").count();
        let (content, stop) = if turn < 2 {
            let call = json!({ "type": "tool_use", "id": format!("toolu_{turn}"), "name": "look", "input": { "at": turn } });
            (
                json!([{ "type": "thinking", "thinking": format!("Hm {turn}."), "signature": format!("sig-{turn}") }, call]),
                "tool_use",
            )
        } else {
            (json!([{ "type": "text", "text": "Done." }]), "end_turn")
        };
        Reply::json(
            200,
            &json!({
                "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": content,
                "stop_reason": stop, "stop_sequence": null, "usage": { "input_tokens": 5, "output_tokens": 5 },
            })
            .to_string(),
        )
    })
}

/// Three turns of a tool loop by a chat client that sends back nothing of what was thought.
fn loop_of_three(gateway: &Gateway, key: &str) -> Answer {
    let mut messages = vec![json!({ "role": "user", "content": "Look twice." })];
    let key = format!("Bearer {key}");
    loop {
        let body = json!({
            "model": "messages/m", "messages": messages, "reasoning_effort": "low",
            "tools": [{ "type": "function", "function": { "name": "look", "parameters": { "type": "object" } } }],
        });
        let headers = [JSON, ("authorization", key.as_str())];
        let answer =
            gateway.client().call("POST", "/v1/chat/completions", &headers, body.to_string().as_bytes());
        let message = answer.json()["choices"][0]["message"].clone();
        let Some(calls) = message["tool_calls"].as_array() else { return answer };
        messages.push(json!({ "role": "assistant", "content": null, "tool_calls": calls }));
        messages.extend(
            calls
                .iter()
                .map(|call| json!({ "role": "tool", "tool_call_id": call["id"], "content": "Nothing." })),
        );
    }
}

#[test]
fn thinking_comes_back_in_a_tool_loop_of_a_client_that_cannot_send_it() {
    let provider = thinking();
    let table = format!("{}dialects = ['anthropic']\n{KEYS}", provider.table("messages"));
    let gateway = Gateway::start(&table);
    let answer = loop_of_three(&gateway, ACME);
    assert_eq!(answer.json()["choices"][0]["message"]["content"], json!("Done."), "{}", answer.text());
    assert_eq!(provider.seen().len(), 3);
    assert!(gateway.metric("tollgate_reasoning_memory_entries") >= 2.0);
    // What one organisation's model thought is not for another.
    let last = provider.last().body;
    let key = format!("Bearer {OTHER}");
    let mut chat: Value = serde_json::from_slice(&last).unwrap();
    assert_eq!(chat["messages"][1]["content"][0]["signature"], json!("sig-0"));
    chat = json!({
        "model": "messages/m", "reasoning_effort": "low",
        "messages": [
            { "role": "user", "content": "Look twice." },
            { "role": "assistant", "content": null, "tool_calls": [{ "id": "toolu_0", "type": "function", "function": { "name": "look", "arguments": "{\"at\":0}" } }] },
            { "role": "tool", "tool_call_id": "toolu_0", "content": "Nothing." },
        ],
    });
    let headers = [JSON, ("authorization", key.as_str())];
    let stolen = gateway.client().call("POST", "/v1/chat/completions", &headers, chat.to_string().as_bytes());
    let sent = provider.last().json();
    assert_eq!(sent["messages"][1]["content"][0]["type"], json!("tool_use"), "{sent}");
    assert_eq!(
        sent["thinking"],
        Value::Null,
        "it would refuse to think on without what it thought before: {sent}"
    );
    assert!(stolen.header("x-tollgate-lossy").is_none_or(|lost| lost.contains("/reasoning_effort")));
}

#[test]
fn tokens_are_counted_by_the_provider_where_it_counts_and_here_where_not() {
    let gemini = Provider::start(|_| Reply::json(200, r#"{"totalTokens":42}"#));
    let chat = counting();
    let gateway =
        Gateway::start(&format!("{}dialects = ['gemini']\n{}", gemini.table("generate"), chat_table(&chat)));
    let headers = [JSON, ("anthropic-version", "2023-06-01")];
    let count = |model: &str| {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "Hello, world" }] });
        gateway.client().call("POST", "/v1/messages/count_tokens", &headers, body.to_string().as_bytes())
    };
    let asked = count("generate/m");
    assert_eq!((asked.json(), asked.header("x-tollgate-estimate")), (json!({ "input_tokens": 42 }), None));
    assert_eq!(gemini.last().target, "/v1beta/models/m:countTokens");
    let here = count("chat/m");
    assert_eq!((here.status, here.header("x-tollgate-estimate")), (200, Some("true")), "{}", here.text());
    let tokens = here.json()["input_tokens"].as_u64().unwrap();
    assert!((3..20).contains(&tokens), "{tokens}");
    assert!(chat.seen().is_empty(), "nobody is asked");
    let path = "/v1beta/models/chat%2Fm:countTokens";
    let gemini_client = gateway.client().post(path, r#"{"contents":[{"parts":[{"text":"Hello, world"}]}]}"#);
    assert!(gemini_client.json()["totalTokens"].is_u64(), "{}", gemini_client.text());
    let responses =
        gateway.client().post("/v1/responses/input_tokens", r#"{"model":"chat/m","input":"Hello, world"}"#);
    assert_eq!(responses.json()["object"], json!("response.input_tokens"), "{}", responses.text());
}

#[test]
fn embeddings_are_had_from_a_provider_of_the_other_form() {
    let gemini = Provider::start(|request| {
        let vectors = request.json()["requests"].as_array().map_or(1, Vec::len);
        let values = json!({ "values": [0.25, -0.5] });
        let body = if request.target.ends_with(":batchEmbedContents") {
            json!({ "embeddings": vec![values; vectors] })
        } else {
            json!({ "embedding": values })
        };
        Reply::json(200, &body.to_string())
    });
    let openai = Provider::start(|_| {
        Reply::json(
            200,
            r#"{"object":"list","model":"e-1","data":[{"object":"embedding","index":0,"embedding":[0.25,-0.5]}],"usage":{"prompt_tokens":2,"total_tokens":2}}"#,
        )
    });
    let gateway = Gateway::start(&format!(
        "{}dialects = ['gemini']\n{}",
        gemini.table("generate"),
        chat_table(&openai)
    ));
    let answer =
        gateway.client().post("/v1/embeddings", r#"{"model":"generate/e","input":["a","b"],"dimensions":2}"#);
    let body = answer.json();
    assert_eq!(body["data"][1]["embedding"], json!([0.25, -0.5]), "{body}");
    assert!(body["usage"]["prompt_tokens"].as_u64().unwrap() > 0, "{body}");
    assert_eq!(gemini.last().target, "/v1beta/models/e:batchEmbedContents");
    assert_eq!(gemini.last().json()["requests"][0]["outputDimensionality"], json!(2));
    let answer = gateway.client().post(
        "/v1beta/models/chat%2Fe:embedContent",
        r#"{"content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_QUERY"}"#,
    );
    assert_eq!(answer.json()["embedding"]["values"], json!([0.25, -0.5]), "{}", answer.text());
    assert_eq!(answer.header("x-tollgate-lossy"), Some("/taskType"));
    assert_eq!(openai.last().target, "/v1/embeddings");
}

#[test]
fn lists_of_models_show_what_the_key_permits_in_each_dialect() {
    let provider = counting();
    let conf = format!(
        "{}{}dialects = ['gemini']\n[models.fast]\ntargets = [{{ provider = 'gemini', model = 'gemini-2.5-flash' }}]\n\
         [[keys]]\nname = 'few'\nkey = 'tg-for-few-0123456'\nmodels = ['fast', 'gpt-5-mini']\n",
        provider.table("openai"),
        provider.table("gemini"),
    );
    let gateway = Gateway::start(&conf);
    let few = get(&gateway, "tg-for-few-0123456", "/v1/models").json();
    let mut ids: Vec<_> = few["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["fast", "gpt-5-mini"], "{few}");
    let mini = few["data"].as_array().unwrap().iter().find(|m| m["id"] == "gpt-5-mini").unwrap();
    assert!(mini["context_length"].as_u64().unwrap() > 100_000, "{mini}");
    let one = get(&gateway, "tg-for-few-0123456", "/v1/models/gpt-5-mini");
    assert_eq!(one.json()["owned_by"], json!("openai"), "{}", one.text());
    assert_eq!(get(&gateway, "tg-for-few-0123456", "/v1/models/gpt-5").status, 404);
    let gemini = gateway.client().call(
        "GET",
        "/v1beta/models?pageSize=1",
        &[("x-goog-api-key", "tg-for-few-0123456")],
        b"",
    );
    assert!(gemini.json()["models"][0]["inputTokenLimit"].is_u64(), "{}", gemini.text());
    let headers = [("x-api-key", "tg-for-few-0123456"), ("anthropic-version", "2023-06-01")];
    let anthropic = gateway.client().call("GET", "/v1/models", &headers, b"").json();
    assert_eq!((&anthropic["data"][0]["type"], &anthropic["has_more"]), (&json!("model"), &json!(false)));
    assert!(provider.seen().is_empty());
    // Behind its prefix, a provider lists its own.
    get(&gateway, "tg-for-few-0123456", "/openai/v1/models");
    eventually("the provider to be asked", || provider.seen().pop());
}

#[test]
fn older_completions_are_had_from_a_provider_that_has_only_chat() {
    let provider = counting();
    let gateway = Gateway::start(&format!("{}completions = false\n", chat_table(&provider)));
    let body = r#"{"model":"chat/m","prompt":"Say it","max_tokens":9,"suffix":"!"}"#;
    let answer = gateway.client().post("/v1/completions", body);
    let completion = answer.json();
    assert_eq!(
        (&completion["object"], &completion["choices"][0]["text"]),
        (&json!("text_completion"), &json!("You sent 1."))
    );
    assert_eq!(answer.header("x-tollgate-lossy"), Some("/suffix"));
    let stream =
        gateway.client().post("/v1/completions", r#"{"model":"chat/m","prompt":"Say it","stream":true}"#);
    let events = crate::support::dialect::events(&stream.text());
    assert_eq!(events.last().unwrap().data, "[DONE]");
    let first: Value = serde_json::from_str(&events[0].data).unwrap();
    assert_eq!(first["choices"][0]["text"], json!("You sent 1."), "{}", stream.text());
    // Where the provider has them, they pass as they are.
    let has = Gateway::start(&chat_table(&provider));
    has.client().post("/v1/completions", body);
    assert_eq!(provider.last().target, "/v1/completions");
}
