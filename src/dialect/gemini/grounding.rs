//! `groundingMetadata`: what stretches of the text rest on, as annotations and back.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Annotation, ENVELOPE, Extra, Losses, Pointer};

use super::part::write::merge;

/// One text of the answer: which part it is, and what it says.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    /// The part's number among Gemini's own parts.
    pub own: u64,
    pub text: &'a str,
}

/// The annotations that the metadata at `at` makes, each with the number of the text in `texts` that it is about.
pub fn read(metadata: &Value, at: &Pointer, texts: &[Stretch<'_>]) -> Vec<(usize, Annotation)> {
    let list =
        |name: &str| metadata.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let chunks = list("groundingChunks");
    let mut found = Vec::new();
    for (i, support) in list("groundingSupports").iter().enumerate() {
        let at = at.key("groundingSupports").index(i);
        let Some((text, range)) = support.get("segment").and_then(|segment| locate(segment, texts)) else {
            continue;
        };
        let indices = support.get("groundingChunkIndices").and_then(Value::as_array);
        for chunk in indices.into_iter().flatten().filter_map(Value::as_u64) {
            let chunk = usize::try_from(chunk).ok().and_then(|chunk| chunks.get(chunk));
            let Some(chunk) = chunk.and_then(|c| c.as_object()?.values().find(|v| v.is_object())) else {
                continue;
            };
            let word = |name: &str| chunk.get(name).and_then(Value::as_str).map(str::to_owned);
            found.push((
                text,
                Annotation {
                    url: word("uri"),
                    title: word("title"),
                    start: range.map(|(start, _)| start),
                    end: range.map(|(_, end)| end),
                    cited: word("text"),
                    raw: support.clone(),
                    at: at.clone(),
                },
            ));
        }
    }
    found
}

/// A text and what was read to be cited in it, with the numbers that [`Sources::add`] is given.
#[derive(Debug)]
pub struct Said<'a> {
    pub text: &'a str,
    pub part: usize,
    pub before: usize,
    pub annotations: &'a [Annotation],
}

