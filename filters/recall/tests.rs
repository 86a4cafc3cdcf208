use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::chat::{
    Choice, Delta, Event, Maker, Message, Opening, Pointer, Request, Response, Role, Seal, Thought, ToolCall,
    ToolResult,
};
use crate::exchange::Dialect;

const ANSWER: &str = "0195f3a07c517d4f8d2e0123456789ab";

fn part(content: Content) -> Part {
    Part::new(content, Pointer::of("/answer"))
}

fn text(text: &str) -> Part {
    Part::text(text, Pointer::of("/answer"))
}

fn call(id: &str) -> Part {
    part(Content::ToolCall(ToolCall { id: id.to_owned(), name: "look".to_owned(), ..ToolCall::default() }))
}

/// `"thought!seal"`; either may be empty.
fn think(maker: Maker, form: &str) -> Part {
    let (thought, seal) = form.split_once('!').unwrap();
    let thoughts = (!thought.is_empty()).then(|| Thought { summary: false, text: thought.to_owned() });
    let seal = (!seal.is_empty()).then(|| Seal { maker, data: seal.to_owned(), redacted: false });
    part(Content::Reasoning(Reasoning { id: None, thoughts: thoughts.into_iter().collect(), seal }))
}

fn claude(form: &str) -> Part {
    think(Maker::Anthropic, form)
}

fn gemini(form: &str) -> Part {
    think(Maker::Gemini, form)
}

fn answer(parts: Vec<Part>) -> Response {
    Response {
        source: Dialect::Anthropic,
        id: None,
        model: None,
        created: None,
        choices: vec![Choice { parts, ..Choice::default() }],
        usage: None,
        service_tier: None,
        extra: crate::chat::Extra::new(),
    }
}

fn request(turns: Vec<(Role, Vec<Part>)>) -> Request {
    let mut request = Request::new(Dialect::OpenaiChat);
    for (m, (role, mut parts)) in turns.into_iter().enumerate() {
        let at = Pointer::of("/messages").index(m);
        for (p, part) in parts.iter_mut().enumerate() {
            part.at = at.index(p);
        }
        request.messages.push(Message::new(role, parts, at));
    }
    request
}

/// A conversation in which the model answered the question `question` with `turns`, and tools gave results.
fn conversation(question: &str, turns: Vec<Vec<Part>>) -> Request {
    let mut all = vec![(Role::System, vec![text("Be brief.")]), (Role::User, vec![text(question)])];
    all.extend(turns.into_iter().map(|parts| (Role::Assistant, parts)));
    let result = ToolResult { parts: vec![text("42")], ..ToolResult::default() };
    all.push((Role::User, vec![part(Content::ToolResult(result))]));
    request(all)
}

type Memory = HashMap<Key, Arc<[Remembered]>>;

fn noted(parts: Vec<Part>) -> Memory {
    let mut memory = Memory::new();
    let asked = Asked::of(&request(vec![(Role::System, vec![]), (Role::User, vec![text("Why?")])]));
    let mut heard = Memory::new();
    listened(&parts, asked).note(ANSWER, |key, value| drop(heard.insert(key, value.into())));
    note(&answer(parts), &asked, ANSWER, |key, value| {
        assert!(memory.insert(key, value.into()).is_none(), "two stretches have one key");
    });
    assert_eq!(heard, memory, "a stream is remembered otherwise than a document");
    memory
}

/// `parts` as a stream, in pieces of one character.
fn listened(parts: &[Part], asked: Asked) -> Listener {
    let mut listener = Listener::new(asked);
    for (number, part) in (0..).zip(parts) {
        let (opening, deltas) = events(&part.content);
        listener.hear(&Event::Open { choice: 0, part: number, opening, at: part.at.clone() });
        for delta in deltas {
            listener.hear(&Event::Delta { choice: 0, part: number, delta });
        }
        listener.hear(&Event::Close { choice: 0, part: number });
    }
    listener
}

fn events(content: &Content) -> (Opening, Vec<Delta>) {
    match content {
        Content::Text(text) => {
            (Opening::Text, text.text.chars().map(|c| Delta::Text(c.to_string())).collect())
        }
        Content::Reasoning(reasoning) => {
            let thoughts = reasoning.thoughts.iter().flat_map(|thought| {
                let pieces = thought.text.char_indices();
                pieces.map(|(at, c)| Delta::Thought { summary: false, new: at == 0, text: c.to_string() })
            });
            let seal = reasoning.seal.iter().map(|seal| Delta::Seal(seal.clone()));
            (Opening::Reasoning { id: None }, thoughts.chain(seal).collect())
        }
        Content::ToolCall(call) => (Opening::ToolCall(call.clone()), vec![Delta::Arguments("{}".to_owned())]),
        Content::Opaque(value) => (Opening::Opaque(value.clone()), Vec::new()),
        _ => unreachable!(),
    }
}

