//! Requests: the same dialect comes back whole, and what comes from another is fitted in.

use serde_json::{Value, json};
use tollgate_filters::chat::*;
use tollgate_filters::exchange::Dialect;

use super::super::request::{parse, render};
use super::without_nulls;

fn again(body: &Value) -> (Value, String) {
    let request = parse(body.clone()).unwrap();
    let mut losses = Losses::default();
    let target = Target { stream: request.stream, ..Target::default() };
    let body = render(&request, &target, &mut losses);
    (body, losses.list())
}

#[test]
fn a_request_with_everything_comes_back_as_it_was() {
    let body = json!({
        "model": "gpt-5", "instructions": "Be brief.", "stream": true, "store": false,
        "input": [
            {"role": "developer", "content": [
                {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}]},
            {"type": "message", "role": "user", "status": "completed", "content": [
                {"type": "input_text", "text": "b"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
                {"type": "input_image", "file_id": "file-1"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"},
                {"type": "input_file", "file_url": "https://a.example/b.pdf"},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "input_novelty", "x": 1}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}],
             "content": [{"type": "reasoning_text", "text": "t"}], "encrypted_content": "gAAA", "status": "completed"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "commentary",
             "content": [
                {"type": "output_text", "text": "c", "annotations": [
                    {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 1}]},
                {"type": "refusal", "refusal": "no"}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}", "namespace": "n"},
            {"type": "custom_tool_call", "call_id": "call_2", "name": "g", "input": "free"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
            {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AAAA"},
            {"type": "computer_call", "id": "cu_1", "call_id": "call_3", "action": {"type": "wait"}},
            {"id": "msg_0", "type": "item_reference"},
            {"type": "function_call_output", "call_id": "call_1", "output": "text", "status": "completed"},
            {"type": "custom_tool_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "x"}]},
            {"type": "computer_call_output", "call_id": "call_3", "output": {"type": "computer_screenshot"}},
            {"role": "assistant", "content": "plain"},
            {"type": "mcp_approval_response", "approval_request_id": "a", "approve": true}],
        "tools": [
            {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": true, "defer_loading": true},
            {"type": "custom", "name": "g", "format": {"type": "text"}},
            {"type": "web_search", "search_context_size": "low"},
            {"type": "mcp", "server_label": "l", "server_url": "https://a.example"}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [
            {"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]},
        "reasoning": {"effort": "high", "summary": "auto", "context": "all_turns"},
        "text": {"verbosity": "low", "format": {
            "type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true, "x": 1}},
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs", "file_search_call.results"],
        "top_logprobs": 3, "max_output_tokens": 5, "temperature": 0.7, "truncation": "auto", "background": false,
        "previous_response_id": "resp_1", "conversation": {"id": "conv_1"}, "metadata": {"k": "v"},
        "prompt": {"id": "pmpt_1"}, "max_tool_calls": 2, "stream_options": {"include_obfuscation": false},
    });
    assert_eq!(again(&body), (body, String::new()));
}

#[test]
fn a_turn_of_the_assistant_is_one_message() {
    let request = parse(json!({"model": "m", "input": [
        {"role": "user", "content": "a"},
        {"type": "reasoning", "summary": [], "encrypted_content": "x"},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "r"},
        {"role": "assistant", "content": "b"},
    ]}))
    .unwrap();
    let turns: Vec<_> = request.messages.iter().map(|m| (m.role, m.at.as_str(), m.parts.len())).collect();
    let expected = [
        (Role::User, "/input/0", 1),
        (Role::Assistant, "/input/1", 2),
        (Role::User, "/input/3", 1),
        (Role::Assistant, "/input/4", 1),
    ];
    assert_eq!(turns, expected);
}

#[test]
fn a_wrong_type_is_named_by_its_place() {
    for (body, place) in [
        (json!({"input": 1}), "/input"),
        (json!({"input": [{"role": "tool", "content": "x"}]}), "/input/0/role"),
        (
            json!({"input": [{"type": "function_call", "call_id": "1", "name": "f", "arguments": {}}]}),
            "/input/0/arguments",
        ),
        (json!({"input": "x", "tools": [{"type": "function"}]}), "/tools/0/name"),
        (json!({"input": "x", "reasoning": {"effort": 3}}), "/reasoning/effort"),
    ] {
        let error = parse(body).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(place), "{}", error.message);
    }
}

#[test]
fn what_only_names_an_item_is_no_loss_elsewhere() {
    let request = parse(json!({"model": "m", "input": [
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "commentary",
         "content": [{"type": "output_text", "text": "a", "annotations": []}]},
    ], "include": ["reasoning.encrypted_content"], "truncation": "disabled"}))
    .unwrap();
    let part = &request.messages[0].parts[0];
    let mut losses = Losses::default();
    losses.extra(&part.at, &part.extra);
    losses.extra(&Pointer::ROOT, &request.extra);
    assert_eq!(losses.list(), "/input/0/phase");
    assert!(request.state.include.is_none());
}

fn foreign() -> Request {
    let mut request = Request::new(Dialect::Anthropic);
    request.model = Some("m".to_owned());
    let at = |text: &'static str| Pointer::of(text);
    request.messages = vec![
        Message::new(Role::System, vec![Part::text("Be brief.", at("/system"))], at("/system")),
        Message::new(Role::User, vec![Part::text("hi", at("/messages/0"))], at("/messages/0")),
    ];
    request
}

#[test]
fn a_request_of_another_dialect_keeps_no_state_and_asks_for_sealed_reasoning() {
    let mut request = foreign();
    request.thinking.budget = Some(At::new(10_000, Pointer::of("/thinking/budget_tokens")));
    request.thinking.mode = Some(At::new(ThinkingMode::On, Pointer::of("/thinking/type")));
    request.stop = Some(At::new(vec!["x".to_owned()], Pointer::of("/stop_sequences")));
    let kind = ToolKind::Function { name: "f".to_owned(), description: None, parameters: None, strict: None };
    request.tools.push(Tool { kind, at: Pointer::of("/tools/0"), cache: None, extra: Extra::new() });
    let mut losses = Losses::default();
    let body = render(&request, &Target { model: "gpt-5".to_owned(), ..Target::default() }, &mut losses);
    let expected = json!({
        "model": "gpt-5",
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": false}],
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": false,
        "include": ["reasoning.encrypted_content"],
    });
    assert_eq!(without_nulls(body), expected);
    assert_eq!(losses.list(), "/thinking/budget_tokens,/stop_sequences");
}

#[test]
fn instructions_in_several_places_stay_where_they_are() {
    let mut request = foreign();
    let at = Pointer::of("/messages/1");
    request.messages.push(Message::new(Role::Developer, vec![Part::text("later", at.clone())], at));
    let mut losses = Losses::default();
    let body = render(&request, &Target::default(), &mut losses);
    let roles: Vec<_> = body["input"].as_array().unwrap().iter().map(|item| &item["role"]).collect();
    assert_eq!(roles, ["system", "user", "developer"]);
    assert!(body.get("instructions").is_none() && losses.is_empty());
}

#[test]
fn reasoning_goes_back_only_to_its_maker() {
    let mut request = foreign();
    // The thinking itself, which OpenAI takes only as a summary.
    let thought = Thought { summary: false, text: "hm".to_owned() };
    let sealed = |maker| {
        let seal = Some(Seal { maker, data: "s".to_owned(), redacted: false });
        Content::Reasoning(Reasoning { id: None, thoughts: vec![thought.clone()], seal })
    };
    let parts = vec![
        Part::new(sealed(Maker::Openai), Pointer::of("/messages/1/content/0")),
        Part::new(sealed(Maker::Anthropic), Pointer::of("/messages/1/content/1")),
    ];
    request.messages.push(Message::new(Role::Assistant, parts, Pointer::of("/messages/1")));
    let mut losses = Losses::default();
    let body = render(&request, &Target::default(), &mut losses);
    let summary = json!([{"type": "summary_text", "text": "hm"}]);
    let item = json!({"type": "reasoning", "summary": summary, "encrypted_content": "s"});
    assert_eq!(body["input"].as_array().unwrap()[1..], [item]);
    let told: Vec<_> = losses.iter().map(|loss| (loss.at.as_str(), loss.why)).collect();
    assert_eq!(told, [("/messages/1/content/1", Why::Foreign)]);
}

#[test]
fn results_of_tools_and_media_are_fitted_in() {
    let mut request = foreign();
    let at = Pointer::of("/messages/1/content/0");
    let picture = |source| {
        let media = Media {
            kind: MediaKind::Image,
            source,
            mime: Some("image/png".to_owned()),
            name: None,
            detail: None,
        };
        Part::new(Content::Media(media), at.key("content").index(1))
    };
    let result = ToolResult {
        call: "toolu_1".to_owned(),
        parts: vec![
            Part::text("see", at.key("content").index(0)),
            picture(MediaSource::Base64("AAAA".to_owned())),
            picture(MediaSource::File("file_of_somebody_else".to_owned())),
        ],
        is_error: true,
        ..ToolResult::default()
    };
    let parts = vec![Part::new(Content::ToolResult(result), at.clone()), Part::text("and?", at.clone())];
    request.messages.push(Message::new(Role::User, parts, Pointer::of("/messages/1")));
    let mut losses = Losses::default();
    let body = render(&request, &Target::default(), &mut losses);
    let expected = json!([
        {"type": "function_call_output", "call_id": "toolu_1", "output": [
            {"type": "input_text", "text": "see"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "and?"}]},
    ]);
    assert_eq!(Value::from(body["input"].as_array().unwrap()[1..].to_vec()), expected);
    assert_eq!(losses.list(), "/messages/1/content/0/content/1,/messages/1/content/0/is_error");
}

#[test]
fn tools_that_come_with_an_item_are_tools_elsewhere() {
    let body = json!({"model": "m", "tools": [{"type": "function", "name": "f", "strict": false}], "input": [
        {"role": "user", "content": "a"},
        {"type": "additional_tools", "role": "developer", "tools": [
            {"type": "function", "name": "g", "strict": true}, {"type": "web_search"}]},
    ]});
    assert_eq!(again(&body), (body.clone(), String::new()));
    let tools = parse(body).unwrap().tools;
    let places: Vec<&str> = tools.iter().map(|tool| tool.at.as_str()).collect();
    assert_eq!(places, ["/tools/0", "/input/1/tools/0"]);
}

#[test]
fn of_another_providers_tool_only_what_has_no_place_is_named() {
    let raw = json!({"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a.example"], "max_uses": 3});
    let kind = ToolKind::Server { tool: ServerTool::WebSearch, raw };
    let mut request = Request::new(Dialect::Anthropic);
    request.tools.push(Tool { kind, at: Pointer::of("/tools/0"), cache: None, extra: Extra::new() });
    let mut losses = Losses::default();
    let body = render(&request, &Target::default(), &mut losses);
    let expected = json!([{"type": "web_search", "filters": {"allowed_domains": ["a.example"]}}]);
    assert_eq!((&body["tools"], losses.list().as_str()), (&expected, "/tools/0/max_uses"));
}

#[test]
fn what_another_dialect_takes_in_an_odd_form_is_fitted_in() {
    let raw = json!({"type": "web_search", "user_location": {"approximate": "Berlin"}});
    let kind = ToolKind::Server { tool: ServerTool::WebSearch, raw };
    let mut request = Request::new(Dialect::OpenaiChat);
    let at = Pointer::of("/web_search_options");
    request.tools.push(Tool { kind, at, cache: None, extra: Extra::new() });
    let schema = Schema { name: None, description: None, schema: Value::Null, strict: None };
    request.format = Some(At::new(Format::JsonSchema(schema), Pointer::of("/response_format")));
    let mut losses = Losses::default();
    let body = render(&request, &Target::default(), &mut losses);
    assert_eq!(body["tools"], json!([{"type": "web_search"}]));
    assert_eq!(losses.list(), "/web_search_options/user_location");
    assert_eq!(body["text"]["format"]["schema"], json!({}));
}

#[test]
fn a_part_whose_type_is_no_word_is_refused() {
    let content = json!([{"type": 7, "text": "x"}]);
    let body = json!({"model": "m", "input": [{"role": "assistant", "content": content}]});
    assert_eq!(parse(body).unwrap_err().param.as_deref(), Some("/input/0/content/0/type"));
}

#[test]
fn a_novel_part_of_an_assistants_message_stays_in_it() {
    let content = json!([{"type": "output_novelty", "x": 1}, {"type": "output_text", "text": "a"}, {"y": 2}]);
    let body = json!({"model": "m", "input": [
        {"role": "user", "content": "q"}, {"role": "assistant", "content": content, "phase": "commentary"}]});
    assert_eq!(again(&body), (body.clone(), String::new()));
}
