//! What becomes of a request for a model that does not take all of it.

use serde_json::{Number, Value, json};

use super::*;
use crate::chat::{Effort, Message, Role, Schema, Text, ThinkingMode, Tool, ToolResult};

#[allow(clippy::unnecessary_wraps)] // the fields of a request are all optional
fn at<T>(value: T, pointer: &'static str) -> Option<At<T>> {
    Some(At::new(value, Pointer::of(pointer)))
}

fn model(facts: Value) -> Model {
    serde_json::from_value(facts).unwrap()
}

/// `request` as `facts` make it, and the losses as `pointer why`.
fn adapted(mut request: Request, facts: Value) -> (Request, Vec<String>) {
    let mut losses = Losses::default();
    adapt(&mut request, Some(&model(facts)), &mut losses);
    let told = losses.iter().map(|loss| {
        let why = serde_json::to_value(loss.why).unwrap();
        format!("{} {}", loss.at, why.as_str().unwrap())
    });
    (request, told.collect())
}

fn chat() -> Request {
    Request::new(Dialect::OpenaiChat)
}

fn sampled() -> Request {
    Request {
        temperature: at(Number::from(1), "/temperature"),
        top_p: at(Number::from(1), "/top_p"),
        logprobs: at(LogProbs { top: Some(2) }, "/logprobs"),
        stop: at(vec!["x".to_owned()], "/stop"),
        extra: json!({"logit_bias": {"50256": -100}, "other": 1}).as_object().unwrap().clone(),
        ..chat()
    }
}

fn effort(word: &str) -> Request {
    let mut request = chat();
    request.thinking.effort = at(Effort::parse(word), "/reasoning_effort");
    request
}

fn budget(tokens: u64) -> Request {
    let mut request = Request::new(Dialect::Anthropic);
    request.thinking.mode = at(ThinkingMode::On, "/thinking/type");
    request.thinking.budget = at(tokens, "/thinking/budget_tokens");
    request
}

fn off() -> Request {
    let mut request = Request::new(Dialect::Anthropic);
    request.thinking.mode = at(ThinkingMode::Off, "/thinking/type");
    request
}

fn tool(kind: ToolKind, index: usize) -> Tool {
    Tool { kind, at: Pointer::of("/tools").index(index), cache: None, extra: serde_json::Map::new() }
}

fn function(index: usize) -> Tool {
    let name = "f".to_owned();
    tool(ToolKind::Function { name, description: None, parameters: None, strict: None }, index)
}

#[test]
fn a_model_that_nothing_is_known_of_gets_everything() {
    let (request, losses) =
        adapted(Request { max_tokens: at(u64::MAX, "/max_tokens"), ..sampled() }, json!({}));
    assert!(losses.is_empty(), "{losses:?}");
    assert!(request.temperature.is_some() && request.logprobs.is_some() && request.extra.len() == 2);
    let mut losses = Losses::default();
    adapt(&mut sampled(), None, &mut losses);
    assert!(losses.is_empty());
}

#[test]
fn refused_parameters_go_and_are_named() {
    let refuses = json!({"refuses": ["temperature", "logprobs", "logit_bias", "seed"]});
    let (request, losses) = adapted(sampled(), refuses);
    assert_eq!(losses, ["/temperature model", "/logprobs model", "/top_logprobs model", "/logit_bias model"]);
    assert!(request.temperature.is_none() && request.logprobs.is_none());
    assert!(request.top_p.is_some() && request.stop.is_some());
    assert_eq!(Value::Object(request.extra), json!({"other": 1}));
}

#[test]
fn some_are_refused_only_while_the_model_thinks() {
    let facts = |default: &str| json!({"thinking": "effort", default: ["default_thinking"], "refuses_thinking": ["temperature"]});
    let with =
        |word: Option<&str>| Request { temperature: sampled().temperature, ..word.map_or_else(chat, effort) };
    let dropped = |word, default| !adapted(with(word), facts(default)).1.is_empty();
    assert!(dropped(Some("low"), "lacks"));
    assert!(!dropped(Some("none"), "has"));
    assert!(dropped(None, "has"));
    assert!(!dropped(None, "lacks"));
}

#[test]
fn the_default_temperature_is_no_temperature() {
    let warm = |degrees: f64| Request { temperature: at(Number::from_f64(degrees).unwrap(), "/t"), ..chat() };
    let losses = |degrees| adapted(warm(degrees), json!({"refuses": ["temperature_but_1"]})).1;
    assert_eq!((losses(1.0), losses(0.7)), (vec![], vec!["/t model".to_owned()]));
}

