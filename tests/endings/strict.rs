//! What a whole stream of each dialect is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tollgate::dialect::frames::Frames;
use tollgate_filters::exchange::Dialect;

use super::corpus::Stream;

type Checked = Result<(), String>;

/// Where the stream's events end.
pub fn ends(stream: &Stream) -> Vec<usize> {
    if stream.array {
        let mut frames = Frames::array();
        let mut ends: Vec<usize> = Vec::new();
        for (at, byte) in stream.bytes.iter().enumerate() {
            frames.push(&[*byte], |_| ends.push(at + 1)).unwrap();
        }
        ends.push(stream.bytes.len());
        return ends;
    }
    let text = std::str::from_utf8(&stream.bytes).unwrap();
    let blank = if text.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" };
    text.match_indices(blank).map(|(at, blank)| at + blank.len()).collect()
}

/// The documents of a stream that is read by the letter of its format.
pub fn documents(stream: &Stream, bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    if stream.array {
        let list: Vec<Value> = serde_json::from_str(text).map_err(|e| format!("no array: {e}"))?;
        return Ok(list.iter().map(Value::to_string).collect());
    }
    let (mut found, mut data, mut open) = (Vec::new(), Vec::new(), false);
    for line in text.split_inclusive('\n') {
        let line = line.strip_suffix('\n').ok_or("the last line has no end")?;
        let line = line.strip_suffix('\r').unwrap_or(line);
        open = !line.is_empty();
        if let Some(more) = line.strip_prefix("data:") {
            data.push(more.strip_prefix(' ').unwrap_or(more));
        } else if !open && !data.is_empty() {
            found.push(std::mem::take(&mut data).join("\n"));
        }
    }
    if open || !data.is_empty() {
        return Err("the last event has no blank line".to_owned());
    }
    for document in &found {
        if document.trim() != "[DONE]" {
            serde_json::from_str::<Value>(document).map_err(|e| format!("{e} in {document}"))?;
        }
    }
    Ok(found.into_iter().filter(|document| !document.trim().is_empty()).collect())
}

pub fn check(stream: &Stream, documents: &[String], finished: bool) -> Checked {
    let done = documents.iter().position(|document| document.trim() == "[DONE]");
    let values: Vec<Value> =
        documents.iter().filter_map(|document| serde_json::from_str(document).ok()).collect();
    match stream.dialect {
        Dialect::OpenaiChat => {
            if done != Some(documents.len() - 1) {
                return Err("[DONE] is not last, or not there once".to_owned());
            }
            chat(&values, finished)
        }
        Dialect::OpenaiResponses => responses(&values, finished),
        Dialect::Anthropic => anthropic(&values, finished),
        Dialect::Gemini => gemini(&values, finished),
    }
}

fn ensure(is: bool, otherwise: impl Into<String>) -> Checked {
    if is { Ok(()) } else { Err(otherwise.into()) }
}

fn one(values: &[Value], pointer: &str) -> Checked {
    let said: BTreeSet<&str> =
        values.iter().filter_map(|v| v.pointer(pointer)?.as_str()).filter(|id| !id.is_empty()).collect();
    ensure(said.len() <= 1, format!("{pointer} is not one: {said:?}"))
}

fn chat(chunks: &[Value], finished: bool) -> Checked {
    one(chunks, "/object")?;
    // Groq's compound models have one for each model within.
    let ids: Vec<&Value> = chunks.iter().map(|chunk| &chunk["id"]).filter(|id| *id != "").collect();
    ensure(finished || ids.first() == ids.last(), "another id at the end")?;
    let (mut seen, mut reasons) = (BTreeSet::new(), BTreeMap::new());
    for chunk in chunks {
        for choice in chunk["choices"].as_array().ok_or("no choices")? {
            let index = choice["index"].as_u64().ok_or("no index")?;
            ensure(
                choice.get("delta").is_some_and(Value::is_object) || choice["text"].is_string(),
                "no delta",
            )?;
            seen.insert(index);
            if let Some(reason) = choice["finish_reason"].as_str() {
                let again = reasons.insert(index, reason).is_some();
                // OpenRouter says it again with the usage.
                ensure(finished || !again, "two reasons")?;
            }
        }
    }
    ensure(!seen.is_empty() && seen.len() == reasons.len(), format!("{seen:?} but {reasons:?}"))?;
    if !finished {
        ensure(reasons.values().any(|reason| *reason == "length"), "no length")?;
        let usage = &chunks.last().ok_or("nothing")?["usage"];
        ensure(usage["total_tokens"] == 42, "no usage at the end")?;
        ensure(usage["tollgate"]["stopped"] == "budget", "no note")?;
    }
    Ok(())
}

fn anthropic(events: &[Value], finished: bool) -> Checked {
    let (mut begun, mut open, mut next, mut delta, mut stopped) = (false, None, 0, false, false);
    for event in events {
        ensure(!stopped, "something behind message_stop")?;
        match event["type"].as_str().ok_or("no type")? {
            "ping" => {}
            "message_start" => ensure(!std::mem::replace(&mut begun, true), "begins twice")?,
            _ if !begun => return Err("no message_start".to_owned()),
            "content_block_start" => {
                ensure(open.is_none() && event["index"] == next, "a block begins in another")?;
                open = Some(next);
                next += 1;
            }
            "content_block_delta" => {
                ensure(open.is_some_and(|open| event["index"] == open), "no such block")?;
            }
            "content_block_stop" => {
                ensure(open.take().is_some_and(|open| event["index"] == open), "no such block ends")?;
            }
            "message_delta" => {
                ensure(open.is_none() && !std::mem::replace(&mut delta, true), "message_delta")?;
                if !finished {
                    ensure(event["delta"]["stop_reason"] == "max_tokens", "stop_reason")?;
                    ensure(
                        event["usage"]["output_tokens"] == 12 && event["usage"]["input_tokens"] == 20,
                        "usage",
                    )?;
                    ensure(event["usage"]["tollgate"]["rule"].is_string(), "no note")?;
                }
            }
            "message_stop" => stopped = delta,
            other => return Err(format!("unknown {other}")),
        }
    }
    ensure(stopped, "no message_stop")
}

