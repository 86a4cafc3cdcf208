//! Credentials, by the prefixes that their makers gave them so that they can be found; private keys in PEM, JWTs.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::{Found, Kind};

/// Prefix, and how many characters follow at least.
const PREFIXES: &[(&str, usize)] = &[
    ("sk-ant-", 20), // Anthropic
    ("sk-", 20),     // OpenAI and many others, OpenRouter (sk-or-v1-)
    ("AIza", 35),    // Google
    ("gsk_", 20),    // Groq
    ("xai-", 40),    // xAI
    ("hf_", 30),     // Hugging Face
    ("tg-", 40),     // this gateway
    ("AKIA", 16),    // AWS
    ("ASIA", 16),    // AWS, for a session
    ("ghp_", 36),    // GitHub
    ("gho_", 36),
    ("ghu_", 36),
    ("ghs_", 36),
    ("ghr_", 36),
    ("github_pat_", 22),
    ("glpat-", 20), // GitLab
    ("xoxb-", 10),  // Slack
    ("xoxp-", 10),
    ("xoxa-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("xapp-", 10),
    ("sk_live_", 16), // Stripe
    ("rk_live_", 16),
    ("sk_test_", 16),
    ("npm_", 36),       // npm
    ("pypi-AgE", 50),   // PyPI
    ("SG.", 60),        // SendGrid
    ("eyJ", 20),        // JWT
    ("-----BEGIN ", 0), // PEM
    // How AWS names the key that has no prefix.
    ("ecret_access_key", 0),
    ("ecretAccessKey", 0),
    ("ECRET_ACCESS_KEY", 0),
    ("ecret access key", 0),
];

/// The ones that are no prefixes of the secret itself.
pub const PEM: &str = "-----BEGIN ";
const PEM_END: &str = "-----END ";
const PEM_KEY: &str = "PRIVATE KEY-----";
/// What is shorter is no key, unless its last line is there.
const PEM_LEAST: usize = 64;

static FINDER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(PREFIXES.iter().map(|(prefix, _)| prefix))
        .ok()
});

pub fn scan(text: &str, from: usize, found: &mut Vec<Found>) {
    let Some(finder) = FINDER.as_ref() else { return };
    let bytes = text.as_bytes();
    // The name of AWS's key stands before it.
    let mut begin = from.saturating_sub(super::BEFORE);
    while begin > 0 && !text.is_char_boundary(begin) {
        begin -= 1;
    }
    let mut done = 0;
    for hit in finder.find_iter(&text[begin..]) {
        let (start, behind) = (begin + hit.start(), begin + hit.end());
        let (prefix, least) = PREFIXES[hit.pattern().as_usize()];
        let place = match prefix {
            PEM => private_key(text, start, behind),
            "eyJ" => jwt(bytes, start),
            _ if least == 0 => aws(bytes, behind),
            _ => key(bytes, start, prefix, least),
        };
        if let Some((start, end)) = place.filter(|(start, end)| *start >= from && *end > done) {
            done = end;
            found.push(Found { start, end, kind: Kind::Secret });
        }
    }
}

/// Where something begins that is too long for a word: the first lines of a private key.
pub fn open(text: &str) -> usize {
    let tail = text.len().saturating_sub(PEM.len() + 45 + PEM_LEAST);
    let tail = (tail..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let Some(start) = text[tail..].rfind(PEM).map(|at| tail + at) else { return text.len() };
    let behind = start + PEM.len();
    let undecided = match first_line(text, behind) {
        Some(line) => pem_body(&text[line..]) == (text.len() - line, false),
        None => !text[behind..].contains("-----"),
    };
    if undecided { start } else { text.len() }
}

fn is_key(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')
}

fn run(bytes: &[u8], start: usize, inside: impl Fn(u8) -> bool) -> usize {
    start + bytes[start..].iter().take_while(|b| inside(**b)).count()
}

fn alone(bytes: &[u8], start: usize) -> bool {
    !start.checked_sub(1).is_some_and(|at| is_key(bytes[at]) && bytes[at] != b'-')
}

fn key(bytes: &[u8], start: usize, prefix: &str, least: usize) -> Option<(usize, usize)> {
    let behind = start + prefix.len();
    let end = run(bytes, behind, |b| is_key(b) || b == b'.' && prefix == "SG.");
    let body = &bytes[behind..end];
    if body.len() < least || !alone(bytes, start) {
        return None;
    }
    let digit = body.iter().any(u8::is_ascii_digit);
    let right = match prefix {
        // `sk-` begins names of style sheets, too. Keys have a long piece without dashes.
        "sk-" | "sk-ant-" | "tg-" | "xai-" => {
            digit && body.split(|b| *b == b'-').any(|piece| piece.len() >= 12)
        }
        "AKIA" | "ASIA" => {
            body.len() == 16 && body.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        }
        "xoxb-" | "xoxp-" | "xoxa-" | "xoxr-" | "xoxs-" | "xapp-" => digit,
        _ => digit || body.len() >= least * 2,
    };
    right.then_some((start, end))
}

/// Three parts in base64url, of which the first two begin with `{"`. The third is missing if it is not signed.
fn jwt(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let first = run(bytes, start, is_key);
    if !alone(bytes, start) || first - start < 10 || !bytes[first..].starts_with(b".eyJ") {
        return None;
    }
    let second = run(bytes, first + 1, is_key);
    let end = if bytes.get(second) == Some(&b'.') { run(bytes, second + 1, is_key) } else { second };
    Some((start, end))
}

/// The forty characters behind the name of a secret access key.
fn aws(bytes: &[u8], behind: usize) -> Option<(usize, usize)> {
    let gap = bytes[behind..].iter().take(8).take_while(|b| b" \t\"'`:=>".contains(b)).count();
    let start = behind + gap;
    let end = run(bytes, start, |b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'+'));
    (gap > 0 && end - start == 40 && bytes.get(end) != Some(&b'=')).then_some((start, end))
}

/// From the first line to the last; without a last line, as far as it can be one. A first line alone is talk about keys.
fn private_key(text: &str, start: usize, behind: usize) -> Option<(usize, usize)> {
    let line = first_line(text, behind)?;
    let (length, ended) = pem_body(&text[line..]);
    let body = &text[line..line + length];
    (body.len() >= PEM_LEAST || ended && body.contains(PEM_END)).then_some((start, line + length))
}

/// Where the first line of a private key ends.
fn first_line(text: &str, behind: usize) -> Option<usize> {
    let rest = &text[behind..];
    let end = rest.find("-----").filter(|length| *length <= 40)? + "-----".len();
    rest[..end].ends_with(PEM_KEY).then_some(behind + end)
}

/// How much of `text` belongs to a private key whose first line came before it, and whether it ended with that.
pub fn pem_body(text: &str) -> (usize, bool) {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"+/=\r\n\t ,:-\\".contains(&b);
    let body = run(text.as_bytes(), 0, inside);
    let last = text[..body].find(PEM_END).and_then(|at| {
        let line = &text[at + PEM_END.len()..];
        line.find("-----")
            .filter(|length| *length <= 40)
            .map(|length| at + PEM_END.len() + length + "-----".len())
    });
    match last {
        Some(end) => (end, true),
        None => (body, body < text.len()),
    }
}

/// How much of `text` belongs to a key or token that began before it, and whether it ended with that.
pub fn key_body(text: &str) -> (usize, bool) {
    let end = run(text.as_bytes(), 0, |b| is_key(b) || b == b'.');
    (end, end < text.len())
}