/// The model's turns of `request` after restoring from `memory`, in short: `thought!seal`, `"text"`, `id()`.
fn restored(memory: &Memory, mut request: Request) -> String {
    restore(&mut request, |key| memory.get(key).cloned());
    let once = short(&request);
    restore(&mut request, |key| memory.get(key).cloned());
    assert_eq!(short(&request), once, "restoring twice changes something");
    once
}

fn short(request: &Request) -> String {
    let turns = request.messages.iter().filter(|m| m.role == Role::Assistant);
    let turns = turns.map(|m| m.parts.iter().map(show).collect::<Vec<_>>().join(" "));
    turns.collect::<Vec<_>>().join(" | ")
}

fn show(part: &Part) -> String {
    match &part.content {
        Content::Reasoning(r) => format!("{}!{}", r.text(), r.seal.as_ref().map_or("", |s| &s.data)),
        Content::Text(text) => format!("{:?}", text.text),
        Content::ToolCall(call) => format!("{}()", call.id),
        _ => "?".to_owned(),
    }
}

/// What a chat client makes of a turn: its text, then its calls.
fn flattened(parts: &[Part]) -> Vec<Part> {
    let said: String = parts.iter().map(words).collect();
    let said = (!said.is_empty()).then(|| text(&said));
    let calls = parts.iter().filter(|part| matches!(part.content, Content::ToolCall(_)));
    said.into_iter().chain(calls.cloned()).collect()
}

const ONE: &str = "toolu_01AAAAAAAAAA";
const TWO: &str = "toolu_01BBBBBBBBBB";

fn round_trip(parts: Vec<Part>) -> String {
    let turn = flattened(&parts);
    restored(&noted(parts), conversation("Why?", vec![turn]))
}

#[test]
fn thinking_comes_back_before_the_text_it_stood_before() {
    let turn = vec![claude("a!A"), text("Let me look."), call(ONE)];
    assert_eq!(round_trip(turn), format!("a!A \"Let me look.\" {ONE}()"));
    // White space that a model puts between is a part for some clients and none for others.
    let turn = vec![claude("a!A"), text("\n\n"), call(ONE)];
    assert_eq!(round_trip(turn.clone()), format!("a!A \"\\n\\n\" {ONE}()"));
    let without = conversation("Why?", vec![vec![call(ONE)]]);
    assert_eq!(restored(&noted(turn), without), format!("a!A {ONE}()"));
}

#[test]
fn thinking_before_parallel_calls_comes_back_once() {
    let turn = vec![claude("a!A"), claude("!R"), call(ONE), call(TWO)];
    assert_eq!(round_trip(turn), format!("a!A !R {ONE}() {TWO}()"));
}

#[test]
fn interleaved_thinking_comes_back_before_each_call() {
    let turn = vec![claude("a!A"), call(ONE), claude("b!B"), call(TWO)];
    assert_eq!(round_trip(turn), format!("a!A {ONE}() b!B {TWO}()"));
    let turn = vec![claude("a!A"), text("Hm. "), claude("b!B"), text("So."), claude("c!C"), call(ONE)];
    assert_eq!(round_trip(turn.clone()), format!("a!A b!B \"Hm. So.\" c!C {ONE}()"));
    // A client that kept the texts apart gets it exactly as it was.
    let kept = [1, 3, 5].map(|i| turn[i].clone()).to_vec();
    let expected = format!("a!A \"Hm. \" b!B \"So.\" c!C {ONE}()");
    assert_eq!(restored(&noted(turn), conversation("Why?", vec![kept])), expected);
}

#[test]
fn a_signature_comes_back_on_the_call_that_it_signs() {
    let turn = vec![gemini("!A"), call(ONE), call(TWO)];
    assert_eq!(round_trip(turn), format!("!A {ONE}() {TWO}()"));
    let turn = vec![gemini("why!"), text("Look:"), gemini("!A"), call(ONE)];
    assert_eq!(round_trip(turn), format!("why! \"Look:\" !A {ONE}()"));
}

#[test]
fn calls_without_an_id_are_known_by_the_id_that_the_gateway_made() {
    let memory = noted(vec![gemini("!A"), call(""), call(""), gemini("!B"), call("")]);
    // However the renderer counts.
    let ids = [3, 4, 7].map(|n| format!("call_tg_{ANSWER}_{n}"));
    let turn = ids.iter().map(|id| call(id)).collect();
    let expected = format!("!A {}() {}() !B {}()", ids[0], ids[1], ids[2]);
    assert_eq!(restored(&memory, conversation("Whatever?", vec![turn])), expected);
    let other = conversation("Why?", vec![vec![call("call_tg_0195_0"), call("call_tg_0")]]);
    assert_eq!(restored(&memory, other), "call_tg_0195_0() call_tg_0()");
}

