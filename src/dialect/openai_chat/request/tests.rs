//! Chat requests, there and back, and out of conversations that came from elsewhere.

use serde_json::{Value, json};
use tollgate_filters::chat::*;
use tollgate_filters::exchange::Dialect;

use super::{parse, render};

fn openai() -> Quirks {
    Quirks {
        max_tokens: MaxTokensField::MaxCompletionTokens,
        developer_role: true,
        openai_params: true,
        files: true,
        audio: true,
        ..Quirks::default()
    }
}

fn mistral() -> Quirks {
    Quirks {
        tool_call_ids: ToolCallIds::Nine,
        reasoning: ReasoningField::Parts,
        mistral: true,
        strict_order: true,
        files: true,
        audio: true,
        ..Quirks::default()
    }
}

fn openrouter() -> Quirks {
    Quirks {
        reasoning: ReasoningField::Details,
        reasoning_param: ReasoningParam::Object,
        sampling: true,
        cache_control: true,
        ..Quirks::default()
    }
}

/// What a request becomes for a target, and what it loses.
fn rendered(request: &Request, quirks: Quirks) -> (Value, String) {
    let target = Target { model: "m".to_owned(), stream: request.stream, quirks, ..Target::default() };
    let mut losses = Losses::default();
    let body = render(request, &target, &mut losses);
    (body, losses.list())
}

/// A conversation that came in another dialect.
fn foreign(messages: Vec<Message>) -> Request {
    let mut request = Request::new(Dialect::Anthropic);
    request.messages = messages;
    request
}

fn at(text: &'static str) -> Pointer {
    Pointer::of(text)
}

#[test]
fn what_is_read_is_written_again() {
    let body = json!({
        "model": "m",
        "messages": [
            {"role": "developer", "content": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "Look.", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low", "x": 1}},
                {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "mp3"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,CCCC"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "video_url", "video_url": {"url": "https://a.example/v.mp4"}},
                {"type": "reference", "reference_ids": [1]}
            ]},
            {"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"a": 1}},
                {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "free"}}
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "1"},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "2"}, {"type": "text", "text": "3"}]},
            {"role": "assistant", "content": null, "function_call": {"name": "old", "arguments": "{}"}},
            {"role": "function", "name": "old", "content": "4"},
            {"role": "assistant", "refusal": "No.", "audio": {"id": "audio_1"}, "prefix": true},
            {"role": "assistant", "content": "x", "reasoning_details": [
                {"type": "reasoning.summary", "summary": "S", "format": "openai-responses-v1", "index": 0},
                {"type": "reasoning.encrypted", "data": "D", "id": "rs_1", "format": "openai-responses-v1", "index": 0},
                {"type": "reasoning.encrypted", "data": "X", "format": "xai-responses-v1", "index": 1}
            ]}
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": true}, "cache_control": {"type": "ephemeral"}},
            {"type": "custom", "custom": {"name": "g", "format": {"type": "text"}}},
            {"type": "openrouter:web_search", "parameters": {"max_uses": 1}}
        ],
        "functions": [{"name": "old", "parameters": {"type": "object"}}],
        "web_search_options": {"search_context_size": "low"},
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
            {"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "g"}}
        ]}},
        "parallel_tool_calls": false,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": true}},
        "reasoning": {"effort": "high", "exclude": true, "summary": "auto", "generate": 1},
        "reasoning_effort": "low",
        "max_tokens": 5, "max_completion_tokens": 6, "random_seed": 7, "n": 2, "stop": ["a"], "logprobs": true, "top_logprobs": 3,
        "stream": true, "stream_options": {"include_usage": true, "include_obfuscation": false},
        "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"},
        "logit_bias": {"1": 2}, "provider": {"order": ["a"]}, "safe_prompt": true
    });
    let request = parse(body.clone()).unwrap();
    let (mut back, losses) = rendered(&request, openai());
    // A format is written only where a seal says whose it is; and the summary is sealed by what follows it.
    assert_eq!(back["messages"][8]["reasoning_details"][0]["format"], "openai-responses-v1");
    if let Value::Object(object) = &mut back {
        object.sort_keys();
    }
    let mut body = body;
    body.sort_all_objects();
    back.sort_all_objects();
    assert_eq!(back["messages"][5].as_object_mut().unwrap().remove("content"), Some(Value::Null));
    body["messages"][5].as_object_mut().unwrap().remove("content");
    back["messages"][7].as_object_mut().unwrap().remove("content");
    assert_eq!(back, body);
    assert_eq!(losses, "");
}

