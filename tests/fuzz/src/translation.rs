//! What must hold of the translation: of any request and of any stream, in each dialect.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use tollgate::dialect::frames::Frames;
use tollgate::dialect::translate::{Decoder, Form, Translator, parse_request, render_request};
use tollgate_filters::chat::{
    Client, Delta, Event, Losses, MaxTokensField, Opening, Quirks, ReasoningField, ReasoningParam, Request,
    Target, ToolCallIds,
};
use tollgate_filters::exchange::Dialect;

use crate::cut;

pub const DIALECTS: [Dialect; 4] =
    [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::Anthropic, Dialect::Gemini];

/// Providers that speak the chat dialect, as unlike each other as they are: one like OpenAI, Mistral, Groq, `OpenRouter`.
fn providers() -> [Quirks; 4] {
    let plain = Quirks::default();
    [
        Quirks { max_tokens: MaxTokensField::MaxCompletionTokens, openai_params: true, files: true, ..plain },
        Quirks {
            tool_call_ids: ToolCallIds::Nine,
            reasoning: ReasoningField::Parts,
            reasoning_param: ReasoningParam::None,
            mistral: true,
            strict_order: true,
            ..plain
        },
        Quirks {
            reasoning: ReasoningField::Reasoning,
            reasoning_param: ReasoningParam::Groq,
            stateless_responses: true,
            ..plain
        },
        Quirks {
            reasoning: ReasoningField::Details,
            reasoning_param: ReasoningParam::Object,
            sampling: true,
            cache_control: true,
            audio: true,
            video: true,
            ..plain
        },
    ]
}

fn target(request: &Request, quirks: Quirks) -> Target {
    let model = request.model.clone().filter(|model| !model.is_empty()).unwrap_or_else(|| "m".to_owned());
    Target { model, stream: request.stream, quirks, ..Target::default() }
}

/// A request that is read can be written in every dialect, and what is written can be read there; in its own dialect
/// it is then the same for good.
///
/// # Panics
/// If that does not hold.
pub fn request(dialect: Dialect, body: &[u8]) {
    let Ok(request) = parse_request(dialect, body) else { return };
    let written = |request: &Request, to: Dialect, quirks: Quirks| {
        render_request(to, request, &target(request, quirks), &mut Losses::default())
    };
    for to in DIALECTS {
        let providers = providers();
        for quirks in if to == Dialect::OpenaiChat { &providers[..] } else { &providers[..1] } {
            let rendered = written(&request, to, *quirks);
            let read = parse_request(to, rendered.to_string().as_bytes());
            let again = read.unwrap_or_else(|e| panic!("{dialect} to {to}: {}\n{rendered}", e.message));
            if to == dialect {
                let twice = written(&again, to, *quirks);
                assert_eq!(rendered, twice, "read and written once more");
            }
        }
    }
}

fn client() -> Client {
    Client {
        id: "0198c0ff".to_owned(),
        request_id: "r".to_owned(),
        model: "m".to_owned(),
        created: 1,
        stream_usage: true,
        sse: true,
        ..Client::default()
    }
}

