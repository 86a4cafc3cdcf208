//! Responses streams: from documents to events.

mod items;
mod told;
mod wire;

use serde_json::{Map, Value};
use tollgate_filters::chat::{At, Content, Event, Failure, Part, Pointer, Start};

use self::items::Items;
use self::wire::Document;
use super::error;
use super::response::{finish, head, read_item};
use crate::dialect::fields::Fields;

/// The state between two documents of a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    started: bool,
    ended: bool,
    items: Items,
}

impl Decoder {
    /// Reads one document (the data of an SSE event) and tells what it says.
    pub fn document(&mut self, data: &[u8], events: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        match serde_json::from_slice::<Document<'_>>(data) {
            Ok(document) => self.read(&document, data, events),
            // Other than an object it may be `[DONE]`, which some vendors send here too.
            Err(_) => {
                if let Ok(Value::Object(members)) = serde_json::from_slice(data) {
                    self.odd(members, events);
                }
            }
        }
    }

    fn read(&mut self, document: &Document<'_>, data: &[u8], events: &mut Vec<Event>) {
        if document.kind != "error" && document.kind != "keepalive" {
            self.start(document, events);
        }
        let items = &mut self.items;
        match document.kind.as_ref() {
            "response.output_text.delta" => items.text(document, false, events),
            "response.refusal.delta" => items.text(document, true, events),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                items.arguments(document, events);
            }
            "response.reasoning_summary_text.delta" => items.thought(document, true, events),
            "response.reasoning_text.delta" => items.thought(document, false, events),
            "response.output_item.added" => items.added(document, events),
            "response.output_item.done" => items.done(document, events),
            "response.content_part.added" => items.content_added(document, events),
            "response.content_part.done" => items.content_done(document, events),
            "response.output_text.annotation.added" => items.annotation(document, events),
            "response.completed" | "response.incomplete" | "response.cancelled" => {
                self.end(document, events);
            }
            "response.failed" => self.failed(document, events),
            "error" => self.error(data, events),
            "keepalive" => events.push(Event::Ping),
            // What these say is said again by other events, or only that something is under way.
            _ => {}
        }
    }

    /// A document whose members are not all of the types they should be: it is read without those.
    fn odd(&mut self, mut members: Map<String, Value>, events: &mut Vec<Event>) {
        if members.get("error").is_some_and(|error| !error.is_null()) {
            return self.error(Value::Object(members).to_string().as_bytes(), events);
        }
        members.retain(|key, value| match key.as_str() {
            "type" | "delta" => value.is_string(),
            key if key.ends_with("_index") => value.is_u64(),
            _ => true,
        });
        let data = Value::Object(members).to_string().into_bytes();
        if let Ok(document) = serde_json::from_slice::<Document<'_>>(&data) {
            self.read(&document, &data, events);
        }
    }

    fn start(&mut self, document: &Document<'_>, events: &mut Vec<Event>) {
        if self.started {
            return;
        }
        self.started = true;
        let response = document.response();
        let Some(fields) = response.and_then(|response| Fields::new(response, Pointer::ROOT).ok()) else {
            events.push(Event::Start(Start::default()));
            return;
        };
        let (head, _) = head(fields);
        events.push(Event::Start(Start { id: head.id, model: head.model, created: head.created }));
        // The envelope tells a writer of this dialect at once what the provider repeats of the request.
        let mut extra = head.extra;
        extra.retain(|key, _| key.starts_with('~'));
        events.push(Event::Extra(At::new(extra, Pointer::ROOT)));
    }

    fn end(&mut self, document: &Document<'_>, events: &mut Vec<Event>) {
        self.ended = true;
        let fields = document.response().and_then(|response| Fields::new(response, Pointer::ROOT).ok());
        let (head, output) = match fields {
            Some(fields) => {
                let (head, output) = head(fields);
                (Some(head), output)
            }
            None => (None, None),
        };
        if let Some(Value::Array(list)) = output {
            for (i, item) in list.into_iter().enumerate() {
                self.items.left_over(i, item, events);
            }
        }
        self.items.close_all(events);
        let status = head.as_ref().and_then(|head| head.status.as_deref());
        let status = status.unwrap_or(document.kind.rsplit('.').next().unwrap_or("completed"));
        let reason = head.as_ref().and_then(|head| head.reason.as_deref());
        if let Some(finish) = finish(Some(status), reason, self.items.calls) {
            events.push(Event::Finish { choice: 0, finish });
        }
        if let Some(head) = head {
            events.extend(head.usage.map(Event::Usage));
            events.extend(head.service_tier.map(Event::ServiceTier));
            events.push(Event::Extra(At::new(head.extra, Pointer::ROOT)));
        }
        events.push(Event::End);
    }

    fn failed(&mut self, document: &Document<'_>, events: &mut Vec<Event>) {
        let response = document.response().unwrap_or_default();
        let error = response.get("error").cloned().unwrap_or_default();
        self.fail(error::of(&error), events);
    }

    fn error(&mut self, data: &[u8], events: &mut Vec<Event>) {
        self.fail(error::parse(0, data), events);
    }

    fn fail(&mut self, mut failure: Failure, events: &mut Vec<Event>) {
        self.ended = true;
        if failure.message.is_empty() {
            "The provider failed.".clone_into(&mut failure.message);
        }
        events.push(Event::Error(failure));
    }

    /// The bytes are over. Tells what the stream's end implies; `Event::End` only if the stream had ended as it should.
    pub fn finish(&mut self, events: &mut Vec<Event>) {
        // The last event of a stream is its semantic end, so nothing can be missing behind it.
        let _ = events;
    }
}

/// The parts of an item that is done.
fn parts(item: Value, index: usize) -> Vec<Part> {
    read_item(item, Pointer::of("/output").index(index))
}

fn is_call(part: &Part) -> bool {
    matches!(part.content, Content::ToolCall(_))
}
