//! Reading an answer.

use serde_json::Value;
use tollgate_filters::chat::{At, Choice, Content, Extra, Part, Pointer, Response, Text};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use super::seconds;
use crate::dialect::fields::Fields;
use crate::dialect::gemini::grounding::{self, Said, Stretch};
use crate::dialect::gemini::part::read::Reader;
use crate::dialect::gemini::{finish, logprobs, tokens};

/// Reads an answer that is no stream. What is not as it should be stays as an extra member.
pub fn parse(body: Value) -> Result<Response, Error> {
    let mut fields = Fields::new(body, Pointer::ROOT)?;
    let mut response = Response {
        source: Dialect::Gemini,
        id: fields.string("responseId").unwrap_or_default(),
        model: fields.string("modelVersion").unwrap_or_default(),
        created: None,
        choices: Vec::new(),
        usage: None,
        service_tier: None,
        extra: Extra::new(),
    };
    if let Some(moment) = fields.word("createTime").and_then(seconds) {
        fields.take("createTime");
        response.created = Some(moment);
    }
    if let Some((usage, tier)) = fields
        .peek("usageMetadata")
        .cloned()
        .and_then(|block| tokens::read(block, Pointer::of("/usageMetadata")))
    {
        fields.take("usageMetadata");
        response.usage = Some(usage);
        response.service_tier = tier;
    }
    for (i, candidate) in
        fields.list("candidates").unwrap_or_default().unwrap_or_default().into_iter().enumerate()
    {
        if let Ok(candidate) = Fields::new(candidate, Pointer::of("/candidates").index(i)) {
            response.choices.push(choice(candidate, i));
        }
    }
    if response.choices.is_empty()
        && let Some(reason) = fields.peek("promptFeedback").and_then(|feedback| feedback.get("blockReason"))
    {
        let finish = Some(finish::blocked(reason.as_str().unwrap_or_default()));
        response.choices.push(Choice { finish, at: Pointer::of("/promptFeedback"), ..Choice::default() });
    }
    response.extra = saying(fields.rest());
    Ok(response)
}

/// Without members that say nothing.
pub fn saying(extra: Extra) -> Extra {
    let empty = |value: &Value| {
        value.as_object().is_some_and(serde_json::Map::is_empty)
            || value.as_array().is_some_and(Vec::is_empty)
    };
    extra.into_iter().filter(|(_, value)| !empty(value)).collect()
}

fn choice(mut candidate: Fields, position: usize) -> Choice {
    let at = candidate.here().clone();
    let index = candidate.unsigned("index").unwrap_or_default().and_then(|index| u32::try_from(index).ok());
    let mut choice = Choice {
        index: index.unwrap_or_else(|| u32::try_from(position).unwrap_or_default()),
        at,
        ..Choice::default()
    };
    // Of each Gemini part, the number of the last neutral part that it became.
    let mut own = Vec::new();
    if let Ok(Some(mut content)) = candidate.object("content") {
        content.take("role");
        let mut reader = Reader::lenient();
        let place = content.at("parts");
        for (i, part) in content.list("parts").unwrap_or_default().unwrap_or_default().into_iter().enumerate()
        {
            // A lenient reader refuses nothing.
            let _ = reader.part(part, place.index(i), &mut choice.parts);
            own.push(choice.parts.len().saturating_sub(1));
        }
        let rest = saying(content.rest());
        if !rest.is_empty() {
            choice.extra.insert("content".to_owned(), Value::Object(rest));
        }
    }
    let calls = choice.parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
    if let Ok(Some(word)) = candidate.string("finishReason") {
        choice.finish = Some(finish::read(&word, calls, candidate.at("finishReason")));
    }
    if let Some(result) = candidate.peek("logprobsResult")
        && let Some(logprobs) = logprobs::read(result)
    {
        let more = logprobs::has_more(result);
        choice.logprobs = Some(At::new(logprobs, candidate.at("logprobsResult")));
        if !more {
            candidate.take("logprobsResult");
        }
    }
    if let Some(metadata) = candidate.peek("groundingMetadata") {
        annotate(metadata, &candidate.at("groundingMetadata"), &own, &mut choice.parts);
    }
    choice.extra.extend(saying(candidate.rest()));
    let said = own.iter().enumerate().filter_map(|(part, place)| match &choice.parts.get(*place)?.content {
        Content::Text(Text { text, annotations }) => Some(Said { text, part, before: 0, annotations }),
        _ => None,
    });
    let said: Vec<Said<'_>> = said.collect();
    grounding::keep(&mut choice.extra, &choice.at, &said);
    finish::keep_message(&mut choice.extra);
    choice
}

fn annotate(metadata: &Value, at: &Pointer, own: &[usize], parts: &mut [Part]) {
    let mut places = Vec::new();
    let mut texts = Vec::new();
    for (i, place) in own.iter().enumerate() {
        if let Some(Content::Text(Text { text, .. })) = parts.get(*place).map(|part| &part.content) {
            places.push(*place);
            texts.push(Stretch { own: i as u64, text });
        }
    }
    for (text, annotation) in grounding::read(metadata, at, &texts) {
        let place = places.get(text).and_then(|place| parts.get_mut(*place));
        if let Some(Content::Text(text)) = place.map(|part| &mut part.content) {
            text.annotations.push(annotation);
        }
    }
}
