//! Requests of other dialects become what the API accepts, and what is wrong in one is named.

use serde_json::{Value, json};
use tollgate_filters::chat::{
    At, Cache, Content, Effort, Format, Losses, Maker, Media, MediaKind, MediaSource, Message, Part, Pointer,
    Reasoning, Request, Role, Rules, Schema, Seal, ServerTool, Target, Thinking, ThinkingMode, ThinkingStyle,
    Thought, Tool, ToolCall, ToolChoice, ToolKind, ToolResult, Why,
};
use tollgate_filters::exchange::Dialect;

use super::{parse, render};

fn at(text: &'static str) -> Pointer {
    Pointer::of(text)
}

#[allow(clippy::unnecessary_wraps)] // every field that is filled here is an option
fn placed<T>(value: T, place: &'static str) -> Option<At<T>> {
    Some(At::new(value, at(place)))
}

fn say(role: Role, text: &str) -> Message {
    Message::new(role, vec![Part::text(text, at("/m"))], at("/m"))
}

fn chat(messages: Vec<Message>) -> Request {
    Request { messages, ..Request::new(Dialect::OpenaiChat) }
}

fn rendered(request: &Request, rules: Rules) -> (Value, Losses) {
    let mut losses = Losses::default();
    let target = Target { model: "claude".to_owned(), rules, ..Target::default() };
    (render(request, &target, &mut losses), losses)
}

fn style(thinking: ThinkingStyle) -> Rules {
    Rules { thinking, max_output_tokens: None }
}

fn call(id: &str) -> Part {
    let call = ToolCall { id: id.to_owned(), name: "f".to_owned(), ..ToolCall::default() };
    Part::new(Content::ToolCall(call), at("/call"))
}

fn result(id: &str) -> Message {
    let result =
        ToolResult { call: id.to_owned(), parts: vec![Part::text("ok", at("/r"))], ..ToolResult::default() };
    Message::new(Role::User, vec![Part::new(Content::ToolResult(result), at("/r"))], at("/r"))
}

#[test]
fn turns_alternate_and_results_come_first() {
    let request = chat(vec![
        say(Role::System, "Be brief."),
        say(Role::Assistant, "Hello."),
        say(Role::User, "Look."),
        Message::new(Role::Assistant, vec![Part::text("", at("/e")), call("a:1"), call("b")], at("/c")),
        say(Role::User, "Well?"),
        result("a:1"),
        result("b"),
        say(Role::Developer, "Be kind."),
        say(Role::User, "And?"),
    ]);
    let (body, losses) = rendered(&request, Rules::default());
    let (a, b) = (json!({"type": "text", "text": "Be brief."}), json!({"type": "text", "text": "Be kind."}));
    assert_eq!(body["system"], json!([a, b]));
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": "."},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "Look."},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "a_1", "name": "f", "input": {}},
                {"type": "tool_use", "id": "b", "name": "f", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "a_1", "content": "ok"},
                {"type": "tool_result", "tool_use_id": "b", "content": "ok"},
                {"type": "text", "text": "Well?"},
                {"type": "text", "text": "And?"},
            ]},
        ])
    );
    assert_eq!(losses.list(), "/m"); // the later instruction has moved
}

#[test]
fn reasoning_of_another_maker_is_left_out_and_named() {
    let reasoning = |maker: Option<Maker>, place| {
        let seal = maker.map(|maker| Seal { maker, data: "s".to_owned(), redacted: false });
        let thoughts = vec![Thought { summary: false, text: "hm".to_owned() }];
        Part::new(Content::Reasoning(Reasoning { id: None, thoughts, seal }), at(place))
    };
    let parts = vec![
        reasoning(Some(Maker::Anthropic), "/1"),
        reasoning(Some(Maker::Gemini), "/2"),
        reasoning(None, "/3"),
        Part::text("So.", at("/4")),
    ];
    let request = chat(vec![say(Role::User, "?"), Message::new(Role::Assistant, parts, at("/0"))]);
    let (body, losses) = rendered(&request, Rules::default());
    let thinking = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
    assert_eq!(body["messages"][1]["content"], json!([thinking, {"type": "text", "text": "So."}]));
    let why: Vec<_> = losses.iter().map(|loss| (loss.at.as_str(), loss.why)).collect();
    assert_eq!(why, [("/2", Why::Foreign), ("/3", Why::Unsupported)]);
}

