//! The table of `docs/translation.md`, counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::verdict::Outcome;

const LOSSES: usize = 20;

/// One row for each pair of dialects.
pub fn table(title: &str, outcomes: &[Outcome]) -> String {
    let mut text = format!("### {title}\n\n");
    text.push_str("| from | to | exchanges | exact | lossy | failed | told though carried |\n");
    text.push_str("| --- | --- | ---: | ---: | ---: | ---: | ---: |\n");
    for ((from, to), pair) in pairs(outcomes) {
        let failed = pair.iter().filter(|o| !o.failures.is_empty()).count();
        let lossy = pair.iter().filter(|o| o.failures.is_empty() && !o.losses.is_empty()).count();
        let idle: usize = pair.iter().map(|o| o.idle.len()).sum();
        let (all, exact) = (pair.len(), pair.len() - failed - lossy);
        let _ = writeln!(text, "| {from} | {to} | {all} | {exact} | {lossy} | {failed} | {idle} |");
    }
    text.push('\n');
    text
}

/// The most frequent losses of each pair.
pub fn losses(title: &str, outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for ((from, to), pair) in pairs(outcomes) {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for outcome in pair {
            let places: std::collections::BTreeSet<String> =
                outcome.losses.iter().map(|loss| starred(loss.at.as_str())).collect();
            for place in places {
                *counts.entry(place).or_default() += 1;
            }
        }
        let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        if counts.is_empty() {
            continue;
        }
        let listed: Vec<String> =
            counts.iter().take(LOSSES).map(|(place, count)| format!("`{place}` {count}")).collect();
        let more = counts.len().saturating_sub(LOSSES);
        let more = if more > 0 { format!(", and {more} others") } else { String::new() };
        let _ = write!(text, "\n{title}, {from} to {to}: {}{more}.\n", listed.join(", "));
    }
    text
}

/// Indices are all alike.
pub fn starred(pointer: &str) -> String {
    let star = |part: &str| {
        let index = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if index { "*".to_owned() } else { part.to_owned() }
    };
    pointer.split('/').map(star).collect::<Vec<_>>().join("/")
}

/// What went wrong or was told in vain, most frequent first, with an example of each.
pub fn complaints(title: &str, outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for ((from, to), pair) in pairs(outcomes) {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for outcome in pair {
            let mut add = |what: String, detail: &str| {
                groups
                    .entry(what)
                    .or_default()
                    .push(format!("{} {}: {detail}", outcome.provider, outcome.id));
            };
            for (what, detail) in &outcome.failures {
                add(format!("FAILED {}", starred(what)), detail);
            }
            for pointer in &outcome.idle {
                add(format!("in vain {}", starred(pointer.as_str())), pointer.as_str());
            }
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups
            .sort_by_key(|(what, examples)| (what.starts_with("in vain"), std::cmp::Reverse(examples.len())));
        for (what, examples) in groups {
            let _ = writeln!(text, "{title} {from} -> {to}: {} x {what}", examples.len());
            for example in examples.iter().take(3) {
                let _ = writeln!(text, "      {example}");
            }
        }
    }
    text
}

fn pairs(outcomes: &[Outcome]) -> BTreeMap<(&'static str, &'static str), Vec<&Outcome>> {
    let mut pairs: BTreeMap<(&str, &str), Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        pairs.entry((outcome.from.as_str(), outcome.target)).or_default().push(outcome);
    }
    pairs
}
