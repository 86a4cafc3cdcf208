//! The order in which a decoder tells what happens: see `filters/chat/event.rs`.

use std::collections::{HashMap, HashSet};

use tollgate_filters::chat::{Delta, Event, Opening};

/// Says what is out of order, if something is.
pub fn check(events: &[Event]) -> Result<(), String> {
    let mut open: HashMap<(u32, u32), &Opening> = HashMap::new();
    let mut parts: HashMap<u32, u32> = HashMap::new();
    let mut finished: HashSet<u32> = HashSet::new();
    let (mut started, mut failed, mut ended) = (false, false, false);
    for event in events {
        let wrong = |why: &str| Err(format!("{why}: {event:?}"));
        if ended || (failed && *event != Event::End) {
            return wrong("something after the end");
        }
        let early = matches!(event, Event::Start(_) | Event::Error(_) | Event::Ping | Event::Lost(_));
        if !started && !early {
            return wrong("something before the start");
        }
        match event {
            Event::Start(_) if started => return wrong("a second start"),
            Event::Start(_) => started = true,
            Event::Open { choice, part, opening, .. } => {
                let next = parts.entry(*choice).or_default();
                if part != next || finished.contains(choice) {
                    return wrong("a part out of turn");
                }
                *next += 1;
                open.insert((*choice, *part), opening);
            }
            Event::Delta { choice, part, delta } => {
                let opening = open.get(&(*choice, *part));
                if !opening.is_some_and(|opening| fits(opening, delta)) {
                    return wrong("a delta that does not fit");
                }
            }
            Event::Close { choice, part } if open.remove(&(*choice, *part)).is_none() => {
                return wrong("closed, but not open");
            }
            Event::Finish { choice, .. }
                if open.keys().any(|(c, _)| c == choice) || !finished.insert(*choice) =>
            {
                return wrong("finished twice, or with an open part");
            }
            Event::Error(_) => failed = true,
            Event::End => ended = true,
            _ => {}
        }
    }
    if ended || failed { Ok(()) } else { Err("no end".to_owned()) }
}

fn fits(opening: &Opening, delta: &Delta) -> bool {
    match delta {
        Delta::Text(_) => matches!(opening, Opening::Text | Opening::Refusal),
        Delta::Annotation(_) => matches!(opening, Opening::Text),
        Delta::Thought { .. } | Delta::Seal(_) => matches!(opening, Opening::Reasoning { .. }),
        Delta::Arguments(_) => matches!(opening, Opening::ToolCall(_)),
    }
}
