//! What differs between two conversations, and whether a report of losses accounts for it.

use serde_json::Value;
use tollgate_filters::chat::{Losses, Pointer};

use super::form::{Fact, Facts, Form, Item, Scope, same};
use super::join::joined;

/// Something that is not in both conversations alike.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Where it stood in the first conversation; `None` for what only the second has.
    pub at: Option<Pointer>,
    pub words: &'static [&'static str],
    /// `lost text`, `changed tool strict`.
    pub what: String,
    pub values: (Value, Value),
    /// It is of what only the first conversation's dialect knows.
    pub own: bool,
    /// It is there as it was, in another place of its list.
    pub moved: bool,
    /// In the same stretch of the same list, something else was lost: this may stand for it.
    pub replaces: Option<Pointer>,
}

/// Compares what both scopes, or only the shared one, have.
pub fn compare(one: &Form, other: &Form, own: bool) -> Vec<Difference> {
    let mut found = Vec::new();
    facts("", &one.facts, &other.facts, own, &mut found);
    for (name, list) in &one.lists {
        let none = Vec::new();
        let theirs = other.lists.iter().find(|(n, _)| n == name).map_or(&none, |(_, list)| list);
        items(list, theirs, own, &mut found);
    }
    moved(&mut found);
    found
}

fn facts(of: &str, one: &Facts, other: &Facts, own: bool, found: &mut Vec<Difference>) {
    let wanted = |scope: Scope| own || scope == Scope::Shared;
    for fact in one.0.iter().filter(|f| wanted(f.scope)) {
        let theirs = other.0.iter().find(|f| f.path == fact.path && wanted(f.scope));
        let what = match theirs {
            Some(theirs) if is_schema(fact) && closed(&fact.value, &theirs.value) => continue,
            Some(theirs) if !is_schema(fact) && same(&theirs.value, &fact.value) => continue,
            Some(_) => "changed",
            None => "lost",
        };
        found.push(Difference {
            at: Some(fact.at.clone()),
            words: fact.words,
            what: format!("{what} {of}{}", general(&fact.path)),
            values: (fact.value.clone(), theirs.map(|f| f.value.clone()).unwrap_or_default()),
            own: fact.scope == Scope::Own,
            moved: false,
            replaces: None,
        });
    }
    for fact in other.0.iter().filter(|f| f.scope == Scope::Shared) {
        if !one.0.iter().any(|f| f.path == fact.path) {
            found.push(added(&format!("{of}{}", general(&fact.path)), fact.value.clone(), None));
        }
    }
}

fn is_schema(fact: &Fact) -> bool {
    fact.path.ends_with("schema") || fact.path.ends_with("parameters")
}

/// A path without what is particular to one document, which stands in backticks.
fn general(path: &str) -> String {
    let mut parts = path.split('`');
    let head = parts.next().unwrap_or_default().trim_end();
    format!("{head}{}", parts.nth(1).unwrap_or_default())
}

fn added(what: &str, value: Value, replaces: Option<Pointer>) -> Difference {
    Difference {
        at: None,
        words: &[],
        what: format!("added {what}"),
        values: (Value::Null, value),
        own: false,
        moved: false,
        replaces,
    }
}

fn lost(item: &Item) -> Difference {
    Difference {
        at: Some(item.at.clone()),
        words: &[],
        what: format!("lost {} {}", place(&item.role), item.kind),
        values: (item.key.clone(), Value::Null),
        own: false,
        moved: false,
        replaces: None,
    }
}

/// All choices count as one.
fn place(role: &str) -> &str {
    if role.starts_with("choice") { "choice" } else { role }
}

fn items(one: &[Item], other: &[Item], own: bool, found: &mut Vec<Difference>) {
    let anchors = align(one, other);
    let (mut from, mut to) = (0, 0);
    for (a, b) in anchors.into_iter().chain([(one.len(), other.len())]) {
        gap(&one[from..a], &other[to..b], own, found);
        if let (Some(item), Some(theirs)) = (one.get(a), other.get(b)) {
            pair(item, theirs, own, found);
        }
        (from, to) = (a + 1, b + 1);
    }
}

fn pair(one: &Item, other: &Item, own: bool, found: &mut Vec<Difference>) {
    let of = format!("{} {}: ", place(&one.role), one.kind);
    facts(&of, &Facts(one.facts.clone()), &Facts(other.facts.clone()), own, found);
}

