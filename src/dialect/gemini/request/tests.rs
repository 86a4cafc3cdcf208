//! What is restored of a Gemini request, and what becomes of others'.

use serde_json::{Value, json};
use tollgate_filters::chat::{
    At, Content, Effort, Format, Losses, Maker, Message, Part, Pointer, Reasoning, Request, Role, Schema,
    Seal, Target, Thinking, ThinkingMode, Thought, Tool, ToolCall, ToolChoice, ToolKind, ToolResult,
};
use tollgate_filters::exchange::Dialect;

use super::{parse, render};

fn rendered(request: &Request) -> (Value, Vec<String>) {
    let mut losses = Losses::default();
    let body = render(request, &Target::default(), &mut losses);
    (body, losses.iter().map(|loss| loss.at.to_string()).collect())
}

fn chat(messages: Vec<Message>) -> Request {
    Request { messages, ..Request::new(Dialect::OpenaiChat) }
}

fn message(role: Role, i: usize, contents: Vec<Content>) -> Message {
    let at = Pointer::of("/messages").index(i);
    let part = |(j, content)| Part::new(content, at.key("content").index(j));
    Message::new(role, contents.into_iter().enumerate().map(part).collect(), at.clone())
}

fn text(text: &str) -> Content {
    Part::text(text, Pointer::ROOT).content
}

fn call(id: &str, arguments: &str) -> Content {
    Content::ToolCall(ToolCall {
        id: id.to_owned(),
        name: "look up".to_owned(),
        arguments: arguments.to_owned(),
        ..ToolCall::default()
    })
}

fn result(call: &str, content: &str) -> Content {
    let parts = vec![Part::text(content, Pointer::ROOT)];
    Content::ToolResult(ToolResult { call: call.to_owned(), parts, ..ToolResult::default() })
}

#[test]
fn what_only_gemini_knows_comes_back() {
    let body = json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}], "role": "system"},
        "contents": [
            {"parts": [{"text": "Hi"}, {"fileData": {"fileUri": "https://youtu.be/x"}, "videoMetadata": {"fps": 1}}]},
            {"role": "model", "parts": [
                {"text": "Hm.", "thought": true},
                {"functionCall": {"name": "a"}, "thoughtSignature": "c2ln"},
                {"functionCall": {"name": "b", "args": {"x": 1}, "willContinue": true}},
                {"text": "", "thoughtSignature": "c2ln"},
            ]},
            {"role": "function", "parts": [
                {"functionResponse": {"name": "b", "response": {"result": "{\"y\":2}"}, "scheduling": "SILENT"}},
                {"functionResponse": {"name": "a", "response": {"error": "no"},
                    "parts": [{"inlineData": {"mimeType": "image/png", "data": "_-8="}}]}},
            ]},
        ],
        "tools": [
            {"functionDeclarations": [{"name": "a", "parameters": {"type": "OBJECT", "nullable": true}, "behavior": "BLOCKING"}],
             "googleSearch": {"timeRangeFilter": {}}},
            {"computerUse": {"environment": "ENVIRONMENT_BROWSER"}},
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}, "retrievalConfig": {"languageCode": "de"}},
        "generationConfig": {
            "temperature": 0.7, "topK": 40, "candidateCount": 2, "responseLogprobs": true, "logprobs": 3,
            "responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]},
            "thinkingConfig": {"includeThoughts": true, "thinkingBudget": -1, "thinkingLevel": "HIGH"},
            "responseModalities": ["Text", "IMAGE"], "speechConfig": {"languageCode": "de"},
        },
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        "cachedContent": "cachedContents/1", "labels": {"a": "b"}, "serviceTier": "SERVICE_TIER_FLEX", "store": false,
    });
    let request = parse(body.clone()).unwrap();
    assert_eq!(rendered(&request), (body, Vec::new()));
    assert_eq!(request.thinking.mode.as_ref().unwrap().value, ThinkingMode::Adaptive);
    assert_eq!(request.service_tier.as_ref().unwrap().value, "flex");
}

