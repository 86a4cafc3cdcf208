//! Blocks come one after the other, whatever another provider does.

use serde_json::Value;
use tollgate_filters::chat::{Client, Delta, Event, Losses, Maker, Opening, Pointer, Seal, Start, ToolCall};

use super::Encoder;

fn open(part: u32, opening: Opening) -> Event {
    Event::Open { choice: 0, part, opening, at: Pointer::of("/output/0") }
}

fn say(part: u32, text: &str) -> Event {
    Event::Delta { choice: 0, part, delta: Delta::Text(text.to_owned()) }
}

fn think(part: u32, text: &str) -> Event {
    Event::Delta {
        choice: 0,
        part,
        delta: Delta::Thought { summary: false, new: false, text: text.to_owned() },
    }
}

fn close(part: u32) -> Event {
    Event::Close { choice: 0, part }
}

/// What is said of blocks, in short: `+0 text`, `0 word`, `-0`.
fn blocks(events: &[Event]) -> Vec<String> {
    let mut encoder = Encoder::new(Client::default());
    let (mut out, mut losses) = (Vec::new(), Losses::default());
    for event in [Event::Start(Start::default())].iter().chain(events).chain([&Event::End]) {
        encoder.event(event, &mut out, &mut losses);
    }
    let text = String::from_utf8(out).unwrap();
    let short = |document: &str| {
        let event: Value = serde_json::from_str(document).unwrap();
        let index = event.get("index")?;
        let said = event["delta"].as_object().and_then(|delta| delta.values().nth(1)?.as_str());
        match (event["content_block"]["type"].as_str(), said) {
            (Some(kind), _) => Some(format!("+{index} {kind}")),
            (None, Some(said)) => Some(format!("{index} {said}")),
            (None, None) => Some(format!("-{index}")),
        }
    };
    text.lines().filter_map(|line| line.strip_prefix("data: ")).filter_map(short).collect()
}

#[test]
fn thoughts_that_stay_open_do_not_hold_the_answer_back() {
    let reasoning = Opening::Reasoning { id: None };
    let events =
        [open(0, reasoning), think(0, "hm"), open(1, Opening::Text), say(1, "4"), close(1), close(0)];
    assert_eq!(blocks(&events), ["+0 thinking", "0 hm", "-0", "+1 text", "1 4", "-1"]);
}

#[test]
fn what_is_said_during_a_call_follows_it() {
    let call = |id: &str| Opening::ToolCall(ToolCall { id: id.to_owned(), ..ToolCall::default() });
    let more = |part, text: &str| Event::Delta { choice: 0, part, delta: Delta::Arguments(text.to_owned()) };
    let events = [
        open(0, call("a")),
        open(1, call("b")),
        more(1, "{}"),
        more(0, "[]"),
        open(2, Opening::Text),
        say(2, "x"),
    ];
    assert_eq!(
        blocks(&events),
        ["+0 tool_use", "0 []", "-0", "+1 tool_use", "1 {}", "-1", "+2 text", "2 x", "-2"]
    );
}

#[test]
fn the_signature_behind_unsigned_thoughts_is_theirs() {
    let seal = Seal { maker: Maker::Gemini, data: "sig".to_owned(), redacted: false };
    let signed = Event::Delta { choice: 0, part: 1, delta: Delta::Seal(seal) };
    let reasoning = || Opening::Reasoning { id: None };
    let events = [open(0, reasoning()), think(0, "hm"), close(0), open(1, reasoning()), signed, close(1)];
    assert_eq!(blocks(&events), ["+0 thinking", "0 hm", "0 tollgate.gemini.sig", "-0"]);
}
