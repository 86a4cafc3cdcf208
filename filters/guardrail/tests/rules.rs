//! What an operator writes: rules, and configurations that are refused.

use serde_json::json;

use super::super::{Guardrail, GuardrailConf, Guardrails};
use super::guardrail;

#[test]
fn rules_of_the_operator_find_words_and_expressions() {
    let guardrail = guardrail(json!({"rules": [
        {"name": "project", "regex": "PRJ-[0-9]{6}", "action": "mask"},
        {"name": "codename", "words": ["bluebird", "blue", "Straße"], "action": "replace"},
    ]}));
    let mut said = "PRJ-123456 and Bluebird, blue bluebirds STRASSE straße".to_owned();
    let checked = guardrail.check_text(&mut said).unwrap();
    assert_eq!(said, "[PROJECT] and <CODENAME_1>, <CODENAME_2> bluebirds STRASSE <CODENAME_3>");
    let counts: Vec<_> = checked.findings.iter().map(|finding| (&*finding.what, finding.count)).collect();
    assert_eq!(counts, [("project", 1), ("codename", 3)]);
}

#[test]
fn what_overlaps_is_one_and_the_stronger_action_counts() {
    let rules = json!([{"name": "host", "regex": "b\\.com and [a-z]+", "action": "mask"}]);
    let guardrail = guardrail(json!({"kinds": {"email": "replace"}, "rules": rules}));
    let mut said = "a@b.com and more".to_owned();
    guardrail.check_text(&mut said).unwrap();
    assert_eq!(said, "[EMAIL]");
}

#[test]
fn a_bad_rule_is_an_error_that_names_it() {
    for (rule, why) in [
        (json!({"name": "r", "regex": "(", "action": "mask"}), "unclosed group"),
        (json!({"name": "r", "regex": "a*", "action": "mask"}), "matches where nothing is"),
        (json!({"name": "r", "regex": "[a-z]{1000}{1000}", "action": "mask"}), "bytes"),
        (json!({"name": "r", "action": "mask"}), "either a `regex` or `words`"),
        (json!({"name": "r", "regex": "a", "words": ["b"], "action": "mask"}), "either a `regex` or `words`"),
        (json!({"name": "r", "words": [" "], "action": "mask"}), "a word is empty"),
        (json!({"name": "r", "regex": "a"}), "neither an `action`"),
        (json!({"name": "r>", "regex": "a", "action": "mask"}), "letters, digits"),
        (json!({"name": "email", "regex": "a", "action": "mask"}), "of that name"),
    ] {
        let conf: GuardrailConf =
            serde_json::from_value(json!({"org": "acme", "rules": [rule.clone()]})).unwrap();
        let error = Guardrail::new(&conf).unwrap_err();
        assert_eq!((error.org.as_str(), error.rule.as_str()), ("acme", rule["name"].as_str().unwrap()));
        assert!(error.to_string().contains(why), "{error}");
    }
    assert!(serde_json::from_value::<GuardrailConf>(json!({"kinds": {"emial": "mask"}})).is_err());
    assert!(serde_json::from_value::<GuardrailConf>(json!({"output": {"email": "replace"}})).is_err());
}

#[test]
fn the_first_that_fits_an_organisation_counts_and_an_empty_one_is_none() {
    let conf = |value| serde_json::from_value::<GuardrailConf>(value).unwrap();
    let guardrails = Guardrails::new(&[
        conf(json!({"org": "quiet"})),
        conf(json!({"org": "acme-*", "kinds": {"email": "block"}})),
        conf(json!({"kinds": {"card": "mask"}})),
    ])
    .unwrap();
    assert!(guardrails.for_org("quiet").is_none());
    assert_eq!(guardrails.for_org("acme-1").unwrap().org, "acme-*");
    assert_eq!(guardrails.for_org("other").unwrap().org, "*");
    assert!(Guardrails::new(&[]).unwrap().is_empty());
}
