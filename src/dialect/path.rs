//! What a request path asks for, and in which dialect.

use std::borrow::Cow;

use http::Method;
use tollgate_filters::exchange::{Dialect, Operation};

/// A path, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked<'a> {
    pub dialect: Dialect,
    pub operation: Operation,
    /// The model, where the path names it (Gemini), as it stands there.
    pub model: Option<&'a str>,
}

/// Whose SDK a request comes from, as far as its headers or its provider tell: `/v1/models` and
/// `/v1/files` are paths of three dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sdk {
    Unknown,
    /// It sends `anthropic-version`.
    Anthropic,
    /// It sends `x-goog-api-key` or `?key=`.
    Gemini,
}

/// Reads a path that stands behind no provider prefix, or what remains behind one.
///
/// `None` where it is no API path at all.
pub fn classify<'a>(method: &Method, path: &'a str, sdk: Sdk) -> Option<Asked<'a>> {
    let (version, rest) = after_version(path)?;
    let rest = rest.trim_end_matches('/');
    let post = method == Method::POST;
    let anthropic = sdk == Sdk::Anthropic;
    if let Some(asked) = gemini(version, rest, post, sdk == Sdk::Gemini) {
        return Some(asked);
    }
    // Gemini offers OpenAI's API too, at /v1beta/openai/…
    let openai_rest = rest.strip_prefix("openai/").unwrap_or(rest);
    let (dialect, operation) = match (openai_rest, post) {
        // Anthropic offers OpenAI's Chat Completions as well.
        ("chat/completions", true) => (Dialect::OpenaiChat, Operation::Chat),
        ("messages", true) => (Dialect::Anthropic, Operation::Messages),
        ("messages/count_tokens", true) => (Dialect::Anthropic, Operation::CountTokens),
        (models, false) if models == "models" || models.starts_with("models/") => {
            (family(anthropic), Operation::Models)
        }
        ("responses", true) => (Dialect::OpenaiResponses, Operation::Responses),
        ("responses/input_tokens", true) => (Dialect::OpenaiResponses, Operation::CountTokens),
        ("completions", true) => (Dialect::OpenaiChat, Operation::Completions),
        ("embeddings", true) => (Dialect::OpenaiChat, Operation::Embeddings),
        // Only where the path leaves it open does a header say whose it is.
        _ if anthropic || rest.starts_with("messages/") => (Dialect::Anthropic, Operation::Other),
        _ if rest.starts_with("responses/") => (Dialect::OpenaiResponses, Operation::Other),
        _ => (Dialect::OpenaiChat, Operation::Other),
    };
    Some(Asked { dialect, operation, model: None })
}

fn family(anthropic: bool) -> Dialect {
    if anthropic { Dialect::Anthropic } else { Dialect::OpenaiChat }
}

/// `/v1/x` -> (`v1`, `x`), `/openai/v1/x` -> (`v1`, `x`): the path from its version on.
fn after_version(path: &str) -> Option<(&str, &str)> {
    let mut rest = path.strip_prefix('/')?;
    loop {
        let (segment, tail) = rest.split_once('/').unwrap_or((rest, ""));
        if matches!(segment, "v1" | "v1beta" | "v1alpha" | "v1beta1" | "v2" | "v3" | "v4") {
            return Some((segment, tail));
        }
        if tail.is_empty() {
            return None;
        }
        rest = tail;
    }
}

/// What Gemini has no paths of, so that a key in its header does not make one of them.
const OTHERS: [&str; 14] = [
    "chat",
    "responses",
    "messages",
    "embeddings",
    "completions",
    "images",
    "audio",
    "moderations",
    "threads",
    "assistants",
    "vector_stores",
    "fine_tuning",
    "uploads",
    "realtime",
];

