//! The commonest document of a stream, read without a detour.

use std::borrow::Cow;

use memchr::memchr2;
use serde::Deserialize;

/// One piece of text, or of a thought, of one candidate. Anything else is not this.
#[derive(Debug)]
pub struct Plain<'a> {
    pub candidate: Candidate<'a>,
    /// The object, which is not looked into.
    pub usage: Option<&'a [u8]>,
    pub model: Option<&'a str>,
    pub id: Option<&'a str>,
    pub time: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate<'a> {
    #[serde(borrow)]
    pub content: Content<'a>,
    pub index: Option<u32>,
    /// Older models say it in each document.
    #[serde(borrow, default, rename = "finishReason")]
    pub finish: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content<'a> {
    #[serde(borrow)]
    pub parts: [Part<'a>; 1],
    #[serde(borrow, rename = "role")]
    _role: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part<'a> {
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    pub thought: Option<bool>,
}

impl<'a> Plain<'a> {
    /// Reads a document that begins with its candidates, as Google's all do. What stands behind them is only passed over.
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let (key, rest) = string(data.strip_prefix(b"{")?.trim_ascii_start())?;
        let rest = rest.trim_ascii_start().strip_prefix(b":").filter(|_| key == "candidates")?;
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<[Candidate<'a>; 1]>();
        let [candidate] = values.next()?.ok()?;
        let mut rest = &rest[values.byte_offset()..];
        let mut plain = Self { candidate, usage: None, model: None, id: None, time: None };
        loop {
            rest = match rest.trim_ascii_start().split_first()? {
                (b',', more) => more.trim_ascii_start(),
                (b'}', more) => return more.trim_ascii().is_empty().then_some(plain),
                _ => return None,
            };
            let key;
            (key, rest) = string(rest)?;
            rest = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
            let place = match key {
                "usageMetadata" => {
                    let block;
                    (block, rest) = object(rest)?;
                    plain.usage = Some(block);
                    continue;
                }
                "modelVersion" => &mut plain.model,
                "responseId" => &mut plain.id,
                "createTime" => &mut plain.time,
                _ => return None,
            };
            let text;
            (text, rest) = string(rest)?;
            *place = Some(text);
        }
    }
}

/// The string at the start, and what is behind it. One with escapes is not for this reader.
fn string(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let bytes = bytes.strip_prefix(b"\"")?;
    let end = memchr2(b'"', b'\\', bytes).filter(|end| bytes[*end] == b'"')?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

/// The object at the start, and what is behind it. Names of models and modalities hold no braces.
fn object(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut depth = 0_usize;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.checked_sub(1)?,
            b'\\' => return None,
            _ => {}
        }
        if depth == 0 {
            return (at > 0).then(|| bytes.split_at(at + 1));
        }
    }
    None
}