#[test]
fn an_id_that_was_respelled_is_known_again() {
    let memory = noted(vec![claude("a!A"), call("tool:9f8e7d6c5b4a")]);
    let turn = vec![call("tool_9f8e7d6c5b4a")];
    assert_eq!(restored(&memory, conversation("Why?", vec![turn])), "a!A tool_9f8e7d6c5b4a()");
}

#[test]
fn an_answer_without_calls_is_known_by_its_text_and_its_question() {
    let memory = noted(vec![claude("a!A"), text("Because "), claude("b!B"), text("it is.")]);
    let again = || vec![text("Because\nit is. ")];
    let expected = "a!A b!B \"Because\\nit is. \"";
    assert_eq!(restored(&memory, conversation("Why? ", vec![again()])), expected);
    assert_eq!(restored(&memory, conversation("Who?", vec![again()])), "\"Because\\nit is. \"");
    // A Responses client has a message for each text.
    let apart = vec![vec![text("Because ")], vec![text("it is.")]];
    assert_eq!(restored(&memory, conversation("Why?", apart)), "a!A \"Because \" | b!B \"it is.\"");
}

#[test]
fn text_and_call_may_come_in_two_messages() {
    let memory = noted(vec![claude("a!A"), text("Let me look."), call(ONE)]);
    let apart = vec![vec![text("Let me look.")], vec![call(ONE)]];
    assert_eq!(restored(&memory, conversation("Why?", apart)), format!("a!A \"Let me look.\" | {ONE}()"));
}

#[test]
fn an_id_that_is_counted_brings_no_thoughts_of_another_conversation() {
    let memory = noted(vec![claude("a!A"), call("call_0")]);
    assert_eq!(restored(&memory, conversation("Why?", vec![vec![call("call_0")]])), "a!A call_0()");
    assert_eq!(restored(&memory, conversation("Who?", vec![vec![call("call_0")]])), "call_0()");
}

#[test]
fn a_client_that_sent_reasoning_back_gets_none() {
    let turn = vec![claude("a!A"), text("Hm."), call(ONE), claude("b!B"), call(TWO)];
    let memory = noted(turn.clone());
    let whole = short(&conversation("Why?", vec![turn.clone()]));
    assert_eq!(restored(&memory, conversation("Why?", vec![turn])), whole);
    // All of it in front, as chat clients have it.
    let front = vec![claude("a!A"), claude("b!B"), text("Hm."), call(ONE), call(TWO)];
    let expected = short(&conversation("Why?", vec![front.clone()]));
    assert_eq!(restored(&memory, conversation("Why?", vec![front])), expected);
}

#[test]
fn thoughts_that_came_back_without_their_seal_are_replaced() {
    let memory = noted(vec![claude("a\n\na!A"), call(ONE), claude("b!B"), call(TWO)]);
    let turn = vec![claude("a a\n\nb!"), call(ONE), call(TWO)];
    let expected = format!("a\n\na!A {ONE}() b!B {TWO}()");
    assert_eq!(restored(&memory, conversation("Why?", vec![turn])), expected);
    let own = vec![claude("something else!"), call(ONE)];
    let expected = format!("something else! a\n\na!A {ONE}()");
    assert_eq!(restored(&memory, conversation("Why?", vec![own])), expected);
}

#[test]
fn a_seal_of_what_does_not_come_back_is_forgotten() {
    let search = || part(Content::Opaque(serde_json::json!({"type": "web_search_call"})));
    let turn = vec![gemini("!A"), search(), gemini("!B"), text("Found.")];
    assert_eq!(round_trip(turn), "!B \"Found.\"");
    let turn = vec![claude("a!A"), search(), text("Found.")];
    assert_eq!(round_trip(turn), "a!A \"Found.\"");
}

/// Every turn of up to six parts: thoughts, texts, calls.
fn turns() -> impl Iterator<Item = Vec<Part>> {
    let part = |kind, n: u32| match kind {
        0 => claude(&format!("thought{n}!seal{n}")),
        1 => text(&format!("text {n}. ")),
        _ => call(&format!("toolu_01{n:08}")),
    };
    (1..=6).flat_map(move |length| {
        (0..3_u32.pow(length))
            .map(move |code| (0..length).map(|n| part(code / 3_u32.pow(n) % 3, n)).collect())
    })
}