#[test]
fn snake_case_is_read_and_pointed_at() {
    let request = parse(json!({
        "system_instruction": {"parts": {"text": "S"}},
        "contents": [{"role": "user", "parts": [{"inline_data": {"mime_type": "image/png", "data": "AAAA"}}]}],
        "generation_config": {"max_output_tokens": 5, "thinking_config": {"thinking_budget": 0}},
    }))
    .unwrap();
    assert_eq!(request.messages[0].parts[0].at.as_str(), "/system_instruction/parts");
    assert_eq!(request.max_tokens.as_ref().unwrap().at.as_str(), "/generation_config/max_output_tokens");
    assert_eq!(request.thinking.mode.as_ref().unwrap().value, ThinkingMode::Off);
    let (body, _) = rendered(&request);
    assert_eq!(body["contents"][0]["parts"][0]["inlineData"]["mimeType"], "image/png");
}

#[test]
fn a_wrong_type_is_refused_by_its_pointer() {
    for (body, at) in [
        (json!({"contents": [{"role": "user", "parts": [{"text": 5}]}]}), "/contents/0/parts/0/text"),
        (json!({"contents": [], "generationConfig": {"topP": "x"}}), "/generationConfig/topP"),
        (json!({"contents": [{"role": "system", "parts": []}]}), "/contents/0/role"),
        (json!({"generationConfig": {}}), "/contents"),
    ] {
        assert_eq!(parse(body).unwrap_err().param.as_deref(), Some(at));
    }
}

#[test]
fn calls_without_ids_are_paired_by_name_and_order() {
    let call = |name: &str| json!({"functionCall": {"name": name, "args": {}}});
    let result = |name: &str| json!({"functionResponse": {"name": name, "response": {"output": "x"}}});
    let request = parse(json!({"contents": [
        {"role": "model", "parts": [call("a"), call("b"), call("a")]},
        {"role": "user", "parts": [result("b"), result("a"), result("a")]},
    ]}))
    .unwrap();
    let ids = |i: usize| -> Vec<String> {
        let id = |part: &Part| match &part.content {
            Content::ToolCall(call) => call.id.clone(),
            Content::ToolResult(result) => result.call.clone(),
            other => panic!("{other:?}"),
        };
        request.messages[i].parts.iter().map(id).collect()
    };
    assert_eq!(ids(0), ["call_tg_0", "call_tg_1", "call_tg_2"]);
    assert_eq!(ids(1), ["call_tg_1", "call_tg_0", "call_tg_2"]);
}

#[test]
fn results_follow_the_models_turn_in_one_content() {
    let request = chat(vec![
        message(Role::System, 0, vec![text("S")]),
        message(Role::User, 1, vec![text("Q")]),
        message(Role::Assistant, 2, vec![text(""), call("1", "{\"a\":1}"), call("2", "")]),
        message(Role::User, 3, vec![text("and?")]),
        message(Role::User, 4, vec![result("1", "{\"x\":1}")]),
        message(Role::Developer, 5, vec![text("D")]),
        message(Role::User, 6, vec![result("2", "plain")]),
    ]);
    let (body, losses) = rendered(&request);
    let wanted = json!({
        "contents": [
            {"role": "user", "parts": [{"text": "Q"}]},
            {"role": "model", "parts": [
                {"functionCall": {"id": "1", "name": "look_up", "args": {"a": 1}}},
                {"functionCall": {"id": "2", "name": "look_up", "args": {}}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "1", "name": "look_up", "response": {"x": 1}}},
                {"functionResponse": {"id": "2", "name": "look_up", "response": {"output": "plain"}}},
                {"text": "and?"},
            ]},
        ],
        "systemInstruction": {"parts": [{"text": "S"}, {"text": "D"}]},
    });
    assert_eq!(body, wanted);
    // The function's name has a space in it, and no tool has that name.
    assert_eq!(
        losses,
        [
            "/messages/2/content/1",
            "/messages/2/content/2",
            "/messages/5",
            "/messages/4/content/0",
            "/messages/6/content/0"
        ]
    );
}