fn decode(dialect: Dialect, form: Form, pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<Event> {
    let mut frames = if form == Form::Array { Frames::array() } else { Frames::sse() };
    let (mut decoder, mut events) = (Decoder::new(dialect), Vec::new());
    for piece in pieces {
        let read = frames.push(piece.as_ref(), |document| decoder.document(document, &mut events));
        read.expect("an input is no longer than a document may be");
    }
    decoder.finish(&mut events);
    events
}

fn translate(from: Dialect, to: Dialect, form: Form, stream: &[u8], seed: u8) -> (Vec<u8>, Losses) {
    let mut translator = Translator::new(from, to, form, client());
    let mut out = Vec::new();
    for piece in cut(stream, seed) {
        out.extend_from_slice(&translator.push(piece).expect("a stream is not refused"));
    }
    out.extend_from_slice(&translator.finish().expect("a stream is not refused").0);
    (out, translator.losses().clone())
}

/// A stream is read and written in every dialect, the same however it is cut, and its events keep to their order; so do
/// those of what is written.
///
/// # Panics
/// If that does not hold.
pub fn stream(dialect: Dialect, array: bool, seed: u8, stream: &[u8]) {
    let form = if array { Form::Array } else { Form::Sse };
    let events = decode(dialect, form, [stream]);
    in_order(&events);
    assert_eq!(decode(dialect, form, cut(stream, seed)), events, "cut by {seed}");
    for to in DIALECTS {
        let (out, losses) = translate(dialect, to, form, stream, 0);
        assert_eq!(translate(dialect, to, form, stream, seed), (out.clone(), losses), "{to}, cut by {seed}");
        let there = decode(to, Form::Sse, [&out]);
        in_order(&there);
        let whole = there.iter().any(|event| matches!(event, Event::End | Event::Error(_)));
        assert!(whole, "no end in {to}: {}", String::from_utf8_lossy(&out));
    }
}

/// The order that `filters/chat/event.rs` promises.
fn in_order(events: &[Event]) {
    let mut open: HashMap<(u32, u32), &Opening> = HashMap::new();
    let mut parts: HashMap<u32, u32> = HashMap::new();
    let mut finished: HashSet<u32> = HashSet::new();
    let (mut started, mut failed, mut ended) = (false, false, false);
    for event in events {
        assert!(!ended && (!failed || *event == Event::End), "behind the end: {event:?}");
        let early = matches!(event, Event::Start(_) | Event::Error(_) | Event::Ping | Event::Lost(_));
        assert!(started || early, "before the start: {event:?}");
        match event {
            Event::Start(_) => assert!(!std::mem::replace(&mut started, true), "a second start"),
            Event::Open { choice, part, opening, .. } => {
                let next = parts.entry(*choice).or_default();
                assert!(part == next && !finished.contains(choice), "out of turn: {event:?}");
                *next += 1;
                open.insert((*choice, *part), opening);
            }
            Event::Delta { choice, part, delta } => {
                let opening = open.get(&(*choice, *part));
                assert!(opening.is_some_and(|opening| fits(opening, delta)), "does not fit: {event:?}");
            }
            Event::Close { choice, part } => {
                assert!(open.remove(&(*choice, *part)).is_some(), "not open: {event:?}");
            }
            Event::Finish { choice, .. } => {
                assert!(!open.keys().any(|(of, _)| of == choice), "finished with an open part: {event:?}");
                assert!(finished.insert(*choice), "finished twice: {event:?}");
            }
            Event::Error(_) => failed = true,
            Event::End => ended = true,
            _ => {}
        }
    }
}

fn fits(opening: &Opening, delta: &Delta) -> bool {
    match delta {
        Delta::Text(_) => matches!(opening, Opening::Text | Opening::Refusal),
        Delta::Annotation(_) => matches!(opening, Opening::Text),
        Delta::Thought { .. } | Delta::Seal(_) => matches!(opening, Opening::Reasoning { .. }),
        Delta::Arguments(_) => matches!(opening, Opening::ToolCall(_)),
    }
}

/// The stream that an input stands for. Input: a byte whose low bits say how (1: an array of documents; 2: the rest is
/// the stream itself, otherwise it is documents, one a line), a byte that chooses how it is cut, then the rest.
pub fn input(input: &[u8]) -> Option<(bool, u8, Vec<u8>)> {
    let [how, seed, rest @ ..] = input else { return None };
    let array = how & 1 != 0;
    if how & 2 != 0 {
        return Some((array, *seed, rest.to_vec()));
    }
    let mut stream = if array { b"[".to_vec() } else { Vec::new() };
    for (i, line) in rest.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        let (before, after): (&[u8], &[u8]) = match (array, i) {
            (true, 0) => (b"", b"\n"),
            (true, _) => (b",", b"\n"),
            (false, _) => (b"data: ", b"\n\n"),
        };
        stream.extend_from_slice(before);
        stream.extend_from_slice(line);
        stream.extend_from_slice(after);
    }
    if array {
        stream.push(b']');
    }
    Some((array, *seed, stream))
}

