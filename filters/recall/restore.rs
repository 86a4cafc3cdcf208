//! Putting reasoning back into a conversation that a client sent without it.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::ops::Range;

use super::key::{Asked, Key, answer_of};
use super::{Place, Recalled, length};
use crate::chat::{Content, Message, Part, Reasoning, Request, Role, ToolCall};

/// Puts back what `recall` knows, in one step: for tests, which need no time to ask.
#[cfg(test)]
pub(super) fn restore(
    request: &mut Request,
    mut recall: impl FnMut(&Key) -> Option<std::sync::Arc<[super::Remembered]>>,
) {
    let gaps = Gaps::of(request);
    let found = gaps.keys().into_iter().filter_map(|key| Some((key.clone(), recall(key)?)));
    let recalled = found.collect();
    gaps.fill(request, &recalled);
}

/// Where a conversation may lack reasoning.
#[derive(Debug)]
pub struct Gaps(Vec<Turn>);

/// What the model said before the user spoke again. Some dialects make several messages of it.
#[derive(Debug)]
struct Turn {
    messages: Range<usize>,
    gaps: Vec<Gap>,
}

/// A stretch of a turn.
#[derive(Debug)]
struct Gap {
    key: Key,
    /// Its parts in order, with how much text each holds.
    spots: Vec<(Spot, usize)>,
    /// Where reasoning stands that came last: the call, or the last text of a turn without calls.
    close: Spot,
    /// It has sealed reasoning already: nothing is missing, but it may not be whole.
    sealed: bool,
}

/// A part: the number of its message, and its own number in it.
type Spot = (usize, usize);

impl Gaps {
    pub fn of(request: &Request) -> Self {
        let messages = &request.messages;
        let mut turns = Vec::new();
        let mut at = 0;
        while at < messages.len() {
            let is_model = |message: &&Message| message.role == Role::Assistant;
            let length = messages[at..].iter().take_while(is_model).count();
            if length > 0 {
                let turn = Turn { messages: at..at + length, gaps: gaps(messages, at..at + length) };
                turns.extend(Some(turn).filter(|turn| !turn.gaps.is_empty()));
            }
            at += length.max(1);
        }
        Self(turns)
    }

    /// What has to be asked for.
    pub fn keys(&self) -> Vec<&Key> {
        self.0.iter().flat_map(|turn| &turn.gaps).map(|gap| &gap.key).collect()
    }

    /// Puts in what was found. `request` has to be the one that the gaps are of.
    pub fn fill(&self, request: &mut Request, recalled: &Recalled) {
        for turn in &self.0 {
            if let Some(messages) = request.messages.get_mut(turn.messages.clone()) {
                turn.fill(messages, recalled);
            }
        }
    }
}

fn gaps(messages: &[Message], turn: Range<usize>) -> Vec<Gap> {
    let asked = OnceCell::new();
    let start = turn.start;
    let asked = || asked.get_or_init(|| Asked::before(&messages[..start]));
    let mut gaps = Vec::new();
    let mut nameless = Vec::new();
    let (mut spots, mut sealed, mut calls) = (Vec::new(), false, false);
    for number in turn.clone() {
        for (at, part) in messages[number].parts.iter().enumerate() {
            match &part.content {
                Content::Reasoning(reasoning) => sealed |= reasoning.seal.is_some(),
                Content::ToolCall(call) => {
                    calls = true;
                    let close = (number, at);
                    let spots = std::mem::take(&mut spots);
                    let key = call_key(call, &asked, &mut nameless);
                    if let Some(key) = key {
                        gaps.push(Gap { key, spots, close, sealed });
                    }
                    sealed = false;
                }
                _ => spots.push(((number, at), length(part))),
            }
        }
    }
    if calls {
        return gaps;
    }
    gaps.extend(said(&messages[turn.clone()], start, asked()));
    if turn.len() > 1 {
        // Or each message was an answer by itself.
        let each = turn.filter_map(|at| said(&messages[at..=at], at, asked()));
        gaps.extend(each);
    }
    for gap in &mut gaps {
        gap.sealed = sealed;
    }
    gaps
}

fn call_key<'a>(
    call: &'a ToolCall,
    asked: &impl Fn() -> &'a Asked,
    nameless: &mut Vec<&'a str>,
) -> Option<Key> {
    if let Some(answer) = answer_of(&call.id) {
        let nth = nameless.iter().filter(|other| **other == answer).count();
        nameless.push(answer);
        return Some(Key::nameless(answer, nth));
    }
    (!call.id.is_empty()).then(|| Key::call(&call.id, &call.name, asked()))
}

/// The gap of messages without calls, the first of which has the number `first`.
fn said(messages: &[Message], first: usize, asked: &Asked) -> Option<Gap> {
    let key = Key::turn(messages.iter().flat_map(|message| &message.parts), asked)?;
    let mut spots = Vec::new();
    for (number, message) in (first..).zip(messages) {
        let parts = message.parts.iter().enumerate();
        let parts = parts.filter(|(_, part)| !matches!(part.content, Content::Reasoning(_)));
        spots.extend(parts.map(|(at, part)| ((number, at), length(part))));
    }
    let (close, _) = *spots.iter().rfind(|(_, length)| *length > 0)?;
    Some(Gap { key, spots, close, sealed: false })
}