#[test]
fn tools_and_formats_of_openai_find_their_places() {
    let mut request = chat(vec![message(Role::User, 0, vec![text("Q")])]);
    let parameters = Some(json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}}));
    let kind = ToolKind::Function { name: "f".to_owned(), description: None, parameters, strict: Some(true) };
    let at = Pointer::of("/tools/0");
    request.tools.push(Tool { kind, at, cache: None, extra: serde_json::Map::new() });
    request.tool_choice = Some(At::new(ToolChoice::Function("f".to_owned()), Pointer::of("/tool_choice")));
    request.parallel_tool_calls = Some(At::new(false, Pointer::of("/parallel_tool_calls")));
    let schema =
        Schema { name: Some("n".to_owned()), schema: json!({"type": "object"}), ..Schema::default() };
    request.format = Some(At::new(Format::JsonSchema(schema), Pointer::of("/response_format")));
    let (body, losses) = rendered(&request);
    let function = &body["tools"][0]["functionDeclarations"][0];
    assert_eq!(function["parametersJsonSchema"]["properties"]["a"], json!({"type": "string"}));
    assert_eq!(
        body["toolConfig"]["functionCallingConfig"],
        json!({"mode": "ANY", "allowedFunctionNames": ["f"]})
    );
    assert_eq!(body["generationConfig"]["responseJsonSchema"], json!({"type": "object"}));
    assert_eq!(
        losses,
        [
            "/tools/0/function/strict",
            "/tools/0/function/parameters/properties/a/pattern",
            "/parallel_tool_calls",
        ]
    );
}

#[test]
fn only_geminis_own_seals_go_to_gemini() {
    let seal = |maker| Some(Seal { maker, data: "sig".to_owned(), redacted: false });
    let thoughts = || vec![Thought { summary: false, text: "T".to_owned() }];
    let reasoning = |thoughts, seal| Content::Reasoning(Reasoning { id: None, thoughts, seal });
    let request = chat(vec![
        message(Role::User, 0, vec![text("Q")]),
        message(
            Role::Assistant,
            1,
            vec![
                reasoning(thoughts(), seal(Maker::Anthropic)),
                reasoning(thoughts(), None),
                reasoning(Vec::new(), seal(Maker::Gemini)),
                call("1", "{}"),
            ],
        ),
    ]);
    let (body, losses) = rendered(&request);
    let parts = &body["contents"][1]["parts"];
    assert_eq!(parts[0], json!({"text": "T", "thought": true}));
    assert_eq!(parts[1]["thoughtSignature"], "sig");
    assert_eq!(losses, ["/messages/1/content/0", "/messages/1/content/3"]);
}

#[test]
fn effort_and_budget_stand_for_each_other() {
    use tollgate_filters::chat::{Rules, ThinkingStyle};
    let effort =
        |effort| Thinking { effort: Some(At::new(effort, Pointer::of("/e"))), ..Thinking::default() };
    let budget = Thinking { budget: Some(At::new(9000, Pointer::of("/b"))), ..Thinking::default() };
    for (thinking, style, config, lost) in [
        (effort(Effort::Medium), ThinkingStyle::Effort, json!({"thinkingLevel": "medium"}), vec![]),
        (effort(Effort::XHigh), ThinkingStyle::Unknown, json!({"thinkingLevel": "high"}), vec!["/e"]),
        (effort(Effort::Low), ThinkingStyle::Budget, json!({"thinkingBudget": 1024}), vec!["/e"]),
        (effort(Effort::None), ThinkingStyle::Budget, json!({"thinkingBudget": 0}), vec![]),
        (budget.clone(), ThinkingStyle::Effort, json!({"thinkingLevel": "medium"}), vec!["/b"]),
        (budget.clone(), ThinkingStyle::Unknown, json!({"thinkingBudget": 9000}), vec![]),
        (budget, ThinkingStyle::None, Value::Null, vec!["/b"]),
    ] {
        let request = Request { thinking, ..chat(Vec::new()) };
        let target = Target { rules: Rules { thinking: style, ..Rules::default() }, ..Target::default() };
        let mut losses = Losses::default();
        let body = render(&request, &target, &mut losses);
        assert_eq!(body["generationConfig"]["thinkingConfig"], config);
        assert_eq!(losses.iter().map(|loss| loss.at.as_str()).collect::<Vec<_>>(), lost);
    }
}