/// Gemini's own paths: all of `v1beta` and `v1alpha`, `models/…:method` under any version, and whatever
/// its SDK asks for.
fn gemini<'a>(version: &str, rest: &'a str, post: bool, sdk: bool) -> Option<Asked<'a>> {
    let named = rest
        .split_once(':')
        .filter(|(model, _)| post && (model.starts_with("models/") || model.starts_with("tunedModels/")));
    let others = OTHERS.contains(&rest.split('/').next().unwrap_or_default());
    let own = sdk && !others || matches!(version, "v1beta" | "v1alpha") || named.is_some();
    if !own || rest.starts_with("openai/") {
        return None;
    }
    let (model, operation) = match (named, post) {
        (Some((model, method)), true) => {
            let operation = match method {
                "generateContent" => Operation::Generate,
                "streamGenerateContent" => Operation::StreamGenerate,
                "countTokens" => Operation::CountTokens,
                "embedContent" | "batchEmbedContents" => Operation::Embeddings,
                _ => Operation::Other,
            };
            // A tuned model belongs to its provider's account; it has no other name.
            (model.strip_prefix("models/").or(Some(model)), operation)
        }
        (None, false) if rest == "models" || rest.starts_with("models/") => (None, Operation::Models),
        _ => (None, Operation::Other),
    };
    Some(Asked { dialect: Dialect::Gemini, operation, model })
}

/// Whether a path means the same to everybody who reads it: no empty or dot segments, and nothing
/// escaped that need not be.
pub fn is_plain(path: &str) -> bool {
    let needless = |(at, _)| {
        let code = path.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        code.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_' | b'~'))
    };
    // An escaped slash may be part of a name, but not a step that somebody who unescapes it would take.
    let dots = percent_decode(path).split(['/', '\\']).any(|segment| segment == "." || segment == "..");
    let tricks = path.contains("//") || dots || path.match_indices('%').any(needless);
    !tricks
}

/// Whether a path that asks for nothing in particular here is something in particular to a server that reads paths more
/// loosely: without regard to case, with escapes undone, without parameters, dots or blanks at the end of a segment.
pub fn is_disguise(method: &Method, path: &str, sdk: Sdk) -> bool {
    let asked = |path: &str| classify(method, path, sdk).map_or(Operation::Other, |asked| asked.operation);
    // Nearly every request ends here.
    if asked(path) != Operation::Other {
        return false;
    }
    let plain = percent_decode(path).replace('\\', "/").to_ascii_lowercase();
    let bare = |segment: &str| {
        let segment = segment.split(';').next().unwrap_or_default();
        segment.trim_end_matches(|c: char| c == '.' || c.is_whitespace() || c.is_control()).to_owned()
    };
    let mut loose = plain.split('/').map(bare).collect::<Vec<_>>().join("/");
    for method in
        ["generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents"]
    {
        if let Some(model) = loose.strip_suffix(&format!(":{}", method.to_ascii_lowercase())) {
            loose = format!("{}:{method}", model.replace("/tunedmodels/", "/tunedModels/"));
        }
    }
    asked(&loose) != Operation::Other
}