/// Changes one thing in a document of JSON: what is still JSON gets further into a parser than other bytes do.
pub fn change(document: &mut Value, random: &mut Random) {
    let count = nodes(document);
    let other = node(document, &mut random.below(count)).cloned().unwrap_or_default();
    let Some(place) = node(document, &mut random.below(count)) else { return };
    match (random.below(8), place) {
        (0, Value::Object(map)) if !map.is_empty() => {
            let key = map.keys().nth(random.below(map.len())).cloned().unwrap_or_default();
            map.remove(&key);
        }
        (1, Value::Object(map)) if !map.is_empty() => {
            let key = map.keys().nth(random.below(map.len())).cloned().unwrap_or_default();
            map.insert(key, other);
        }
        (2, Value::Array(list)) if !list.is_empty() => {
            let twin = list[random.below(list.len())].clone();
            list.insert(random.below(list.len() + 1), twin);
        }
        (3, Value::Array(list)) if !list.is_empty() => drop(list.remove(random.below(list.len()))),
        (4, Value::Array(list)) if list.len() > 1 => {
            let (a, b) = (random.below(list.len()), random.below(list.len()));
            list.swap(a, b);
        }
        (5, place) => *place = other,
        (_, place @ (Value::Object(_) | Value::Array(_))) if random.below(4) > 0 => drop(place.take()),
        (_, place) => {
            let odd = ODD[random.below(ODD.len())];
            *place = serde_json::from_str(odd).unwrap_or_default();
        }
    }
}

const ODD: [&str; 22] = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "7",
    "1.5",
    "1e300",
    "18446744073709551615",
    "\"\"",
    "\" \"",
    "\"a.b/c~d\"",
    "\"größer 🦀\"",
    "\"{\\\"a\\\":1}\"",
    "\"data:image/png;base64,AAAA\"",
    "\"~\"",
    "[]",
    "{}",
    "[[]]",
    "{\"~\":{\"id\":1}}",
    "{\"type\":\"text\",\"text\":\"x\"}",
];

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(nodes).sum(),
        Value::Object(map) => map.values().map(nodes).sum(),
        _ => 0,
    }
}

fn node<'v>(value: &'v mut Value, left: &mut usize) -> Option<&'v mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    let inner: Vec<&mut Value> = match value {
        Value::Array(list) => list.iter_mut().collect(),
        Value::Object(map) => map.values_mut().collect(),
        _ => Vec::new(),
    };
    for one in inner {
        let size = nodes(one);
        if *left < size {
            return node(one, left);
        }
        *left -= size;
    }
    None
}

/// Numbers that follow from a seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `end`; 0 where there is none.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or_default().checked_rem(end).unwrap_or_default()
    }
}

/// Changes one document of an input: the body of a request (`head` is 0), or one line of those behind the first `head`
/// bytes. `None` where it is none, or would become longer than `most`.
pub fn mutated(input: &[u8], head: usize, most: usize, seed: u32) -> Option<Vec<u8>> {
    let (before, rest) = input.split_at_checked(head)?;
    let mut random = Random::new(u64::from(seed));
    let mut lines: Vec<&[u8]> = rest.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let at = random.below(lines.len());
    let mut document: Value = serde_json::from_slice(lines.get(at)?).ok()?;
    change(&mut document, &mut random);
    let document = document.to_string();
    match random.below(8) {
        0 if head > 0 => lines.insert(at, document.as_bytes()),
        1 if head > 0 => drop(lines.remove(at)),
        _ => lines[at] = document.as_bytes(),
    }
    let mut out = before.to_vec();
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.push(b'\n');
        }
        out.extend_from_slice(line);
    }
    (out.len() <= most).then_some(out)
}