#[test]
fn a_seal_goes_on_the_call_and_gemini_3_takes_calls_of_others() {
    use tollgate_filters::chat::{Rules, ThinkingStyle};
    let thoughts = vec![Thought { summary: false, text: "T".to_owned() }];
    let seal = Some(Seal { maker: Maker::Gemini, data: "sig".to_owned(), redacted: false });
    let sealed = Content::Reasoning(Reasoning { id: None, thoughts, seal });
    let mut request = chat(vec![
        message(Role::User, 0, vec![text("Q")]),
        message(Role::Assistant, 1, vec![sealed, call("1", "{}"), call("2", "{}")]),
        message(Role::User, 2, vec![result("1", "a"), result("2", "b")]),
        message(Role::Assistant, 3, vec![call("3", "{}")]),
    ]);
    let rules = Rules { thinking: ThinkingStyle::Effort, ..Rules::default() };
    let target = Target { rules, ..Target::default() };
    let body = render(&request, &target, &mut Losses::default());
    let signature =
        |content: usize, part: usize| &body["contents"][content]["parts"][part]["thoughtSignature"];
    assert_eq!(
        [signature(1, 0), signature(1, 1), signature(1, 2)],
        [&Value::Null, &json!("sig"), &Value::Null]
    );
    assert_eq!(*signature(3, 0), "skip_thought_signature_validator");

    // Read again, the word is no seal, and stays where it was.
    let again = parse(body.clone()).unwrap();
    let sealed = |part: &&Part| matches!(part.content, Content::Reasoning(_));
    assert_eq!(again.messages[3].parts.iter().filter(sealed).count(), 0);
    assert_eq!(render(&again, &target, &mut Losses::default()), body);
    request.messages.truncate(1);
    assert!(!rendered(&request).0.to_string().contains("thoughtSignature"));
}

#[test]
fn what_was_streamed_to_a_client_comes_back_as_one() {
    let foreign = crate::dialect::gemini::seal::write(&Seal {
        maker: Maker::Anthropic,
        data: "sig".to_owned(),
        redacted: false,
    });
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [
            {"text": "I need ", "thought": true}, {"text": "it.", "thought": true},
            {"text": "Let "}, {"text": "me "}, {"text": "see."},
            {"text": "Hm.", "thought": true},
            {"functionCall": {"id": "toolu_1", "name": "f", "args": {}}, "thoughtSignature": foreign},
        ]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "x"}}}]},
    ]});
    let request = parse(body.clone()).unwrap();
    assert_eq!(request.messages[0].parts.len(), 2);
    let parts: Vec<&Content> = request.messages[1].parts.iter().map(|part| &part.content).collect();
    let [Content::Reasoning(need), Content::Text(see), Content::Reasoning(hm), Content::ToolCall(call)] =
        &parts[..]
    else {
        panic!("{parts:?}")
    };
    assert_eq!((need.text().as_str(), see.text.as_str()), ("I need it.", "Let me see."));
    assert_eq!((hm.text().as_str(), hm.seal.as_ref().unwrap().maker), ("Hm.", Maker::Anthropic));
    // The result without an id is the call's.
    let Content::ToolResult(result) = &request.messages[2].parts[0].content else { panic!() };
    assert_eq!((call.id.as_str(), result.call.as_str()), ("toolu_1", "toolu_1"));
    let mut wanted = body;
    let turn = wanted["contents"][1]["parts"].as_array_mut().unwrap();
    turn.remove(5);
    turn[5].as_object_mut().unwrap().remove("thoughtSignature");
    assert_eq!(rendered(&request), (wanted, vec!["/contents/1/parts/5".to_owned()]));
}

#[test]
fn a_budget_beyond_every_models_is_the_largest_there_is() {
    let mut request = chat(vec![message(Role::User, 0, vec![text("a")])]);
    request.thinking.budget = Some(At::new(u64::MAX, Pointer::of("/reasoning/max_tokens")));
    let (body, losses) = rendered(&request);
    assert_eq!(body["generationConfig"]["thinkingConfig"]["thinkingBudget"], 32_768);
    assert_eq!(losses, ["/reasoning/max_tokens"]);
}
