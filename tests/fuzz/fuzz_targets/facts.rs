//! `Facts` agrees with `serde_json` on what is an object and what stands in it, and a splice changes
//! what it should and no other byte.
//!
//! Input: a byte whose low bits say how (1: strict, 2: ask for usage, 4 and 8: which new model name),
//! then the body.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tollgate_filters::facts::{Facts, MAX_DEPTH};
use tollgate_fuzz::Members;

const NAMES: [Option<&str>; 4] = [None, Some("m"), Some("a\"b\\\u{1}/"), Some("größer-als-vorher-🦀")];
const MAX_MODEL_NAME: usize = 512;

fuzz_target!(|input: &[u8]| {
    let Some((&how, body)) = input.split_first() else { return };
    let (strict, ask, name) = (how & 1 != 0, how & 2 != 0, NAMES[usize::from(how >> 2 & 3)]);
    let scanned = Facts::scan(body, strict);
    let Some(members) = Members::of(body) else {
        assert!(scanned.is_err(), "no JSON object, but believed to be one");
        return;
    };
    match depth(body) {
        // Empty containers and `stream_options` are counted a little differently.
        deep if deep.abs_diff(MAX_DEPTH) < 3 => return,
        deep if deep > MAX_DEPTH => {
            assert!(scanned.is_err(), "{deep} levels deep, but believed");
            return;
        }
        _ => {}
    }
    let expected = Expected::of(&members, strict);
    let facts = match (scanned, &expected) {
        (Ok(facts), Some(_)) => facts,
        (Err(_), None) => return,
        (Ok(_), None) => panic!("believed, but should be refused"),
        (Err(error), Some(_)) => panic!("refused, but should be believed: {error}"),
    };
    assert_eq!(Some(Expected::found(&facts)), expected);
    check_splice(&facts, body, strict, ask, name);
});

/// What the facts of a body that is an object should be.
#[derive(Debug, PartialEq)]
struct Expected {
    model: Option<String>,
    stream: bool,
    asked: bool,
}

impl Expected {
    fn found(facts: &Facts) -> Self {
        Self {
            model: facts.model.as_ref().map(|model| model.name.clone()),
            stream: facts.stream,
            asked: facts.asked_for_usage(),
        }
    }

    /// `None` where the body has to be refused.
    fn of(members: &Members<'_>, strict: bool) -> Option<Self> {
        if ["model", "stream", "stream_options"].iter().any(|key| members.count(key) > 1) {
            return None;
        }
        let model = match members.get("model") {
            None | Some("null") => None,
            Some(raw) if raw.starts_with('"') => {
                let name: String = serde_json::from_str(raw).ok()?;
                Some(name).filter(|name| name.len() <= MAX_MODEL_NAME).map(Some)?
            }
            Some(_) if strict => return None,
            Some(_) => None,
        };
        let stream = match members.get("stream") {
            Some("true") => true,
            None | Some("false" | "null") => false,
            Some(_) if strict => return None,
            Some(_) => false,
        };
        let asked = match members.get("stream_options") {
            None | Some("null") => false,
            Some(raw) if raw.starts_with('{') => asked_in(&Members::of(raw.as_bytes())?, strict)?,
            Some(_) if strict => return None,
            Some(_) => true,
        };
        Some(Self { model, stream, asked })
    }
}

fn asked_in(options: &Members<'_>, strict: bool) -> Option<bool> {
    if options.count("include_usage") > 1 {
        return None;
    }
    match options.get("include_usage") {
        None | Some("false" | "null") => Some(false),
        Some("true") => Some(true),
        Some(_) if strict => None,
        Some(_) => Some(true),
    }
}

fn check_splice(facts: &Facts, body: &[u8], strict: bool, ask: bool, name: Option<&str>) {
    let before = Expected::found(facts);
    let bytes = Bytes::copy_from_slice(body);
    let spliced = facts.splice(&bytes, name, ask);
    let renamed = name.filter(|name| before.model.as_ref().is_some_and(|old| old != name));
    let asking = ask && !before.asked;
    if renamed.is_none() && !asking {
        assert_eq!((spliced.as_ptr(), spliced.len()), (bytes.as_ptr(), bytes.len()), "a copy for nothing");
        return;
    }

    let old = Members::of(body).expect("was one before");
    let new = Members::of(&spliced).expect("the spliced body is a JSON object");
    let old_options = old.get("stream_options").and_then(|raw| Members::of(raw.as_bytes()));
    let mut left = new.0.iter();
    if asking && old.count("stream_options") == 0 {
        let (key, value) = left.next().expect("stream_options");
        assert_eq!((key.as_str(), *value), ("stream_options", r#"{"include_usage":true}"#));
    }
    assert_eq!(left.len(), old.0.len(), "as many members as before");
    for ((key, value), (old_key, old_value)) in left.zip(&old.0) {
        assert_eq!(key, old_key);
        match key.as_str() {
            "model" if renamed.is_some() => {
                assert_eq!(serde_json::from_str::<String>(value).ok().as_deref(), renamed);
            }
            "stream_options" if asking => {
                let options = Members::of(value.as_bytes()).expect("stream_options is an object");
                assert_eq!(options.get("include_usage"), Some("true"));
                let others = |members: &[(String, &str)]| -> Vec<(String, String)> {
                    let other = members.iter().filter(|(key, _)| key != "include_usage");
                    other.map(|(key, value)| (key.clone(), (*value).to_owned())).collect()
                };
                let old_options = old_options.as_ref().map_or(&[][..], |options| &options.0);
                assert_eq!(others(&options.0), others(old_options));
            }
            _ => assert_eq!(value, old_value, "`{key}` is the client's own"),
        }
    }

    let facts = Facts::scan(&spliced, strict).expect("what was believed is believed again");
    let model = renamed.map(str::to_owned).or(before.model);
    assert_eq!(Expected::found(&facts), Expected { model, asked: before.asked || ask, ..before });
    let again = facts.splice(&spliced, name, ask);
    assert_eq!(again.as_ptr(), spliced.as_ptr(), "a second splice has nothing left to do");
}

/// How deep valid JSON nests.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    deepest
}
