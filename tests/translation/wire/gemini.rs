//! Gemini: whole small answers, the reason of the end and the usage in the last.

use serde_json::Value;

use super::{Sse, Verdict, ensure, parse, text};

pub fn check(events: &[Sse], broken: bool) -> Verdict {
    let mut finished = false;
    let (mut counted, mut usage) = (false, false);
    let mut failed = false;
    for sse in events {
        ensure(sse.event.is_none(), || format!("an event with a name: {:?}", sse.event))?;
        let document = parse(sse)?;
        ensure(!failed, || format!("something after the error: {document}"))?;
        if document.get("error").is_some() {
            text(&document, "/error/message")?;
            text(&document, "/error/status")?;
            failed = true;
            continue;
        }
        usage = document["usageMetadata"].is_object();
        counted |= usage;
        for candidate in document["candidates"].as_array().into_iter().flatten() {
            let parts = candidate.pointer("/content/parts").unwrap_or(&Value::Null);
            ensure(parts.is_null() || parts.is_array(), || format!("parts are no list: {document}"))?;
            for part in parts.as_array().into_iter().flatten() {
                ensure(part.as_object().is_some_and(|part| !part.is_empty()), || {
                    format!("an empty part: {document}")
                })?;
            }
            if let Some(reason) = candidate.get("finishReason") {
                ensure(reason.is_string(), || format!("an odd reason: {document}"))?;
                finished = true;
            }
        }
    }
    ensure(failed == broken, || format!("failed: {failed}"))?;
    ensure(broken || (finished && usage == counted), || {
        format!("finished: {finished}, usage in the last: {usage}")
    })
}