#[test]
fn of_temperature_and_top_p_the_first_stays_where_one_may() {
    let facts = || json!({"refuses": ["top_p_with_temperature"]});
    assert_eq!(adapted(sampled(), facts()).1, ["/top_p model"]);
    let alone = Request { temperature: None, ..sampled() };
    assert!(adapted(alone, facts()).1.is_empty());
}

#[test]
fn more_output_than_there_can_be_is_lowered() {
    let asks = |tokens| Request { max_tokens: at(tokens, "/max_tokens"), ..chat() };
    let (request, losses) = adapted(asks(101), json!({"max_output_tokens": 100}));
    assert_eq!((request.max_tokens.unwrap().value, losses), (100, vec!["/max_tokens model".to_owned()]));
    assert!(adapted(asks(100), json!({"max_output_tokens": 100})).1.is_empty());
}

#[test]
fn an_effort_becomes_the_nearest_that_the_model_has() {
    let heard = |word, known: Value| {
        let (request, losses) = adapted(effort(word), json!({"thinking": "effort", "efforts": known}));
        (request.thinking.effort.unwrap().value.as_str().to_owned(), losses.len())
    };
    assert_eq!(heard("max", json!(["low", "medium", "high"])), ("high".to_owned(), 1));
    assert_eq!(heard("minimal", json!(["low", "medium", "high"])), ("low".to_owned(), 1));
    assert_eq!(heard("medium", json!(["low", "high"])), ("low".to_owned(), 1));
    assert_eq!(heard("low", json!(["high"])), ("high".to_owned(), 1));
    assert_eq!(heard("absurd", json!(["low", "medium", "high"])), ("medium".to_owned(), 1));
    assert_eq!(heard("low", json!(["low", "high"])), ("low".to_owned(), 0));
    assert_eq!(heard("xhigh", json!([])), ("xhigh".to_owned(), 0));
}

#[test]
fn a_budget_becomes_an_effort_here_only_where_the_usual_one_is_missing() {
    let facts = || json!({"thinking": "effort", "efforts": ["medium", "high"]});
    let (request, losses) = adapted(budget(1024), facts());
    assert_eq!(request.thinking.effort.unwrap().value, Effort::Medium);
    assert_eq!(
        (request.thinking.budget, losses),
        (None, vec!["/thinking/budget_tokens approximated".to_owned()])
    );
    let (request, losses) = adapted(budget(10_000), facts());
    assert_eq!((request.thinking.budget.unwrap().value, losses.len()), (10_000, 0));
}

#[test]
fn a_budget_is_kept_within_the_models_bounds() {
    let facts = || json!({"thinking": "budget", "thinking_budget": [128, 24576]});
    let (request, losses) = adapted(budget(50_000), facts());
    assert_eq!((request.thinking.budget.unwrap().value, losses.len()), (24_576, 1));
    let (request, losses) = adapted(effort("xhigh"), facts());
    assert_eq!(request.thinking.effort, None);
    assert_eq!(request.thinking.budget, at(24_576, "/reasoning_effort"));
    assert_eq!(losses, ["/reasoning_effort approximated"]);
    assert!(adapted(effort("low"), facts()).1.is_empty());
}

#[test]
fn a_model_that_cannot_stop_thinking_thinks_as_little_as_it_can() {
    let facts = json!({"thinking": "effort", "efforts": ["minimal", "low"], "lacks": ["thinking_off"]});
    let (request, losses) = adapted(off(), facts);
    assert_eq!((request.thinking.mode, request.thinking.effort.unwrap().value), (None, Effort::Minimal));
    assert_eq!(losses, ["/thinking/type approximated"]);
    let facts = json!({"thinking": "budget", "thinking_budget": [128, 1000], "lacks": ["thinking_off"]});
    let (request, _) = adapted(effort("none"), facts);
    assert_eq!((request.thinking.effort, request.thinking.budget.unwrap().value), (None, 128));
    assert!(adapted(off(), json!({"thinking": "effort", "efforts": ["low"]})).1.is_empty());
}

#[test]
fn a_model_that_does_not_think_is_not_told_how() {
    let (request, losses) = adapted(budget(2000), json!({"thinking": "none"}));
    assert_eq!(request.thinking, crate::chat::Thinking::default());
    assert_eq!(losses, ["/thinking/type model", "/thinking/budget_tokens model"]);
}

