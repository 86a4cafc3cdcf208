//! How a list of models looks in each dialect, and how it is turned over.

use serde_json::json;
use tollgate_filters::catalogue::Catalogue;
use tollgate_filters::price::Prices;

use super::*;

fn catalogue() -> Catalogue {
    serde_json::from_value(json!({"anthropic": {"claude": {
        "max_input_tokens": 1_000_000, "max_output_tokens": 128_000,
        "thinking": "adaptive", "efforts": ["low", "high"],
        "has": ["image", "pdf", "tools", "thinking_off"], "lacks": ["audio", "prefill"], "retires": "2027-04-01",
    }, "embed": {"kind": "embedding", "max_input_tokens": 8192, "dimensions": 1536}}}))
    .unwrap()
}

fn prices() -> Prices {
    let rates = json!({"input": "5", "cached_input": "0.5", "output": "25"});
    serde_json::from_value(json!({"anthropic": {"claude": rates}})).unwrap()
}

fn entry(catalogue: &Catalogue) -> Entry<'_> {
    Entry {
        id: "anthropic/claude".to_owned(),
        provider: "anthropic",
        created: Some(1_784_851_200),
        name: Some("Claude".to_owned()),
        model: catalogue.find("anthropic", "claude"),
        prices: prices().standard("anthropic", "claude"),
    }
}

fn named(id: &str) -> Entry<'static> {
    Entry { id: id.to_owned(), provider: "p", ..Entry::default() }
}

fn ids(list: &Value, of: &str, key: &str) -> String {
    let names: Vec<&str> = list[of].as_array().unwrap().iter().map(|m| m[key].as_str().unwrap()).collect();
    names.join(" ")
}

#[test]
fn openai_has_its_own_members_and_what_is_known_beside_them() {
    let catalogue = catalogue();
    assert_eq!(
        list(Dialect::OpenaiResponses, &[entry(&catalogue), named("x")], "").unwrap(),
        json!({"object": "list", "data": [
            {
                "id": "anthropic/claude", "object": "model", "created": 1_784_851_200, "owned_by": "anthropic",
                "name": "Claude", "shutdown_date": "2027-04-01",
                "context_length": 1_000_000, "max_output_tokens": 128_000,
                "architecture": {"input_modalities": ["text", "image", "file"]},
                "capabilities": {
                    "tools": true, "prefill": false, "reasoning": true, "reasoning_efforts": ["none", "low", "high"],
                },
                "pricing": {"prompt": "0.000005", "completion": "0.000025", "input_cache_read": "0.0000005"},
            },
            {"id": "x", "object": "model", "created": 0, "owned_by": "p"},
        ]})
    );
    let embed = Entry { model: catalogue.find("anthropic", "embed"), ..named("embed") };
    let embed = one(Dialect::OpenaiChat, &embed);
    assert_eq!((&embed["dimensions"], &embed["architecture"]), (&json!(1536), &Value::Null));
}

#[test]
fn anthropic_says_what_its_sdk_reads() {
    let catalogue = catalogue();
    let model = one(Dialect::Anthropic, &entry(&catalogue));
    assert_eq!(model["type"], "model");
    assert_eq!(model["display_name"], "Claude");
    assert_eq!(model["created_at"], "2026-07-24T00:00:00Z");
    assert_eq!(
        (&model["lifecycle"], &model["retires_at"]),
        (&json!("deprecated"), &json!("2027-04-01T00:00:00Z"))
    );
    assert_eq!((&model["max_input_tokens"], &model["max_tokens"]), (&json!(1_000_000), &json!(128_000)));
    let can = |pointer: &str| model["capabilities"].pointer(pointer).unwrap()["supported"].as_bool().unwrap();
    assert!(can("/image_input") && can("/effort/high") && can("/thinking/types/adaptive"));
    assert!(!can("/effort/max") && !can("/thinking/types/enabled") && !can("/structured_outputs"));
    let unknown = one(Dialect::Anthropic, &named("x"));
    assert_eq!((&unknown["display_name"], &unknown["lifecycle"]), (&json!("x"), &json!("active")));
    assert_eq!(unknown.get("capabilities"), None);
}

#[test]
fn anthropic_pages_go_both_ways() {
    let entries = ["a", "b", "p/c", "d", "e"].map(named);
    let page = |query: &str| {
        let page = list(Dialect::Anthropic, &entries, query).unwrap();
        let cursors = (page["first_id"].clone(), page["last_id"].clone());
        (ids(&page, "data", "id"), page["has_more"].as_bool().unwrap(), cursors)
    };
    assert_eq!(page("limit=2"), ("a b".to_owned(), true, (json!("a"), json!("b"))));
    assert_eq!(page("limit=2&after_id=b").0, "p/c d");
    assert_eq!(page("after_id=p%2Fc&limit=2"), ("d e".to_owned(), false, (json!("d"), json!("e"))));
    assert_eq!(page("limit=2&before_id=e"), ("p/c d".to_owned(), true, (json!("p/c"), json!("d"))));
    assert_eq!(page("limit=2&before_id=p/c"), ("a b".to_owned(), false, (json!("a"), json!("b"))));
    assert_eq!(page("after_id=e"), (String::new(), false, (Value::Null, Value::Null)));
    for wrong in ["limit=0", "limit=1001", "limit=x", "after_id=zzz", "before_id=zzz"] {
        let param = wrong.split_once('=').map(|(name, _)| name);
        assert_eq!(list(Dialect::Anthropic, &entries, wrong).unwrap_err().param.as_deref(), param);
    }
}

#[test]
fn gemini_has_names_with_a_folder_and_says_what_can_be_asked() {
    let catalogue = catalogue();
    assert_eq!(
        one(Dialect::Gemini, &entry(&catalogue)),
        json!({
            "name": "models/anthropic/claude", "displayName": "Claude",
            "inputTokenLimit": 1_000_000, "outputTokenLimit": 128_000,
            "supportedGenerationMethods": ["generateContent", "countTokens"], "thinking": true,
        })
    );
    let embed = Entry { model: catalogue.find("anthropic", "embed"), ..named("embed") };
    assert_eq!(one(Dialect::Gemini, &embed)["supportedGenerationMethods"][0], "embedContent");
}

#[test]
fn gemini_pages_lead_from_one_to_the_next() {
    let entries = ["a", "p/ü", "c"].map(named);
    let mut query = "pageSize=1".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = list(Dialect::Gemini, &entries, &query).unwrap();
        seen.push(ids(&page, "models", "name"));
        let Some(token) = page.get("nextPageToken") else { break };
        query = format!("pageSize=1&pageToken={}", token.as_str().unwrap());
    }
    assert_eq!(seen, ["models/a", "models/p/ü", "models/c"]);
    assert_eq!(
        list(Dialect::Gemini, &entries, "pageToken=%25").unwrap_err().param.as_deref(),
        Some("pageToken")
    );
}
