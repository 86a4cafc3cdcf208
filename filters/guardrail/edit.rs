//! Editing one text: what is to change in it, and who decides what stands there afterwards.

use super::json_text::{JsonText, is_document};
use super::kind::Kinds;
use super::walk::Form;

/// A change: where, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub start: usize,
    pub end: usize,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Something that was found.
    Hit(super::rules::Hit),
    /// A placeholder, to be put back.
    Placeholder,
}

/// Something was found that is not let through: the number of its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked(pub usize);

/// What is to be done in one direction.
pub trait Ruling {
    /// What of the gateway's own kinds is looked for.
    fn kinds(&self) -> Kinds;

    /// How long a match of an operator's rule may be.
    fn window(&self) -> usize;

    /// Whether placeholders are put back.
    fn restores(&self) -> bool;

    /// What is to change from `from` on, in order, nothing overlapping.
    fn edits(&self, text: &str, from: usize) -> Vec<Edit>;

    /// Writes what stands there afterwards, where `text` stood.
    fn apply(&mut self, edit: &Edit, text: &str, out: &mut String) -> Result<(), Blocked>;
}

/// Edits a whole text of that form.
pub fn edit_as(
    form: Form,
    text: &str,
    context: &str,
    ruling: &mut impl Ruling,
) -> Result<Option<String>, Blocked> {
    let json = || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if form != Form::Json || !is_document(text) || !json() {
        return edit(text, context, ruling);
    }
    let mut counting = Counting { inner: ruling, edits: 0 };
    let mut out = String::with_capacity(text.len());
    JsonText::default().push(text, true, &mut counting, &mut out)?;
    Ok((counting.edits > 0).then_some(out))
}

/// A ruling, and how often something was changed by it.
struct Counting<'a, R> {
    inner: &'a mut R,
    edits: usize,
}

impl<R: Ruling> Ruling for Counting<'_, R> {
    fn kinds(&self) -> Kinds {
        self.inner.kinds()
    }

    fn window(&self) -> usize {
        self.inner.window()
    }

    fn restores(&self) -> bool {
        self.inner.restores()
    }

    fn edits(&self, text: &str, from: usize) -> Vec<Edit> {
        self.inner.edits(text, from)
    }

    fn apply(&mut self, edit: &Edit, text: &str, out: &mut String) -> Result<(), Blocked> {
        self.edits += 1;
        self.inner.apply(edit, text, out)
    }
}

/// How much of its context is put before a text.
const CONTEXT: usize = 40;

/// A whole text with what announces it, such as the key of a JSON member. `None` where nothing changes.
pub fn edit(text: &str, context: &str, ruling: &mut impl Ruling) -> Result<Option<String>, Blocked> {
    // Only numbers and the like need an announcement; they are short.
    let announced = !context.is_empty() && text.len() <= 256 && text.bytes().any(|b| b.is_ascii_digit());
    let joined;
    let (whole, from) = if announced {
        let head = announcement(context);
        joined = format!("{head}{text}");
        (joined.as_str(), head.len())
    } else {
        (text, 0)
    };
    let edits = ruling.edits(whole, from);
    if edits.is_empty() {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let mut at = from;
    for edit in &edits {
        out.push_str(&whole[at..edit.start]);
        ruling.apply(edit, &whole[edit.start..edit.end], &mut out)?;
        at = edit.end;
    }
    out.push_str(&whole[at..]);
    Ok(Some(out))
}

/// What stands before a text on behalf of its context.
pub fn announcement(context: &str) -> String {
    let end =
        (0..=context.len().min(CONTEXT)).rev().find(|at| context.is_char_boundary(*at)).unwrap_or_default();
    format!("{}: ", &context[..end])
}
