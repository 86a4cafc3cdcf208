//! Where the events of a `text/event-stream` begin and end, whatever the network made of its bytes.

use memchr::memchr;

/// A piece of the stream, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes of the current event's data. Line breaks between its data lines are left out: in JSON
    /// they would be white space.
    Data(&'a [u8]),
    /// The event ends before this offset of the bytes pushed, its blank line included.
    End(usize),
}

/// Splits a stream into events. Keeps a few bytes of state and no data.
///
/// Lines end with `\n` or `\r\n`; a lone `\r`, which the format permits and no provider sends, does not
/// end a line here.
#[derive(Debug, Default, Clone, Copy)]
pub struct Splitter {
    line: Line,
    /// Lines of an event have come that no blank line has ended yet.
    in_event: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// So many bytes of `data:` have matched.
    Start(usize),
    /// A line of nothing but `\r` so far.
    Cr,
    Data,
    /// A comment or another field.
    Other,
}

impl Default for Line {
    fn default() -> Self {
        Self::Start(0)
    }
}

const FIELD: &[u8] = b"data:";

impl Splitter {
    /// Hands the pieces of `bytes` to `each`.
    pub fn push<'a>(&mut self, bytes: &'a [u8], mut each: impl FnMut(Piece<'a>)) {
        let mut at = 0;
        while at < bytes.len() {
            match self.line {
                Line::Start(matched) => {
                    let byte = bytes[at];
                    at += 1;
                    self.in_event |= !matches!(byte, b'\n' | b'\r');
                    self.line = match byte {
                        b'\n' => {
                            if matched == 0 {
                                self.in_event = false;
                                each(Piece::End(at));
                            }
                            Line::Start(0)
                        }
                        b'\r' if matched == 0 => Line::Cr,
                        _ if byte != FIELD[matched] => Line::Other,
                        _ if matched + 1 == FIELD.len() => Line::Data,
                        _ => Line::Start(matched + 1),
                    };
                }
                Line::Cr => {
                    self.line = Line::Other;
                    self.in_event = true;
                    if bytes[at] == b'\n' {
                        at += 1;
                        self.in_event = false;
                        each(Piece::End(at));
                        self.line = Line::Start(0);
                    }
                }
                Line::Data | Line::Other => {
                    let rest = &bytes[at..];
                    let end = memchr(b'\n', rest);
                    let content = &rest[..end.unwrap_or(rest.len())];
                    if self.line == Line::Data && !content.is_empty() {
                        each(Piece::Data(content));
                    }
                    at += content.len();
                    if end.is_some() {
                        at += 1;
                        self.line = Line::Start(0);
                    }
                }
            }
        }
    }

    /// Whether the bytes so far end with a whole event.
    pub fn at_boundary(&self) -> bool {
        self.line == Line::Start(0) && !self.in_event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of each event, however the bytes are cut.
    fn events(stream: &[u8], cut: usize) -> Vec<String> {
        let mut splitter = Splitter::default();
        let (mut events, mut data) = (Vec::new(), Vec::new());
        for chunk in stream.chunks(cut) {
            splitter.push(chunk, |piece| match piece {
                Piece::Data(bytes) => data.extend_from_slice(bytes),
                Piece::End(_) => events.push(String::from_utf8(std::mem::take(&mut data)).unwrap()),
            });
        }
        events
    }

    #[test]
    fn any_cut_gives_the_same_events() {
        let stream = b": comment\n\nevent: x\ndata: {\"a\":1}\nid: 7\n\ndata:b\r\ndata: c\r\n\r\ndat: no\ndata\n\ndata: [DONE]\n\n";
        let whole = events(stream, stream.len());
        assert_eq!(whole, ["", " {\"a\":1}", "b\r c\r", "", " [DONE]"]);
        for cut in 1..stream.len() {
            assert_eq!(events(stream, cut), whole, "cut into pieces of {cut}");
        }
    }

    #[test]
    fn only_a_blank_line_makes_a_boundary() {
        for (text, boundary) in [
            ("", true),
            ("data: a\n", false),
            ("data: a\n\n", true),
            ("data: a\r\n\r\n", true),
            ("dat", false),
            ("event: x\n", false),
        ] {
            let mut splitter = Splitter::default();
            splitter.push(text.as_bytes(), |_| {});
            assert_eq!(splitter.at_boundary(), boundary, "{text:?}");
        }
    }

    #[test]
    fn an_event_ends_behind_its_blank_line() {
        let mut ends = Vec::new();
        Splitter::default().push(b"data: a\r\n\r\ndata: b\n\ndata", |piece| {
            if let Piece::End(at) = piece {
                ends.push(at);
            }
        });
        assert_eq!(ends, [11, 20]);
    }
}
