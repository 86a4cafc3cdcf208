//! Editing a text that comes in pieces: what could still become part of a hit or a placeholder waits, up to a bound.

use super::detect;
use super::edit::{Blocked, Edit, Ruling, What};
use super::kind::Kind;
use super::originals;

/// How many bytes of a text may wait.
pub const MAX_HOLD: usize = 1024;
/// How much of what has gone out is kept for looking back.
const CONTEXT: usize = 64;
/// The last line of a private key is not longer.
const LAST_LINE: usize = 80;
/// How many changes of one text are remembered for what refers to its characters.
const MOST_SHIFTS: usize = 10_000;

/// One text on its way.
#[derive(Default)]
pub struct Window {
    /// What has gone out, for looking back; what waits.
    text: String,
    /// Where what waits begins.
    done: usize,
    /// A secret that is longer than what may wait has been masked, and the rest of it is left out.
    rest_of: Option<Rest>,
    shifts: Vec<Shift>,
    /// How many characters came and went, what waits aside.
    read: u64,
    written: u64,
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy)]
enum Rest {
    PrivateKey,
    Key,
}

/// A change, in characters: from where to where it was, and where it ends now.
#[derive(Debug, Clone, Copy)]
struct Shift {
    start: u64,
    end: u64,
    new_end: u64,
}

impl Window {
    /// A text that `announcement` stands before.
    pub fn begin(&mut self, announcement: &str) {
        self.text.clear();
        self.text.push_str(announcement);
        self.done = announcement.len();
        self.rest_of = None;
    }

    /// How many bytes wait.
    pub fn waiting(&self) -> usize {
        self.text.len() - self.done
    }

    /// Takes a piece and writes what can go out; everything, if it is the `last`.
    pub fn push(
        &mut self,
        piece: &str,
        last: bool,
        ruling: &mut impl Ruling,
        out: &mut String,
    ) -> Result<(), Blocked> {
        self.text.push_str(piece);
        loop {
            if let Some(rest) = self.rest_of {
                self.leave_out(rest, last);
                if self.rest_of.is_some() {
                    break;
                }
            }
            self.advance(last, ruling, out)?;
            if self.rest_of.is_none() || self.waiting() == 0 {
                break;
            }
        }
        let keep = floor(&self.text, self.done.saturating_sub(CONTEXT));
        self.text.drain(..keep);
        self.done -= keep;
        Ok(())
    }

    /// Where a character of the text that came stands in the text that went out.
    pub fn moved(&self, at: u64) -> u64 {
        match self.shifts.iter().rev().find(|shift| shift.start < at) {
            Some(shift) if at < shift.end => shift.new_end,
            Some(shift) => at - shift.end + shift.new_end,
            None => at,
        }
    }

    fn advance(&mut self, last: bool, ruling: &mut impl Ruling, out: &mut String) -> Result<(), Blocked> {
        let edits = ruling.edits(&self.text, self.done);
        let until = self.until(last, &edits, ruling);
        for edit in edits.iter().take_while(|edit| edit.start < until) {
            self.copy(edit.start, out);
            let (read, before) = (self.read, out.len());
            ruling.apply(edit, &self.text[edit.start..edit.end], out)?;
            self.read += count(&self.text[edit.start..edit.end]);
            self.written += count(&out[before..]);
            if self.shifts.len() < MOST_SHIFTS {
                self.shifts.push(Shift { start: read, end: self.read, new_end: self.written });
            }
            self.done = edit.end;
            self.rest_of = self.rest(edit, last);
        }
        self.copy(until.max(self.done), out);
        Ok(())
    }

    fn copy(&mut self, until: usize, out: &mut String) {
        let piece = &self.text[self.done..until];
        let characters = count(piece);
        self.read += characters;
        self.written += characters;
        out.push_str(piece);
        self.done = until;
    }

    /// Up to where nothing that is still to come can change anything.
    fn until(&self, last: bool, edits: &[Edit], ruling: &impl Ruling) -> usize {
        let length = self.text.len();
        if last {
            return length;
        }
        let mut until = detect::open(&self.text, ruling.kinds()).min(length.saturating_sub(ruling.window()));
        if ruling.restores() {
            until = until.min(originals::open(&self.text));
        }
        let earliest = ceil(&self.text, length.saturating_sub(MAX_HOLD)).max(self.done);
        until = floor(&self.text, until).max(earliest);
        // What is found across that place, or may go on, is decided later if it can wait.
        for edit in edits {
            let goes_on = edit.end == length && matches!(edit.what, What::Hit(_));
            if edit.start < until && (edit.end > until || goes_on) {
                return if edit.start >= earliest { edit.start } else { edit.end };
            }
        }
        until
    }

    /// What a hit that has gone out and reached the end of the text goes on with.
    fn rest(&self, edit: &Edit, last: bool) -> Option<Rest> {
        let What::Hit(hit) = &edit.what else { return None };
        if last || edit.end < self.text.len() || hit.label != Kind::Secret as usize {
            return None;
        }
        let pem = self.text[edit.start..edit.end].starts_with(detect::PEM);
        Some(if pem { Rest::PrivateKey } else { Rest::Key })
    }

    fn leave_out(&mut self, rest: Rest, last: bool) {
        let waiting = &self.text[self.done..];
        let (length, ended) = match rest {
            Rest::PrivateKey => detect::pem_body(waiting),
            Rest::Key => detect::key_body(waiting),
        };
        let kept = match rest {
            Rest::PrivateKey if !ended && !last => length.min(LAST_LINE),
            _ => 0,
        };
        let left_out = floor(&self.text, self.done + length - kept);
        self.read += count(&self.text[self.done..left_out]);
        self.done = left_out;
        if ended || last {
            self.rest_of = None;
        }
    }
}

fn count(text: &str) -> u64 {
    text.chars().count() as u64
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

fn ceil(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}