fn gemini(documents: &[Value], finished: bool) -> Checked {
    one(documents, "/responseId")?;
    one(documents, "/modelVersion")?;
    let (mut seen, mut reasons) = (BTreeSet::new(), BTreeMap::new());
    for document in documents {
        for candidate in document["candidates"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let index = candidate["index"].as_u64().unwrap_or_default();
            seen.insert(index);
            if let Some(reason) = candidate["finishReason"].as_str() {
                reasons.insert(index, reason);
            }
        }
    }
    ensure(!seen.is_empty() && seen.len() == reasons.len(), format!("{seen:?} but {reasons:?}"))?;
    if !finished {
        ensure(reasons.values().any(|reason| *reason == "MAX_TOKENS"), "no MAX_TOKENS")?;
        let usage = &documents.last().ok_or("nothing")?["usageMetadata"];
        ensure(usage["totalTokenCount"] == 42 && usage["tollgate"]["stopped"] == "budget", "usage")?;
    }
    Ok(())
}

#[derive(Default)]
struct Item {
    id: String,
    texts: BTreeMap<String, String>,
    parts: BTreeMap<String, bool>,
    done: Option<Value>,
}

fn responses(events: &[Value], finished: bool) -> Checked {
    let silent = |event: &&Value| event["type"] == "keepalive";
    one(&events.iter().filter(|event| !silent(event)).cloned().collect::<Vec<_>>(), "/response/id")?;
    let mut items: BTreeMap<u64, Item> = BTreeMap::new();
    for (number, event) in events.iter().enumerate() {
        ensure(
            event["sequence_number"] == number || event["sequence_number"].is_null(),
            format!("event {number} has number {}", event["sequence_number"]),
        )?;
        if silent(&event) {
            continue;
        }
        let kind = event["type"].as_str().ok_or("no type")?;
        let Some(index) = event["output_index"].as_u64() else { continue };
        if kind == "response.output_item.added" {
            let id = event["item"]["id"].as_str().unwrap_or_default().to_owned();
            ensure(items.insert(index, Item { id, ..Item::default() }).is_none(), "begins twice")?;
            continue;
        }
        let item = items.get_mut(&index).ok_or(format!("{kind} of no item"))?;
        ensure(item.done.is_none(), format!("{kind} of an item that is done"))?;
        if kind == "response.output_item.done" {
            item.done = Some(event["item"].clone());
            continue;
        }
        ensure(event["item_id"].as_str().is_none_or(|id| id == item.id), "another item's id")?;
        within(kind, event, item)?;
    }
    end(events, &items, finished)
}

fn within(kind: &str, event: &Value, item: &mut Item) -> Checked {
    let summary = kind.contains("summary");
    let place = format!("{summary} {} {}", event["content_index"], event["summary_index"]);
    let stem = kind.trim_end_matches(".delta").trim_end_matches(".done");
    if kind.ends_with("part.added") {
        ensure(item.parts.insert(place, false).is_none(), "a part begins twice")
    } else if kind.ends_with("part.done") {
        let open = item.parts.insert(place, true);
        ensure(open == Some(false), "a part ends that is not open")
    } else if kind.strip_suffix(".delta").is_some() {
        let text = event["delta"].as_str().ok_or("no delta")?;
        item.texts.entry(format!("{stem} {place}")).or_default().push_str(text);
        Ok(())
    } else if let Some(told) =
        ["text", "refusal", "arguments", "input", "code"].iter().find_map(|key| event[*key].as_str())
    {
        let text = item.texts.remove(&format!("{stem} {place}")).unwrap_or_default();
        ensure(text == told || text.is_empty(), format!("{kind} says {told:?} and not {text:?}"))
    } else {
        Ok(())
    }
}

fn end(events: &[Value], items: &BTreeMap<u64, Item>, finished: bool) -> Checked {
    for item in items.values() {
        ensure(item.done.is_some(), format!("{} is open", item.id))?;
        ensure(item.parts.values().all(|done| *done), format!("a part of {} is open", item.id))?;
        ensure(item.texts.is_empty(), format!("no end of {:?}", item.texts))?;
    }
    let last = events.last().ok_or("nothing")?;
    if finished {
        return Ok(());
    }
    ensure(
        last["type"] == "response.incomplete" && last["response"]["status"] == "incomplete",
        "not incomplete",
    )?;
    ensure(last["response"]["incomplete_details"]["reason"] == "max_output_tokens", "no reason")?;
    ensure(last["response"]["usage"]["total_tokens"] == 42, "no usage")?;
    ensure(last["response"]["usage"]["tollgate"]["stopped"] == "budget", "no note")?;
    let output: Vec<&Value> = items.values().filter_map(|item| item.done.as_ref()).collect();
    let told: Vec<&Value> = last["response"]["output"].as_array().ok_or("no output")?.iter().collect();
    ensure(output == told, "another output than its items")
}