/// A path segment with its percent-escapes undone, as far as they are text.
pub fn percent_decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escape = tail.get(..2).filter(|_| byte == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded = escape.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(path: &str) -> (Dialect, Operation, Option<&str>) {
        let asked = classify(&Method::POST, path, Sdk::Unknown).unwrap();
        (asked.dialect, asked.operation, asked.model)
    }

    #[test]
    fn the_paths_of_the_official_sdks() {
        use Dialect::{Anthropic, Gemini, OpenaiChat, OpenaiResponses};
        assert_eq!(post("/v1/chat/completions"), (OpenaiChat, Operation::Chat, None));
        assert_eq!(post("/openai/v1/chat/completions"), (OpenaiChat, Operation::Chat, None));
        assert_eq!(post("/api/v1/chat/completions"), (OpenaiChat, Operation::Chat, None));
        assert_eq!(post("/v1beta/openai/chat/completions"), (OpenaiChat, Operation::Chat, None));
        assert_eq!(post("/v1/responses"), (OpenaiResponses, Operation::Responses, None));
        assert_eq!(post("/v1/responses/r1/cancel"), (OpenaiResponses, Operation::Other, None));
        assert_eq!(post("/v1/embeddings"), (OpenaiChat, Operation::Embeddings, None));
        assert_eq!(post("/v1/messages"), (Anthropic, Operation::Messages, None));
        assert_eq!(post("/v1/messages/batches"), (Anthropic, Operation::Other, None));
        assert_eq!(post("/v1/files"), (OpenaiChat, Operation::Other, None));
        assert_eq!(
            post("/v1beta/models/gemini-2.5-pro:generateContent"),
            (Gemini, Operation::Generate, Some("gemini-2.5-pro"))
        );
        assert_eq!(
            post("/v1/models/g/x:streamGenerateContent"),
            (Gemini, Operation::StreamGenerate, Some("g/x"))
        );
        assert_eq!(
            post("/v1beta/tunedModels/t:generateContent"),
            (Gemini, Operation::Generate, Some("tunedModels/t"))
        );
        assert_eq!(post("/upload/v1beta/files"), (Gemini, Operation::Other, None));
    }

    #[test]
    fn paths_that_two_dialects_share_are_told_apart_by_the_header() {
        let dialect = |path, sdk| classify(&Method::GET, path, sdk).unwrap().dialect;
        for path in ["/v1/models", "/v1/files"] {
            assert_eq!(dialect(path, Sdk::Unknown), Dialect::OpenaiChat);
            assert_eq!(dialect(path, Sdk::Anthropic), Dialect::Anthropic);
            assert_eq!(dialect(path, Sdk::Gemini), Dialect::Gemini);
        }
    }

    #[test]
    fn a_key_in_geminis_header_does_not_make_a_chat_geminis() {
        let asked = classify(&Method::POST, "/v1/chat/completions", Sdk::Gemini).unwrap();
        assert_eq!((asked.dialect, asked.operation), (Dialect::OpenaiChat, Operation::Chat));
    }

    #[test]
    fn only_plain_paths_are_taken() {
        for path in ["/v1/chat/completions", "/v1beta/models/a%2Fb:generateContent", "/v1/files/a-b_c~d"] {
            assert!(is_plain(path), "{path}");
        }
        for path in [
            "//v1/x",
            "/v1//x",
            "/v1/../x",
            "/v1/./x",
            "/v1/%2e%2E/x",
            "/v1/%63hat",
            "/v1/x/..",
            "/v1/x%2f..%2fy",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }

    #[test]
    fn a_path_that_looser_servers_take_for_another_is_a_disguise() {
        for path in [
            "/v1/Chat/completions",
            "/V1/chat/completions",
            "/v1/chat%2Fcompletions",
            "/v1/chat/completions;a=b",
            "/v1/chat/completions.",
            "/v1/chat/completions%20",
            "/v1/chat\\completions",
            "/v1beta/models/m:GenerateContent",
            "/v1beta/Models/m:generateContent",
        ] {
            assert!(is_disguise(&Method::POST, path, Sdk::Unknown), "{path}");
        }
        for path in
            ["/v1/chat/completions", "/v1/files/A.b", "/v1beta/models/A%2FB:generateContent", "/v1/Images/x"]
        {
            assert!(!is_disguise(&Method::POST, path, Sdk::Unknown), "{path}");
        }
    }

    #[test]
    fn what_is_no_api_path() {
        for path in ["/", "", "/favicon.ico", "/metrics", "/a/b/c"] {
            assert_eq!(classify(&Method::GET, path, Sdk::Unknown), None, "{path}");
        }
    }

    #[test]
    fn percent_escapes() {
        assert_eq!(percent_decode("a%2Fb%zz%"), "a/b%zz%");
    }
}