#[test]
fn a_call_that_has_to_be_made_counts_more_than_thinking() {
    let forced = |request| Request { tool_choice: at(ToolChoice::Required, "/tool_choice"), ..request };
    let facts = || json!({"thinking": "adaptive", "refuses_thinking": ["forced_tools"]});
    let (request, losses) = adapted(forced(effort("high")), facts());
    assert_eq!(request.thinking.mode, at(ThinkingMode::Off, "/reasoning_effort"));
    assert_eq!(request.tool_choice.unwrap().value, ToolChoice::Required);
    assert_eq!(losses, ["/reasoning_effort model"]);
    assert!(adapted(forced(chat()), facts()).1.is_empty());
    let (request, losses) = adapted(forced(effort("high")), json!({"refuses": ["forced_tools"]}));
    assert_eq!(
        (request.tool_choice.unwrap().value, losses),
        (ToolChoice::Auto, vec!["/tool_choice approximated".to_owned()])
    );
}

#[test]
fn functions_go_and_the_providers_own_tools_stay() {
    let with = |tools| Request {
        tools,
        tool_choice: at(ToolChoice::Auto, "/tool_choice"),
        parallel_tool_calls: at(true, "/parallel_tool_calls"),
        ..chat()
    };
    let search = tool(ToolKind::Server { tool: crate::chat::ServerTool::WebSearch, raw: json!({}) }, 0);
    let (request, losses) = adapted(with(vec![search, function(1)]), json!({"lacks": ["tools"]}));
    assert_eq!((request.tools.len(), losses), (1, vec!["/tools/1 model".to_owned()]));
    let (request, losses) = adapted(with(vec![function(0)]), json!({"lacks": ["tools"]}));
    assert!(request.tools.is_empty() && request.tool_choice.is_none());
    assert_eq!(losses, ["/tools/0 model", "/tool_choice model", "/parallel_tool_calls model"]);
    let (request, losses) = adapted(with(vec![function(0)]), json!({"lacks": ["parallel_tools"]}));
    assert_eq!((request.tools.len(), losses), (1, vec!["/parallel_tool_calls model".to_owned()]));
}

#[test]
fn what_a_model_cannot_see_is_taken_out_wherever_it_stands() {
    let media = |kind, mime: &str, at| {
        let source = MediaSource::Base64("AA==".to_owned());
        let media = Media { kind, source, mime: Some(mime.to_owned()), name: None, detail: None };
        Part::new(Content::Media(media), at)
    };
    let place = |m: usize, p: usize| Pointer::of("/m").index(m).index(p);
    let result = ToolResult {
        parts: vec![Part::text("seen", place(1, 0)), media(MediaKind::Image, "image/png", place(1, 1))],
        ..ToolResult::default()
    };
    let message = |parts, m| Message::new(Role::User, parts, Pointer::of("/m").index(m));
    let mut request = chat();
    request.messages = vec![
        message(vec![media(MediaKind::Image, "image/png", place(0, 0))], 0),
        message(vec![Part::new(Content::ToolResult(result), Pointer::of("/m").index(1))], 1),
        message(
            vec![
                Part::new(Content::Text(Text::default()), place(2, 0)),
                media(MediaKind::Document, "application/pdf", place(2, 1)),
                media(MediaKind::Document, "text/csv", place(2, 2)),
                media(MediaKind::Audio, "audio/wav", place(2, 3)),
            ],
            2,
        ),
    ];
    let (request, losses) = adapted(request, json!({"lacks": ["image", "pdf"]}));
    assert_eq!(losses, ["/m/0/0 model", "/m/1/1 model", "/m/2/1 model"]);
    let left: Vec<usize> = request.messages.iter().map(|message| message.parts.len()).collect();
    assert_eq!(left, [1, 3]);
}

#[test]
fn a_schema_goes_where_the_model_follows_none() {
    let asks = |format| Request { format: at(format, "/response_format"), ..chat() };
    let facts = || json!({"lacks": ["structured_output"]});
    let (request, losses) = adapted(asks(Format::JsonSchema(Schema::default())), facts());
    assert_eq!((request.format, losses), (None, vec!["/response_format model".to_owned()]));
    assert!(adapted(asks(Format::JsonObject), facts()).1.is_empty());
}