#[test]
fn results_of_tools_come_first_and_their_pictures_after_them() {
    let picture = Media {
        kind: MediaKind::Image,
        source: MediaSource::Base64("AAAA".to_owned()),
        mime: Some("image/png".to_owned()),
        name: None,
        detail: None,
    };
    let result =
        |id: &str, part| ToolResult { call: id.to_owned(), parts: vec![part], ..ToolResult::default() };
    let call = |id: &str| {
        let call = ToolCall { id: id.to_owned(), name: "f".to_owned(), ..ToolCall::default() };
        Part::new(Content::ToolCall(call), at("/messages/0/content/0"))
    };
    let request = foreign(vec![
        Message::new(Role::Assistant, vec![call("toolu_1")], at("/messages/0")),
        Message::new(Role::Assistant, vec![call("toolu_2")], at("/messages/1")),
        Message::new(
            Role::User,
            vec![
                Part::new(
                    Content::ToolResult(result("toolu_1", Part::new(Content::Media(picture), at("/p")))),
                    at("/r1"),
                ),
                Part::new(
                    Content::ToolResult(ToolResult {
                        is_error: true,
                        ..result("toolu_2", Part::text("bad", at("/q")))
                    }),
                    at("/r2"),
                ),
                Part::text("And?", at("/t")),
            ],
            at("/messages/2"),
        ),
    ]);
    let (body, losses) = rendered(&request, openai());
    let messages = body["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages.iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["assistant", "tool", "tool", "user"]);
    assert_eq!(messages[0]["tool_calls"].as_array().unwrap().len(), 2);
    assert_eq!(messages[0]["tool_calls"][0]["function"]["arguments"], "{}");
    assert_eq!(messages[2]["content"], "bad");
    assert_eq!(messages[3]["content"][0]["type"], "image_url");
    assert_eq!(messages[3]["content"][1]["text"], "And?");
    assert_eq!(losses, "/p,/r2/is_error");

    // Mistral: ids of nine, the same in call and result, and no user directly after a tool.
    let (body, _) = rendered(&request, mistral());
    let messages = body["messages"].as_array().unwrap();
    let id = messages[0]["tool_calls"][0]["id"].as_str().unwrap();
    assert_eq!((id.len(), messages[1]["tool_call_id"].as_str()), (9, Some(id)));
    assert_eq!(messages[1]["name"], "f");
    assert_eq!((&messages[3]["role"], &messages[4]["role"]), (&json!("assistant"), &json!("user")));
}

#[test]
fn what_a_target_does_not_know_is_reported() {
    let mut request =
        foreign(vec![Message::new(Role::User, vec![Part::text("Hi", at("/t"))], at("/messages/0"))]);
    request.top_k = Some(At::new(40.into(), at("/top_k")));
    request.user = Some(At::new("u".to_owned(), at("/metadata/user_id")));
    request.store = Some(At::new(true, at("/store")));
    request.extra.insert("container".to_owned(), json!("c"));
    request.max_tokens = Some(At::new(9, at("/max_tokens")));
    request.tools.push(Tool {
        kind: ToolKind::Server { tool: ServerTool::CodeExecution, raw: json!({}) },
        at: at("/tools/0"),
        cache: None,
        extra: Extra::new(),
    });
    request.tool_choice = Some(At::new(ToolChoice::Auto, at("/tool_choice")));
    let (body, losses) = rendered(&request, openai());
    assert_eq!(
        body,
        json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}],
        "max_completion_tokens": 9, "user": "u", "store": true})
    );
    assert_eq!(losses, "/tools/0,/top_k,/container");
    let (body, losses) = rendered(&request, mistral());
    assert_eq!(body["max_tokens"], 9);
    assert_eq!(losses, "/tools/0,/top_k,/metadata/user_id,/store,/container");
}