#[test]
fn thinking_is_said_in_the_words_of_the_model() {
    let effort = Thinking { effort: placed(Effort::Medium, "/effort"), ..Thinking::default() };
    let budget = Thinking {
        mode: placed(ThinkingMode::On, "/mode"),
        budget: placed(20_000, "/budget"),
        ..Thinking::default()
    };
    let off = Thinking { effort: placed(Effort::None, "/effort"), ..Thinking::default() };
    let adaptive = json!({"type": "adaptive"});
    let enabled = |budget: u64| json!({"type": "enabled", "budget_tokens": budget});
    let word = |word: &str| json!({"effort": word});
    let disabled = json!({"type": "disabled"});
    for (thinking, style_of, expected, config, lost) in [
        (&effort, ThinkingStyle::Adaptive, &adaptive, word("medium"), ""),
        (&effort, ThinkingStyle::Unknown, &adaptive, word("medium"), ""),
        (&effort, ThinkingStyle::Budget, &enabled(8192), Value::Null, "/effort"),
        (&effort, ThinkingStyle::None, &Value::Null, Value::Null, "/effort"),
        (&budget, ThinkingStyle::Adaptive, &adaptive, word("high"), "/budget"),
        (&budget, ThinkingStyle::Unknown, &enabled(20_000), Value::Null, ""),
        (&budget, ThinkingStyle::None, &Value::Null, Value::Null, "/mode,/budget"),
        (&off, ThinkingStyle::Adaptive, &disabled, Value::Null, ""),
        (&off, ThinkingStyle::None, &Value::Null, Value::Null, ""),
    ] {
        let request = Request { thinking: thinking.clone(), ..chat(vec![say(Role::User, "?")]) };
        let (body, losses) = rendered(&request, style(style_of));
        assert_eq!(&body["thinking"], expected, "{thinking:?} {style_of:?}");
        assert_eq!(body["output_config"], config, "{thinking:?} {style_of:?}");
        assert_eq!(losses.list(), lost, "{thinking:?} {style_of:?}");
        let budget = body["thinking"]["budget_tokens"].as_u64().unwrap_or_default();
        assert!(body["max_tokens"].as_u64().unwrap() > budget, "{body}");
    }
}

#[test]
fn a_budget_stays_below_the_limit_of_tokens() {
    let thinking = Thinking { budget: placed(5000, "/budget"), ..Thinking::default() };
    for (max, budget, lost) in
        [(8000, Some(5000), ""), (4000, Some(3000), "/budget"), (1000, None, "/budget")]
    {
        let request = Request {
            thinking: thinking.clone(),
            max_tokens: placed(max, "/max"),
            ..chat(vec![say(Role::User, "?")])
        };
        let (body, losses) = rendered(&request, style(ThinkingStyle::Budget));
        assert_eq!(body["thinking"]["budget_tokens"].as_u64(), budget);
        assert_eq!(losses.list(), lost);
    }
}