#[test]
fn any_turn_comes_back_as_it_was_where_the_client_kept_its_parts() {
    let thinks = |part: &Part| matches!(part.content, Content::Reasoning(_));
    for turn in turns() {
        // What is thought behind all that was said has nothing to stand before.
        let end = turn.iter().rposition(|part| matches!(part.content, Content::ToolCall(_)));
        let end = end.or_else(|| turn.iter().rposition(|part| !thinks(part))).map_or(0, |at| at + 1);
        let rest = turn[end..].iter().filter(|part| !thinks(part));
        let mut expected: Vec<Part> = turn[..end].iter().chain(rest).cloned().collect();
        if end > 0 && turn[..end].iter().all(|part| !matches!(part.content, Content::ToolCall(_))) {
            // In a turn without calls it goes before the last text.
            let behind = turn[end..].iter().cloned();
            expected.splice(end - 1..end - 1, behind);
        }
        let kept = turn.iter().filter(|part| !thinks(part)).cloned().collect();
        let expected: Vec<String> = expected.iter().map(show).collect();
        assert_eq!(restored(&noted(turn), conversation("Why?", vec![kept])), expected.join(" "));
    }
}

#[test]
fn any_turn_that_was_flattened_gets_each_thought_once_and_before_the_same_call() {
    for turn in turns() {
        let calls = |line: &str| line.split("toolu_").map(str::to_owned).collect::<Vec<_>>();
        let line = |parts: &[Part]| parts.iter().map(show).collect::<Vec<_>>().join(" ");
        let whole = line(&turn);
        let back = restored(&noted(turn.clone()), conversation("Why?", vec![flattened(&turn)]));
        if !whole.contains("toolu_") {
            continue;
        }
        for (before, after) in calls(&whole).iter().zip(calls(&back)).take(calls(&whole).len() - 1) {
            let seals = |text: &str| {
                text.split(' ').filter(|word| word.contains("seal")).map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(seals(before), seals(&after), "{whole} became {back}");
        }
    }
}

#[test]
fn what_is_put_in_points_to_its_call() {
    let turn = vec![claude("a!A"), text("Let me look."), call(ONE)];
    let memory = noted(turn.clone());
    let mut request = conversation("Why?", vec![flattened(&turn)]);
    restore(&mut request, |key| memory.get(key).cloned());
    let put = &request.messages[2].parts[0];
    assert!(matches!(put.content, Content::Reasoning(_)));
    assert_eq!(put.at.as_str(), "/messages/2/1");
}

#[test]
fn each_turn_of_a_tool_loop_gets_its_own() {
    let mut memory = noted(vec![claude("a!A"), call(ONE)]);
    memory.extend(noted(vec![claude("b!B"), call(TWO)]));
    let user = || (Role::User, vec![text("on")]);
    let mut request = request(vec![
        user(),
        (Role::Assistant, vec![call(ONE)]),
        user(),
        (Role::Assistant, vec![text("Hm."), call(TWO)]),
        user(),
    ]);
    restore(&mut request, |key| memory.get(key).cloned());
    assert_eq!(short(&request), format!("a!A {ONE}() | b!B \"Hm.\" {TWO}()"));
}

#[test]
fn a_stream_without_end_is_not_remembered() {
    let asked = Asked::of(&conversation("Why?", Vec::new()));
    let mut listener = listened(&[claude("a!A"), call(ONE), claude("b!B")], asked);
    for _ in 0..5 {
        let text = "x".repeat(1 << 20);
        listener.hear(&Event::Delta {
            choice: 0,
            part: 2,
            delta: Delta::Thought { summary: false, new: false, text },
        });
    }
    listener.note(ANSWER, |key, _| panic!("{key:?}"));
}

#[test]
fn thoughts_that_came_back_in_part_beside_their_whole_seal_are_made_whole() {
    let memory = noted(vec![claude("It must be forty-two.!Sig"), text("Let me see."), call("c1")]);
    for shown in [
        // The last piece of a stream.
        vec![claude("forty-two.!Sig"), text("Let me see."), call("c1")],
        // No thoughts at all.
        vec![claude("!Sig"), text("Let me see."), call("c1")],
        // The two apart.
        vec![claude("It must be forty-two.!"), claude("!Sig"), text("Let me see."), call("c1")],
    ] {
        let mut request = conversation("Why?", vec![shown]);
        restore(&mut request, |key| memory.get(key).cloned());
        let parts: Vec<_> = request.messages[2].parts.iter().map(|part| &part.content).collect();
        let whole = claude("It must be forty-two.!Sig").content;
        assert_eq!(parts, [&whole, &text("Let me see.").content, &call("c1").content]);
    }
    // Another seal is somebody else's turn.
    let mut other = conversation("Why?", vec![vec![claude("x!Other"), call("c1")]]);
    restore(&mut other, |key| memory.get(key).cloned());
    assert_eq!(other.messages[2].parts[0].content, claude("x!Other").content);
}
