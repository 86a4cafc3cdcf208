//! A copy of what a client is passed, where it is to be kept.

use memchr::memmem;
use serde_json::Value;

use crate::dialect::frames::Frames;

/// The longest answer of which a copy is kept.
const MAX_COPY: usize = 16 * 1024 * 1024;

/// A copy of a Responses answer that is passed on as it comes: the document that holds the whole of it.
#[derive(Debug)]
pub(in crate::proxy) enum Copy {
    Whole(Vec<u8>),
    Stream(Frames, Option<Value>),
}

impl Copy {
    pub(in crate::proxy) fn new(stream: bool) -> Self {
        if stream { Self::Stream(Frames::sse(), None) } else { Self::Whole(Vec::new()) }
    }

    pub(in crate::proxy) fn push(&mut self, chunk: &[u8]) {
        match self {
            Self::Whole(body) if body.len() + chunk.len() <= MAX_COPY => body.extend_from_slice(chunk),
            // Too long to be kept: what is there is no JSON, and so nothing.
            Self::Whole(_) => {}
            Self::Stream(frames, last) => {
                // An event that is too long is none that holds an answer that could be kept.
                let _ = frames.push(chunk, |data| {
                    if is_final(data) && data.len() <= MAX_COPY {
                        *last = serde_json::from_slice(data).ok();
                    }
                });
            }
        }
    }

    pub(in crate::proxy) fn response(self) -> Option<Value> {
        match self {
            Self::Whole(body) => serde_json::from_slice(&body).ok(),
            Self::Stream(_, last) => last.and_then(|mut event| event.get_mut("response").map(Value::take)),
        }
    }
}

fn is_final(data: &[u8]) -> bool {
    // Some write the type first, and some last.
    let ends = [&data[..data.len().min(256)], &data[data.len().saturating_sub(256)..]];
    let has = |kind: &str| ends.iter().any(|end| memmem::find(end, kind.as_bytes()).is_some());
    has(r#""response.completed""#) || has(r#""response.incomplete""#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_copy_of_a_stream_is_its_last_document() {
        let mut copy = Copy::new(true);
        let stream = b"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"a\"}}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"b\"}}\n\n";
        for piece in stream.chunks(7) {
            copy.push(piece);
        }
        assert_eq!(copy.response(), Some(json!({ "id": "b" })));
    }
}