/// Takes `groundingMetadata` out of the members of the candidate at `candidate`, where the annotations that were read from
/// it say the same again: what they say is kept for Gemini alone, and what is left by its place.
pub fn keep(extra: &mut Extra, candidate: &Pointer, said: &[Said<'_>]) {
    const KEY: &str = "groundingMetadata";
    let Some(Value::Object(metadata)) = extra.get(KEY) else { return };
    let mut sources = Sources::default();
    for Said { text, part, before, annotations } in said {
        for annotation in *annotations {
            sources.add(annotation, text, *part, *before, &mut Losses::default());
        }
    }
    let again = sources.finish().unwrap_or_default();
    let carried = ["groundingChunks", "groundingSupports"];
    if carried.iter().any(|name| metadata.get(*name) != again.get(*name)) {
        return;
    }
    let (kept, left): (Map<String, Value>, Map<String, Value>) =
        metadata.clone().into_iter().partition(|(name, _)| carried.contains(&name.as_str()));
    extra.shift_remove(KEY);
    if !kept.is_empty() {
        enclose(extra, KEY, Value::Object(kept));
    }
    if !left.is_empty() {
        extra.insert(format!("{ENVELOPE}{}", candidate.key(KEY)), Value::Object(left));
    }
}

/// Keeps a member that says nothing to others.
pub fn enclose(extra: &mut Extra, key: &str, value: Value) {
    match extra.get_mut(ENVELOPE) {
        Some(Value::Object(kept)) => drop(kept.insert(key.to_owned(), value)),
        _ => drop(extra.insert(ENVELOPE.to_owned(), json!({ key: value }))),
    }
}

/// Puts back what [`keep`] and [`enclose`] took out.
pub fn restore(candidate: &mut Map<String, Value>, extra: &Extra) {
    let mut members = Map::new();
    for (name, value) in extra {
        match (name.strip_prefix(ENVELOPE), value) {
            (None, _) => drop(members.insert(name.clone(), value.clone())),
            (Some(""), Value::Object(kept)) => merge(&mut members, kept),
            (Some(place), _) => {
                let name = place.rsplit('/').next().unwrap_or_default();
                merge(&mut members, &Map::from_iter([(name.to_owned(), value.clone())]));
            }
        }
    }
    merge(candidate, &members);
}

/// The text that a segment is of, and its range in characters. Offsets are in bytes, of the part that `partIndex`
/// names; where other parts stand before the text, Google counts as if they were not there.
fn locate(segment: &Value, texts: &[Stretch<'_>]) -> Option<(usize, Option<(u64, u64)>)> {
    let number = |name: &str| segment.get(name).and_then(Value::as_u64).unwrap_or_default();
    let said = segment.get("text").and_then(Value::as_str);
    let start = usize::try_from(number("startIndex")).ok()?;
    let end = usize::try_from(number("endIndex")).ok()?;
    let own = number("partIndex");
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|i| texts[*i].own != own);
    for i in &order {
        let text = texts[*i].text;
        if let Some(slice) = text.get(start..end)
            && said.is_none_or(|said| said == slice)
        {
            let before = characters(&text[..start]);
            return Some((*i, Some((before, before + characters(slice)))));
        }
    }
    for i in &order {
        if let Some(said) = said
            && let Some(start) = texts[*i].text.find(said)
        {
            let before = characters(&texts[*i].text[..start]);
            return Some((*i, Some((before, before + characters(said)))));
        }
    }
    order.first().map(|i| (*i, None))
}

fn characters(text: &str) -> u64 {
    text.chars().count() as u64
}

/// Gathers others' annotations into `groundingMetadata`.
#[derive(Debug, Default)]
pub struct Sources {
    chunks: Vec<Value>,
    supports: Vec<Value>,
    queries: Vec<String>,
}

impl Sources {
    /// Adds a citation within `text`, which begins `before` bytes into the part of the number `part`.
    pub fn add(
        &mut self,
        annotation: &Annotation,
        text: &str,
        part: usize,
        before: usize,
        losses: &mut Losses,
    ) {
        let Some(url) = &annotation.url else { return losses.unsupported(&annotation.at) };
        if annotation.cited.is_some() {
            losses.approximated(&annotation.at);
        }
        let mut web = Map::new();
        web.insert("uri".to_owned(), json!(url));
        web.extend(annotation.title.as_ref().map(|title| ("title".to_owned(), json!(title))));
        let chunk = json!({ "web": web });
        let known = self.chunks.iter().position(|known| *known == chunk);
        let index = known.unwrap_or_else(|| {
            self.chunks.push(chunk);
            self.chunks.len() - 1
        });
        let mut segment = Map::new();
        if part > 0 {
            segment.insert("partIndex".to_owned(), json!(part));
        }
        let (start, end) = match (annotation.start, annotation.end) {
            (Some(start), Some(end)) if start < end => (byte(text, start), byte(text, end)),
            // Where it is about no stretch of it, it is about the text as a whole.
            (start, end) => {
                if start.is_some() || end.is_some() {
                    losses.approximated(&annotation.at);
                }
                (0, text.len())
            }
        };
        if before + start > 0 {
            segment.insert("startIndex".to_owned(), json!(before + start));
        }
        segment.insert("endIndex".to_owned(), json!(before + end));
        segment.insert("text".to_owned(), json!(text.get(start..end).unwrap_or_default()));
        let segment = Value::Object(segment);
        if let Some(Value::Array(indices)) = self
            .supports
            .last_mut()
            .filter(|support| support["segment"] == segment)
            .map(|support| &mut support["groundingChunkIndices"])
        {
            indices.push(json!(index));
        } else {
            self.supports.push(json!({ "segment": segment, "groundingChunkIndices": [index] }));
        }
    }

    pub fn query(&mut self, query: &str) {
        if !query.is_empty() {
            self.queries.push(query.to_owned());
        }
    }

    pub fn finish(self) -> Option<Value> {
        let mut metadata = Map::new();
        for (name, list) in [
            ("groundingChunks", Value::Array(self.chunks)),
            ("groundingSupports", Value::Array(self.supports)),
            ("webSearchQueries", json!(self.queries)),
        ] {
            if list.as_array().is_some_and(|list| !list.is_empty()) {
                metadata.insert(name.to_owned(), list);
            }
        }
        (!metadata.is_empty()).then_some(Value::Object(metadata))
    }
}

fn byte(text: &str, character: u64) -> usize {
    let nth = usize::try_from(character).unwrap_or(usize::MAX);
    text.char_indices().nth(nth).map_or(text.len(), |(byte, _)| byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_characters_and_bytes_again() {
        let text = "Käse: teuer.";
        let metadata = json!({
            "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}],
            "groundingSupports": [
                {"segment": {"startIndex": 7, "endIndex": 13, "text": "teuer."}, "groundingChunkIndices": [0]},
            ],
        });
        let texts = [Stretch { own: 2, text }];
        let found = read(&metadata, &Pointer::ROOT, &texts);
        let (_, annotation) = &found[0];
        assert_eq!((annotation.start, annotation.end), (Some(6), Some(12)));
        let mut sources = Sources::default();
        sources.add(annotation, text, 0, 0, &mut Losses::default());
        assert_eq!(sources.finish().unwrap(), metadata);
    }
}
