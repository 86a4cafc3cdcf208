//! Texts and thoughts that one dialect has in one piece and another in several.

use std::collections::HashMap;

use serde_json::Value;

use super::form::Item;

/// Several texts became one, or one several, and every letter is there: then they are one text on both sides, and what
/// hangs on them can be compared.
pub fn joined(one: &[Item], other: &[Item]) -> (Vec<Item>, Vec<Item>) {
    if thoughts(one) == thoughts(other) {
        let rest = |all: &[Item]| all.iter().filter(|i| i.kind != "reasoning").cloned().collect::<Vec<_>>();
        if one.iter().any(|item| item.kind == "reasoning") {
            return joined(&rest(one), &rest(other));
        }
    }
    let (a, b) = (one_text(one), one_text(other));
    match (a, b) {
        (Some(a), Some(b)) if a.role == b.role && letters(&a.key) == letters(&b.key) => {
            let with = |all: &[Item], text: Item| {
                let (at, mut rest) = (all.iter().position(|i| i.kind == "text"), all.to_vec());
                rest.retain(|item| item.kind != "text");
                rest.insert(at.unwrap_or_default(), Item { key: Value::from("joined"), ..text });
                rest
            };
            (with(one, a), with(other, b))
        }
        _ => (one.to_vec(), other.to_vec()),
    }
}

/// All that was thought, in letters, and the seals on it.
fn thoughts(items: &[Item]) -> (String, Vec<&Value>) {
    let reasoning = items.iter().filter(|item| item.kind == "reasoning");
    let seals = reasoning.clone().map(|item| &item.key[1]).filter(|seal| !seal.is_null()).collect();
    (reasoning.filter_map(|item| letters(&item.key[0])).collect(), seals)
}

/// Spaces between texts are as their dialect joins them.
fn letters(key: &Value) -> Option<String> {
    key.as_str().map(|text| text.split_whitespace().collect())
}

/// All texts as one. Where its citations begin and end has changed with it.
fn one_text(items: &[Item]) -> Option<Item> {
    let texts: Vec<&Item> = items.iter().filter(|item| item.kind == "text").collect();
    let first = *texts.first()?;
    if texts.iter().any(|item| item.role != first.role || !item.key.is_string()) {
        return None;
    }
    let mut joined = first.clone();
    joined.key = texts.iter().filter_map(|item| item.key.as_str()).collect::<Vec<_>>().join(" ").into();
    joined.facts.clear();
    let mut before: HashMap<String, usize> = HashMap::new();
    for item in texts {
        let mut within: HashMap<String, usize> = HashMap::new();
        for fact in item.facts.iter().filter(|fact| fact.path != "text" && !moves(&fact.path)) {
            let mut fact = fact.clone();
            if let Some((name, number, rest)) = twin(&fact.path) {
                let number = number + before.get(name).copied().unwrap_or_default();
                within.entry(name.to_owned()).and_modify(|most| *most = number.max(*most)).or_insert(number);
                fact.path = format!("annotation `{name} {number}`{rest}");
            }
            joined.facts.push(fact);
        }
        before.extend(within);
    }
    Some(joined)
}

fn moves(path: &str) -> bool {
    path.starts_with("annotation") && (path.ends_with("start") || path.ends_with("end"))
}

/// ``annotation `https://a.example 2` title``: one source may be cited several times.
fn twin(path: &str) -> Option<(&str, usize, &str)> {
    let (name, rest) = path.strip_prefix("annotation `")?.rsplit_once('`')?;
    let (name, number) = name.rsplit_once(' ')?;
    Some((name, number.parse().ok()?, rest))
}
