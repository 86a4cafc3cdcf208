//! Texts and thoughts that came in pieces: a client that was streamed to sends each back as a part of its own.

use serde_json::{Value, json};
use tollgate_filters::chat::{At, Content, Maker, Part, Reasoning, Request};

use crate::dialect::gemini::spelling::places;

/// Joins what follows each other in a model's turn: pieces of a text, pieces of a thought, and a thought with the seal of
/// another provider's, which had to be put on the next part. `forms` notes how long each piece was.
pub fn join(parts: &mut Vec<Part>, forms: &mut Vec<At<Value>>) {
    let mut lengths: Vec<Vec<usize>> = Vec::with_capacity(parts.len());
    let mut joined: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts.drain(..) {
        let length = said(&part.content).map(str::len);
        let marked = |part: &Part| {
            let [one, other] = places(&part.at, "thoughtSignature");
            forms.iter().any(|form| form.at == one || form.at == other)
        };
        let plain = |part: &Part| part.extra.is_empty() && !marked(part);
        match (joined.last_mut(), lengths.last_mut()) {
            (Some(last), Some(lengths)) if plain(last) && plain(&part) => {
                if let Some(part) = add(last, part) {
                    joined.push(part);
                } else {
                    lengths.extend(length);
                    continue;
                }
            }
            _ => joined.push(part),
        }
        lengths.push(length.into_iter().collect());
    }
    for (part, lengths) in joined.iter().zip(lengths).filter(|(_, lengths)| lengths.len() > 1) {
        forms.push(At::new(json!(lengths), part.at.key("text")));
    }
    *parts = joined;
}

fn said(content: &Content) -> Option<&str> {
    match content {
        Content::Text(text) => Some(&text.text),
        Content::Reasoning(Reasoning { thoughts, .. }) => {
            thoughts.first().map(|thought| thought.text.as_str())
        }
        _ => None,
    }
}

/// Adds `part` to `last`, or gives it back where it is nothing of the kind.
fn add(last: &mut Part, part: Part) -> Option<Part> {
    match (&mut last.content, part.content) {
        (Content::Text(last), Content::Text(text)) => last.text.push_str(&text.text),
        (Content::Reasoning(last), Content::Reasoning(next)) if goes_on(last, &next) => {
            if let (Some(thought), Some(more)) = (last.thoughts.first_mut(), next.thoughts.first()) {
                thought.text.push_str(&more.text);
            }
            last.seal = next.seal;
        }
        (_, content) => return Some(Part { content, ..part }),
    }
    None
}

fn goes_on(last: &Reasoning, next: &Reasoning) -> bool {
    let own = next.seal.as_ref().is_some_and(|seal| seal.maker == Maker::Gemini);
    let open = last.seal.is_none() && last.thoughts.len() == 1;
    // What Gemini signs is the part behind.
    open && !(next.thoughts.is_empty() && own)
}

/// The pieces that a text of the part came in.
pub fn split<'a>(text: &'a str, part: &Part, request: Option<&Request>) -> Vec<&'a str> {
    let form = request.and_then(|request| request.form(&part.at.key("text"))).and_then(Value::as_array);
    let mut rest = text;
    let mut pieces = Vec::new();
    for length in form.into_iter().flatten().filter_map(Value::as_u64) {
        let cut = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
        let Some((piece, more)) = cut else { return vec![text] };
        pieces.push(piece);
        rest = more;
    }
    if pieces.is_empty() || !rest.is_empty() { vec![text] } else { pieces }
}
