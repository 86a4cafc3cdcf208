//! The documents of a stream, each whole, out of bytes that come in any pieces: SSE, or Gemini's JSON array.

use super::sse::{Piece, Splitter};

/// The longest document that is waited for; a picture in an event can be some megabytes.
const MAX_DOCUMENT: usize = 32 * 1024 * 1024;

/// A document of the stream was longer than anybody may keep.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

/// Collects the documents of one stream.
#[derive(Debug)]
pub struct Frames {
    form: Form,
    /// The data of a document that is not complete yet.
    pending: Vec<u8>,
}

#[derive(Debug)]
enum Form {
    Sse(Splitter),
    Array(Array),
}

impl Frames {
    pub fn sse() -> Self {
        Self { form: Form::Sse(Splitter::default()), pending: Vec::new() }
    }

    /// A JSON array of documents, as Gemini sends it without `alt=sse`.
    pub fn array() -> Self {
        Self { form: Form::Array(Array::default()), pending: Vec::new() }
    }

    /// Hands every document that `bytes` completes to `each`. Events without data (comments) are passed over.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), TooLong> {
        let Self { form, pending } = self;
        match form {
            Form::Sse(splitter) => {
                // Data that lies within `bytes` as a whole is handed on without a copy.
                let mut whole: Option<&[u8]> = None;
                let mut length = pending.len();
                splitter.push(bytes, |piece| match piece {
                    Piece::Data(data) => {
                        length += data.len();
                        if length > MAX_DOCUMENT {
                            return;
                        }
                        if pending.is_empty() && whole.is_none() {
                            whole = Some(data);
                        } else {
                            if let Some(first) = whole.take() {
                                pending.extend_from_slice(first);
                            }
                            pending.extend_from_slice(data);
                        }
                    }
                    Piece::End(_) => {
                        let data = whole.take().unwrap_or(pending);
                        let data = data.trim_ascii();
                        if !data.is_empty() && length <= MAX_DOCUMENT {
                            each(data);
                        }
                        pending.clear();
                        length = if length > MAX_DOCUMENT { usize::MAX / 2 } else { 0 };
                    }
                });
                if let Some(rest) = whole {
                    pending.extend_from_slice(rest);
                }
                if length > MAX_DOCUMENT { Err(TooLong) } else { Ok(()) }
            }
            Form::Array(array) => array.push(bytes, pending, each),
        }
    }
}

/// Finds the elements of a JSON array of objects.
#[derive(Debug, Default)]
struct Array {
    /// Open braces and brackets, the array's own not counted.
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Array {
    fn push(
        &mut self,
        bytes: &[u8],
        pending: &mut Vec<u8>,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), TooLong> {
        let mut from = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = self.depth > 0,
                b'{' => {
                    if self.depth == 0 {
                        from = at;
                    }
                    self.depth += 1;
                }
                b'[' if self.depth > 0 => self.depth += 1,
                b']' | b'}' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        if pending.is_empty() {
                            each(&bytes[from..=at]);
                        } else {
                            pending.extend_from_slice(&bytes[from..=at]);
                            each(pending);
                            pending.clear();
                        }
                    }
                }
                _ => {}
            }
        }
        if self.depth > 0 {
            pending.extend_from_slice(&bytes[from..]);
        }
        if pending.len() > MAX_DOCUMENT { Err(TooLong) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(mut frames: Frames, stream: &[u8], cut: usize) -> Vec<String> {
        let mut found = Vec::new();
        for piece in stream.chunks(cut) {
            frames.push(piece, |data| found.push(String::from_utf8_lossy(data).into_owned())).unwrap();
        }
        found
    }

    #[test]
    fn any_cut_gives_the_same_documents() {
        let sse =
            b": hello\n\nevent: x\ndata: {\"a\":1}\n\ndata: {\"b\":\r\ndata: 2}\r\n\r\ndata: [DONE]\n\n";
        let array = b"[{\"a\":\"}]\\\"\"}\n,\r\n{\"b\":[{}]}]";
        for cut in 1..sse.len() {
            assert_eq!(documents(Frames::sse(), sse, cut), ["{\"a\":1}", "{\"b\":\r 2}", "[DONE]"], "{cut}");
        }
        for cut in 1..array.len() {
            assert_eq!(
                documents(Frames::array(), array, cut),
                ["{\"a\":\"}]\\\"\"}", "{\"b\":[{}]}"],
                "{cut}"
            );
        }
    }

    #[test]
    fn a_document_without_an_end_is_not_kept_for_ever() {
        let mut frames = Frames::sse();
        let piece = vec![b'x'; 1 << 20];
        frames.push(b"data: ", |_| {}).unwrap();
        let refused = (0..64).find_map(|i| frames.push(&piece, |_| {}).err().map(|_| i));
        assert!(refused.is_some_and(|after| after <= 32), "{refused:?}");
        assert!(frames.pending.len() <= MAX_DOCUMENT);
    }
}