/// What stands between two items that are alike in both lists: of what is left, things of one kind are the same
/// thing, changed.
fn gap(one: &[Item], other: &[Item], own: bool, found: &mut Vec<Difference>) {
    let (one, other) = joined(one, other);
    let (one, other) = (&*one, &*other);
    let mut rest: Vec<&Item> = other.iter().collect();
    let mut gone = None;
    for item in one {
        let kin = |other: &&Item| other.role == item.role && other.kind == item.kind;
        let as_many = one.iter().filter(kin).count() == other.iter().filter(kin).count();
        let Some(at) = rest.iter().position(|other| as_many && kin(other)) else {
            gone = Some(item.at.clone());
            found.push(lost(item));
            continue;
        };
        let theirs = rest.remove(at);
        let before = found.len();
        pair(item, theirs, own, found);
        if found[before..].iter().all(|d| d.at.is_none()) && !same(&item.key, &theirs.key) {
            let what = format!("changed {} {}", place(&item.role), item.kind);
            found.push(Difference { what, values: (item.key.clone(), theirs.key.clone()), ..lost(item) });
        }
    }
    for item in rest {
        let what = format!("{} {}", place(&item.role), item.kind);
        found.push(added(&what, item.key.clone(), gone.clone()));
    }
}

/// The same schema, in which objects take no further members: Anthropic wants that said. A `null` says something here.
fn closed(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let also =
                |key: &str, value: &Value| key == "additionalProperties" && *value == Value::Bool(false);
            a.iter().all(|(key, value)| b.get(key).is_some_and(|other| closed(value, other)))
                && b.iter().all(|(key, value)| a.contains_key(key) || also(key, value))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| closed(a, b))
        }
        _ => same(one, other),
    }
}

/// The longest common subsequence, as pairs of indices.
fn align(one: &[Item], other: &[Item]) -> Vec<(usize, usize)> {
    let alike = |a: &Item, b: &Item| a.kind == b.kind && a.role == b.role && same(&a.key, &b.key);
    let width = other.len() + 1;
    let mut longest = vec![0_u32; (one.len() + 1) * width];
    for a in (0..one.len()).rev() {
        for b in (0..other.len()).rev() {
            longest[a * width + b] = if alike(&one[a], &other[b]) {
                longest[(a + 1) * width + b + 1] + 1
            } else {
                longest[(a + 1) * width + b].max(longest[a * width + b + 1])
            };
        }
    }
    let (mut a, mut b, mut pairs) = (0, 0, Vec::new());
    while a < one.len() && b < other.len() {
        if alike(&one[a], &other[b]) {
            pairs.push((a, b));
            (a, b) = (a + 1, b + 1);
        } else if longest[(a + 1) * width + b] >= longest[a * width + b + 1] {
            a += 1;
        } else {
            b += 1;
        }
    }
    pairs
}

/// What was lost in one place and turns up in another was moved; the loss stands for both.
fn moved(found: &mut [Difference]) {
    for added in 0..found.len() {
        if found[added].at.is_some() {
            continue;
        }
        // How much to think is one thing, said in several ways.
        if found[added].what.starts_with("added thinking") {
            let other = found.iter().find(|d| d.at.is_some() && d.what.contains("thinking "));
            let other = other.and_then(|d| d.at.clone());
            found[added].replaces = other;
            continue;
        }
        let value = &found[added].values.1;
        let name = |d: &Difference| d.what.split_once(' ').map(|(_, name)| name.to_owned());
        let from = found.iter().position(|d| d.what.starts_with("lost") && same(&d.values.0, value));
        let Some(from) = from else { continue };
        let moved = name(&found[from]) == name(&found[added]);
        let place = found[from].at.clone();
        found[added].replaces = place;
        (found[added].moved, found[from].moved) = (moved, moved || found[from].moved);
    }
}

/// Whether a loss at `loss` accounts for a difference of what stands at `at`.
pub fn accounts(loss: &Pointer, at: &Pointer, words: &[&str]) -> bool {
    let (loss, at) = (loss.as_str(), at.as_str());
    if loss.is_empty() || at.is_empty() {
        return false;
    }
    let below = |whole: &str, part: &str| {
        part.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if below(loss, at) {
        return true;
    }
    // With the last step of `at` itself: `/generationConfig/responseSchema` is of nothing but the schema.
    let last = at.rfind('/').unwrap_or_default();
    below(at, loss) && (words.is_empty() || loss[last..].split('/').any(|word| words.contains(&word)))
}

impl Difference {
    /// Whether one of `losses` accounts for it.
    pub fn is_told(&self, losses: &Losses) -> bool {
        let place = self.at.as_ref().or(self.replaces.as_ref());
        place.is_some_and(|at| losses.iter().any(|loss| accounts(&loss.at, at, self.words)))
    }
}