#[test]
fn sealed_reasoning_goes_only_where_it_can_be_read() {
    let seal = Seal { maker: Maker::Anthropic, data: "sig".to_owned(), redacted: false };
    let thoughts = vec![Thought { summary: false, text: "Hm.".to_owned() }];
    let reasoning = Reasoning { id: None, thoughts: thoughts.clone(), seal: Some(seal) };
    let bare = Reasoning { id: None, thoughts, seal: None };
    let turn = |reasoning| {
        let parts = vec![Part::new(Content::Reasoning(reasoning), at("/think")), Part::text("So.", at("/t"))];
        foreign(vec![Message::new(Role::Assistant, parts, at("/messages/0"))])
    };
    let (body, losses) = rendered(&turn(reasoning.clone()), openrouter());
    let detail = json!({"type": "reasoning.text", "text": "Hm.", "signature": "sig", "format": "anthropic-claude-v1", "index": 0});
    assert_eq!(body["messages"][0]["reasoning_details"], json!([detail]));
    assert_eq!(losses, "");
    let (body, losses) = rendered(&turn(reasoning), mistral());
    assert_eq!((&body["messages"][0]["content"], losses.as_str()), (&json!("So."), "/think"));
    let (body, losses) = rendered(&turn(bare), mistral());
    assert_eq!(body["messages"][0]["content"][0]["thinking"][0]["text"], "Hm.");
    assert_eq!(losses, "");
}

#[test]
fn how_much_to_think_is_said_in_the_targets_words() {
    let mut request = foreign(Vec::new());
    request.thinking.mode = Some(At::new(ThinkingMode::On, at("/thinking/type")));
    request.thinking.budget = Some(At::new(10_000, at("/thinking/budget_tokens")));
    let (body, losses) = rendered(&request, openai());
    assert_eq!((&body["reasoning_effort"], losses.as_str()), (&json!("medium"), "/thinking/budget_tokens"));
    let (body, losses) = rendered(&request, openrouter());
    assert_eq!((&body["reasoning"], losses.as_str()), (&json!({"max_tokens": 10_000}), ""));
    request.thinking = Thinking { effort: Some(At::new(Effort::High, at("/e"))), ..Thinking::default() };
    let (body, losses) = rendered(&request, openai());
    assert_eq!((&body["reasoning_effort"], losses.as_str()), (&json!("high"), ""));
    request.thinking.mode = Some(At::new(ThinkingMode::Off, at("/m")));
    assert_eq!(rendered(&request, openai()).0["reasoning_effort"], "none");
}

#[test]
fn reasoning_under_two_names_is_read_once_unless_it_differs() {
    let details = json!([{"type": "reasoning.text", "text": "Hm. So."}]);
    let message =
        |text| json!({"role": "assistant", "content": "x", "reasoning": text, "reasoning_details": details});
    let request = parse(json!({"messages": [message("Hm.\n\nSo."), message("Else.")]})).unwrap();
    assert!(request.messages[0].extra.is_empty());
    assert_eq!(request.messages[1].extra["reasoning"], "Else.");
    assert!(request.messages.iter().all(|message| message.parts.len() == 2));
}

#[test]
fn a_wrong_type_is_named() {
    let wrong = |body: Value| parse(body).unwrap_err().param.unwrap().into_owned();
    assert_eq!(wrong(json!({"messages": "x"})), "/messages");
    assert_eq!(wrong(json!({})), "/messages");
    assert_eq!(wrong(json!({"messages": [{"role": "bot"}]})), "/messages/0/role");
    assert_eq!(wrong(json!({"messages": [{"role": "user", "content": 1}]})), "/messages/0/content");
    assert_eq!(wrong(json!({"messages": [], "temperature": "hot"})), "/temperature");
    assert_eq!(wrong(json!({"messages": [], "tools": [{"type": "function"}]})), "/tools/0/function");
    let part = json!({"type": "image_url"});
    assert_eq!(
        wrong(json!({"messages": [{"role": "user", "content": [part]}]})),
        "/messages/0/content/0/image_url"
    );
}

#[test]
fn what_is_no_url_is_not_sent_as_the_content_of_a_file() {
    let content = json!([{"type": "text", "text": "a"}, {"type": "document_url", "document_url": "a.pdf"}]);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": content}]});
    let (body, losses) = rendered(&parse(body).unwrap(), Quirks { files: true, ..Quirks::default() });
    assert!(!body.to_string().contains("a.pdf"));
    assert_eq!(losses, "/messages/0/content/1");
}