#[test]
fn what_the_provider_refuses_while_the_model_thinks_is_left_out() {
    let tool = ToolKind::Function { name: "f".to_owned(), description: None, parameters: None, strict: None };
    let tool = Tool { kind: tool, at: at("/tools/0"), cache: None, extra: serde_json::Map::new() };
    let mut request = Request {
        tools: vec![tool],
        tool_choice: placed(ToolChoice::Required, "/tool_choice"),
        parallel_tool_calls: placed(false, "/parallel"),
        temperature: placed(2.into(), "/temperature"),
        top_p: placed(serde_json::Number::from_f64(0.5).unwrap(), "/top_p"),
        ..chat(vec![say(Role::User, "?")])
    };
    let (body, losses) = rendered(&request, Rules::default());
    assert_eq!(body["tools"], json!([{"name": "f", "input_schema": {"type": "object"}}]));
    assert_eq!(body["tool_choice"], json!({"type": "any", "disable_parallel_tool_use": true}));
    assert_eq!((&body["temperature"], &body["top_p"]), (&json!(1), &Value::Null));
    assert_eq!(losses.list(), "/temperature,/top_p");
    request.thinking.budget = placed(2000, "/budget");
    let (body, losses) = rendered(&request, Rules::default());
    assert_eq!(body["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
    assert_eq!(body["temperature"], Value::Null);
    assert_eq!(losses.list(), "/tool_choice,/temperature,/top_p");
    assert!(losses.iter().all(|loss| loss.why == Why::Model));
}

#[test]
fn a_schema_becomes_one_that_the_provider_takes() {
    let schema = json!({"type": "object", "properties": {
        "age": {"type": "integer", "minimum": 0, "description": "years"},
        "pets": {"type": "array", "items": {"oneOf": [{"type": "object"}, {"type": "null"}]}},
    }});
    let schema = Schema { name: Some("person".to_owned()), schema, ..Schema::default() };
    let request = Request {
        format: placed(Format::JsonSchema(schema), "/response_format"),
        ..chat(vec![say(Role::User, "?")])
    };
    let (body, losses) = rendered(&request, Rules::default());
    let expected = json!({"type": "object", "additionalProperties": false, "properties": {
        "age": {"type": "integer", "description": "years\n\n{minimum: 0}"},
        "pets": {"type": "array", "items": {"anyOf": [
            {"type": "object", "additionalProperties": false}, {"type": "null"}]}},
    }});
    assert_eq!(body["output_config"]["format"], json!({"type": "json_schema", "schema": expected}));
    let place = "/response_format/json_schema/schema/properties";
    assert_eq!(losses.list(), format!("{place}/age/minimum,{place}/pets/items/oneOf"));
}

#[test]
fn media_go_as_what_the_api_reads() {
    use MediaKind::{Audio, Document, Image};
    let base64 = |data: &str| MediaSource::Base64(data.to_owned());
    let url = |url: &str| MediaSource::Url(url.to_owned());
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="});
    let png = json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0K"});
    let text = json!({"type": "text", "media_type": "text/plain", "data": "a,b"});
    let web = |url: &str| json!({"type": "url", "url": url});
    for (kind, source, mime, expected, lost) in [
        (Image, base64("iVBORw0K"), None, png, ""),
        (Image, base64("AAAA"), Some("image/tiff"), Value::Null, "/part"),
        (Image, url("https://a.example/x"), None, web("https://a.example/x"), ""),
        (Image, url("gs://bucket/x"), None, Value::Null, "/part"),
        (Document, base64("JVBERi0="), Some("application/pdf"), pdf, ""),
        (Document, base64("YSxi"), Some("text/csv"), text, "/part"),
        (Document, url("https://a.example/x.pdf"), None, web("https://a.example/x.pdf"), ""),
        (Document, url("https://a.example/x.docx"), Some("application/msword"), Value::Null, "/part"),
        (Document, MediaSource::File("file-1".to_owned()), None, Value::Null, "/part"),
        (Audio, base64("AAAA"), Some("audio/wav"), Value::Null, "/part"),
    ] {
        let media = Media { kind, source, mime: mime.map(str::to_owned), name: None, detail: None };
        let mut part = Part::new(Content::Media(media), at("/part"));
        part.cache = Some(Cache { raw: json!({"type": "ephemeral"}), at: at("/part/cache_control") });
        let message = Message::new(Role::User, vec![Part::text("?", at("/m")), part.clone()], at("/m"));
        let (body, losses) = rendered(&chat(vec![message]), Rules::default());
        assert_eq!(body["messages"][0]["content"][1]["source"], expected, "{part:?}");
        assert_eq!(losses.list(), lost, "{part:?}");
    }
}

#[test]
fn a_server_tool_becomes_the_providers_own() {
    let raw = json!({"type": "web_search", "search_context_size": "high",
        "filters": {"allowed_domains": ["a.example"]}, "user_location": {"type": "approximate", "city": "Bern"}});
    let kind = ToolKind::Server { tool: ServerTool::WebSearch, raw };
    let tool = Tool { kind, at: at("/tools/0"), cache: None, extra: serde_json::Map::new() };
    let request =
        Request { tools: vec![tool], source: Dialect::OpenaiResponses, ..chat(vec![say(Role::User, "?")]) };
    let (body, losses) = rendered(&request, Rules::default());
    let expected = json!([{"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a.example"],
        "user_location": {"type": "approximate", "city": "Bern"}}]);
    assert_eq!(body["tools"], expected);
    assert_eq!(losses.list(), "/tools/0/search_context_size");
}

#[test]
fn what_is_wrong_in_a_request_is_named() {
    for (body, place) in [
        (json!([]), ""),
        (json!({}), "/messages"),
        (json!({"messages": [{"role": "tool", "content": ""}]}), "/messages/0/role"),
        (json!({"messages": [{"role": "user"}]}), "/messages/0/content"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}),
            "/messages/0/content/0/text",
        ),
        (json!({"messages": [], "max_tokens": -1}), "/max_tokens"),
        (json!({"messages": [], "tools": [{"description": "d"}]}), "/tools/0/name"),
        (json!({"messages": [], "tool_choice": {"type": "tool"}}), "/tool_choice/name"),
        (json!({"messages": [], "thinking": "much"}), "/thinking"),
    ] {
        let error = parse(body).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(place), "{error}");
    }
}

#[test]
fn a_name_that_the_api_refuses_becomes_the_same_one_everywhere() {
    let mut request =
        chat(vec![say(Role::User, "Go."), Message::new(Role::Assistant, vec![call("a")], at("/c"))]);
    let Content::ToolCall(call) = &mut request.messages[1].parts[0].content else { panic!("a call") };
    call.name = "shop.find".to_owned();
    let kind = ToolKind::Function {
        name: "shop.find".to_owned(),
        description: None,
        parameters: None,
        strict: None,
    };
    request.tools = vec![Tool { kind, at: at("/tools/0"), cache: None, extra: serde_json::Map::new() }];
    request.tool_choice = placed(ToolChoice::Function("shop.find".to_owned()), "/tool_choice");
    let (body, losses) = rendered(&request, Rules::default());
    let name = &body["tools"][0]["name"];
    assert!(name.as_str().unwrap().starts_with("shop_find_"));
    assert_eq!((&body["tool_choice"]["name"], &body["messages"][1]["content"][0]["name"]), (name, name));
    assert_eq!(losses.list(), "/tools/0/function/name");
}
