//! Leaves every rendering for `tests/sdk/test_schemas.py`, which holds it against the SDKs' models.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::verdict::Outcome;

/// One line of JSON for each document, in `<kind>-<from>-<to>.jsonl`.
pub fn write(folder: &Path, title: &str, outcomes: &[Outcome]) {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for outcome in outcomes {
        // `openai_chat at Mistral` -> `openai_chat-mistral`
        let target = outcome.target.replace(" at ", "-").to_lowercase();
        let name = format!("{}-{}-{target}.jsonl", title.to_lowercase(), outcome.from);
        let file = files.entry(name).or_default();
        for body in &outcome.rendered {
            let _ = writeln!(
                file,
                r#"{{"id":{:?},"provider":{:?},"body":{body}}}"#,
                outcome.id, outcome.provider
            );
        }
    }
    for (name, lines) in files {
        std::fs::write(folder.join(name), lines).unwrap();
    }
}
