//! Where the documents of Gemini's JSON array begin and end.

use super::mend::Scan;

#[derive(Debug, Default)]
pub(super) struct Array {
    pub(super) place: Place,
    pub(super) scan: Scan,
    /// Documents that have ended.
    documents: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Before the array's own bracket.
    #[default]
    Start,
    /// Where a document may begin.
    Between,
    Document,
    /// Behind a document.
    Behind,
    End,
}

impl Array {
    /// Hands what of a document is in `bytes` to `each`, and whether that ends it. Gives the offset behind the last
    /// document, or behind the array.
    pub(super) fn push<'a>(&mut self, bytes: &'a [u8], mut each: impl FnMut(&'a [u8], bool)) -> usize {
        let (mut from, mut whole) = (0, 0);
        for (at, byte) in bytes.iter().enumerate() {
            match (self.place, byte) {
                (Place::Document, _) if self.scan.step(*byte) => {
                    each(&bytes[from..=at], true);
                    self.documents += 1;
                    self.place = Place::Behind;
                    whole = at + 1;
                }
                (Place::Between, b'{') => {
                    self.scan = Scan::default();
                    self.scan.step(b'{');
                    self.place = Place::Document;
                    from = at;
                }
                (Place::Start, b'[') | (Place::Behind, b',') => self.place = Place::Between,
                (Place::Between | Place::Behind, b']') => {
                    self.place = Place::End;
                    whole = at + 1;
                }
                _ => {}
            }
        }
        if self.place == Place::Document {
            each(&bytes[from..], false);
        }
        whole
    }

    /// What came behind the last whole document was not passed on.
    pub(super) fn rewind(&mut self) {
        if self.place != Place::End {
            self.place = if self.documents == 0 { Place::Start } else { Place::Behind };
        }
    }

    /// What stands between what has come and a further document.
    pub(super) fn separator(&self) -> &'static str {
        match self.place {
            Place::Start => "[",
            Place::Behind | Place::Document => "\n,\r\n",
            Place::Between | Place::End => "",
        }
    }
}
