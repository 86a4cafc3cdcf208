//! The documents of a stream as bytes: SSE, or the elements of a JSON array.

use std::io::Write;

use serde_json::{Map, Value};

#[derive(Debug)]
pub struct Documents {
    sse: bool,
    begun: bool,
    /// `"modelVersion":…,"responseId":…}`: how each document ends.
    tail: String,
}

impl Documents {
    pub fn new(sse: bool, model: &str, id: &str) -> Self {
        let tail = format!("\"modelVersion\":{},\"responseId\":{}}}", Value::from(model), Value::from(id));
        Self { sse, begun: false, tail }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(match (self.sse, self.begun) {
            (true, _) => b"data: ",
            (false, false) => b"[",
            (false, true) => b"\n,\r\n",
        });
        self.begun = true;
    }

    fn close(&self, out: &mut Vec<u8>) {
        if self.sse {
            out.extend_from_slice(b"\r\n\r\n");
        }
    }

    /// A piece of a text, or of a thought.
    pub fn text(
        &mut self,
        text: &str,
        thought: bool,
        signature: Option<&str>,
        index: u32,
        out: &mut Vec<u8>,
    ) {
        self.begin(out);
        out.extend_from_slice(b"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":");
        string(text, out);
        if thought {
            out.extend_from_slice(b",\"thought\":true");
        }
        if let Some(signature) = signature {
            out.extend_from_slice(b",\"thoughtSignature\":");
            string(signature, out);
        }
        self.after_part(index, out);
    }

    /// A part that comes whole.
    pub fn part(&mut self, mut part: Value, index: u32, out: &mut Vec<u8>) {
        self.begin(out);
        out.extend_from_slice(b"{\"candidates\":[{\"content\":{\"parts\":[");
        if !part.is_object() {
            part = Value::Object(Map::new());
        }
        let text = part.to_string();
        out.extend_from_slice(&text.as_bytes()[..text.len() - 1]);
        self.after_part(index, out);
    }

    fn after_part(&mut self, index: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(b"}],\"role\":\"model\"},\"index\":");
        // Writing to a vector cannot fail.
        let _ = write!(out, "{index}");
        out.extend_from_slice(b"}],");
        out.extend_from_slice(self.tail.as_bytes());
        self.close(out);
    }

    /// A document with these members, and what each document has.
    pub fn object(&mut self, body: Map<String, Value>, out: &mut Vec<u8>) {
        self.begin(out);
        let text = Value::Object(body).to_string();
        out.extend_from_slice(&text.as_bytes()[..text.len() - 1]);
        if text.len() > 2 {
            out.push(b',');
        }
        out.extend_from_slice(self.tail.as_bytes());
        self.close(out);
    }

    /// A document that is no answer.
    pub fn value(&mut self, body: &Value, out: &mut Vec<u8>) {
        self.begin(out);
        out.extend_from_slice(body.to_string().as_bytes());
        self.close(out);
    }

    /// Nothing follows.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if !self.sse {
            out.extend_from_slice(if self.begun { b"\n]" } else { b"[]" });
        }
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    // Writing a string to a vector cannot fail.
    let _ = serde_json::to_writer(out, text);
}
