//! OpenAI Responses: numbered events, items and their parts opened and closed in order, the whole answer last.

use std::collections::HashMap;

use serde_json::Value;

use super::{Sse, Verdict, ensure, number, parse, text};

#[derive(Default)]
struct Stream {
    /// The open items, by their index: id and what their deltas have said, by kind and place.
    open: HashMap<u64, (String, HashMap<String, String>)>,
    done: Vec<Value>,
    next: u64,
    ended: bool,
    failed: bool,
}

pub fn check(events: &[Sse], broken: bool) -> Verdict {
    let mut stream = Stream::default();
    for (position, sse) in events.iter().enumerate() {
        let event = parse(sse)?;
        let kind = text(&event, "/type")?.to_owned();
        ensure(sse.event.as_deref() == Some(&kind), || format!("{:?} is not {kind}", sse.event))?;
        ensure(number(&event, "/sequence_number")? == position as u64, || {
            format!("not number {position}: {event}")
        })?;
        ensure(!stream.ended, || format!("something after the end: {event}"))?;
        let first = position == 0;
        ensure(first == (kind == "response.created") || (first && kind == "error"), || {
            format!("not first: {event}")
        })?;
        stream.event(&kind, &event)?;
    }
    ensure(stream.failed == broken, || format!("failed: {}", stream.failed))?;
    ensure(stream.ended, || "no end".to_owned())
}

impl Stream {
    fn event(&mut self, kind: &str, event: &Value) -> Verdict {
        match kind {
            "response.created" | "response.in_progress" => {
                ensure(event["response"]["status"] == "in_progress", || format!("not in progress: {event}"))?;
                text(event, "/response/id").map(drop)
            }
            "response.output_item.added" => self.added(event),
            "response.output_item.done" => self.item_done(event),
            "response.completed" | "response.incomplete" => self.completed(event),
            "response.failed" => {
                text(event, "/response/error/message")?;
                (self.ended, self.failed) = (true, true);
                Ok(())
            }
            "error" => {
                text(event, "/message")?;
                (self.ended, self.failed) = (true, true);
                Ok(())
            }
            _ => self.within(kind, event),
        }
    }

    fn added(&mut self, event: &Value) -> Verdict {
        let index = number(event, "/output_index")?;
        ensure(index == self.next, || format!("not output {}: {event}", self.next))?;
        self.next += 1;
        self.open.insert(index, (text(event, "/item/id")?.to_owned(), HashMap::new()));
        Ok(())
    }

    /// An event of an open item.
    fn within(&mut self, kind: &str, event: &Value) -> Verdict {
        let index = number(event, "/output_index")?;
        let (id, said) = self.open.get_mut(&index).ok_or_else(|| format!("no such item is open: {event}"))?;
        ensure(event["item_id"] == id.as_str(), || format!("not the item's id: {event}"))?;
        let place = event.get("content_index").or(event.get("summary_index")).unwrap_or(&Value::Null);
        if let Some(of) = kind.strip_suffix(".delta") {
            said.entry(format!("{of} {place}")).or_default().push_str(text(event, "/delta")?);
        } else if let Some(of) = kind.strip_suffix(".done") {
            let whole = ["text", "arguments", "refusal", "input"].iter().find_map(|key| event[*key].as_str());
            let pieces = said.get(&format!("{of} {place}")).map(String::as_str);
            if let Some(whole) = whole {
                ensure(pieces.unwrap_or_default() == whole, || {
                    format!("not what was said, {pieces:?}: {event}")
                })?;
            }
        }
        if kind == "response.output_text.delta" || kind == "response.output_text.done" {
            ensure(event["logprobs"].is_array(), || format!("no list of logprobs: {event}"))?;
        }
        Ok(())
    }

    fn item_done(&mut self, event: &Value) -> Verdict {
        let index = number(event, "/output_index")?;
        let (id, _) = self.open.remove(&index).ok_or_else(|| format!("no such item is open: {event}"))?;
        ensure(event["item"]["id"] == id.as_str(), || format!("not the item's id: {event}"))?;
        self.done.push(event["item"].clone());
        Ok(())
    }

    fn completed(&mut self, event: &Value) -> Verdict {
        ensure(self.open.is_empty(), || format!("items are open: {:?}", self.open.keys()))?;
        let output = event["response"]["output"].as_array().cloned().unwrap_or_default();
        let status = text(event, "/response/status")?;
        ensure(text(event, "/type")?.ends_with(status), || format!("another status: {event}"))?;
        ensure(
            output.len() == self.done.len() && output.iter().all(|item| self.done.contains(item)),
            || format!("the items of the end are not those of the stream: {output:?} {:?}", self.done),
        )?;
        self.ended = true;
        Ok(())
    }
}