impl Turn {
    /// What came back with its seal but without its thoughts, or with a part of them, gets them again: some clients keep
    /// the last piece of a stream, or keep the two apart. Its maker would refuse the seal over anything else.
    fn mend<'a>(&self, messages: &mut [Message], recalled: &'a Recalled) -> Vec<&'a Reasoning> {
        let found = self.gaps.iter().filter_map(|gap| recalled.get(&gap.key));
        let known: Vec<&Reasoning> = found.flat_map(|list| list.iter().map(|r| &r.reasoning)).collect();
        let mut mended = Vec::new();
        for part in messages.iter_mut().flat_map(|message| &mut message.parts) {
            let Content::Reasoning(present) = &mut part.content else { continue };
            if present.seal.is_none() {
                continue;
            }
            let same = known.iter().find(|known| known.seal == present.seal);
            if let Some(same) = same.filter(|same| same.thoughts != present.thoughts) {
                present.thoughts.clone_from(&same.thoughts);
                mended.push(*same);
            }
        }
        mended
    }

    fn fill(&self, messages: &mut [Message], recalled: &Recalled) {
        let first = self.messages.start;
        let mended = self.mend(messages, recalled);
        let present: Vec<&Reasoning> = messages.iter().flat_map(|m| &m.parts).filter_map(reasoning).collect();
        let mut seals: HashSet<&str> =
            present.iter().filter_map(|r| Some(r.seal.as_ref()?.data.as_str())).collect();
        let mut inserts: Vec<(Spot, &Reasoning, Spot)> = Vec::new();
        for gap in self.gaps.iter().filter(|gap| !gap.sealed) {
            for remembered in recalled.get(&gap.key).into_iter().flat_map(|list| list.iter()) {
                let missing = match &remembered.reasoning.seal {
                    Some(seal) => seals.insert(&seal.data),
                    // Thoughts that only can be read: what the client has of them is as good.
                    None => {
                        present.is_empty() && inserts.iter().all(|(_, put, _)| *put != &remembered.reasoning)
                    }
                };
                if missing {
                    inserts.push((gap.spot(remembered.place), &remembered.reasoning, gap.close));
                }
            }
        }
        if inserts.is_empty() && mended.is_empty() {
            return;
        }
        let whole = inserts.iter().map(|(_, reasoning, _)| *reasoning).chain(mended);
        let copies = copies(messages, whole);
        for (number, message) in (first..).zip(messages) {
            let mut parts = Vec::with_capacity(message.parts.len() + inserts.len());
            let places: Vec<_> = message.parts.iter().map(|part| part.at.clone()).collect();
            for (at, part) in std::mem::take(&mut message.parts).into_iter().enumerate() {
                let here = inserts.iter().filter(|(spot, ..)| *spot == (number, at));
                parts.extend(here.map(|(_, reasoning, close)| {
                    let place = if close.0 == number { &places[close.1] } else { &part.at };
                    Part::new(Content::Reasoning((*reasoning).clone()), place.clone())
                }));
                if !copies.contains(&(number - first, at)) {
                    parts.push(part);
                }
            }
            message.parts = parts;
        }
    }
}

impl Gap {
    fn spot(&self, place: Place) -> Spot {
        let Place::Text(offset) = place else { return self.close };
        let mut said = 0;
        for (spot, length) in &self.spots {
            // Where a client joined what had been two texts, before both.
            if said >= offset || offset < said + length {
                return *spot;
            }
            said += length;
        }
        self.close
    }
}

/// The parts that only repeat, without a seal, thoughts that come back with one: chat clients return
/// `reasoning_content`, but not what is beside it.
fn copies<'a>(messages: &[Message], whole: impl Iterator<Item = &'a Reasoning>) -> HashSet<Spot> {
    let squeeze = |text: &str| text.split_ascii_whitespace().collect::<String>();
    let sealed = whole.filter(|reasoning| reasoning.seal.is_some());
    let thoughts: String = sealed.map(|reasoning| squeeze(&reasoning.text())).collect();
    let mut copies = HashSet::new();
    for (number, message) in messages.iter().enumerate() {
        for (at, part) in message.parts.iter().enumerate() {
            let unsealed = reasoning(part).filter(|reasoning| reasoning.seal.is_none());
            let text = unsealed.map(|copy| squeeze(&copy.text()));
            if text.is_some_and(|text| thoughts.contains(&text)) {
                copies.insert((number, at));
            }
        }
    }
    copies
}

fn reasoning(part: &Part) -> Option<&Reasoning> {
    match &part.content {
        Content::Reasoning(reasoning) => Some(reasoning),
        _ => None,
    }
}
