//! Stored responses that a client asks for again: the whole, its input's items, or that it be deleted.

use serde_json::{Value, json};
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::ports::Responses as _;
use tollgate_filters::responses::Stored;

use super::{OWN, unavailable};
use crate::gateway::Gateway;
use crate::proxy::ctx::Ctx;

/// What is asked of one stored answer: `/v1/responses/{id}` or `/v1/responses/{id}/input_items`.
pub(in crate::proxy) async fn look_up(gateway: &Gateway, ctx: &Ctx) -> Result<Option<Value>, Error> {
    let Some(rest) = ctx.path.text.split_once("/responses/").map(|(_, rest)| rest) else { return Ok(None) };
    let (id, part) = rest.split_once('/').unwrap_or((rest, ""));
    let org = ctx.caller.as_ref().map_or("", |caller| &*caller.org);
    let not_found = || {
        Error::new(Kind::NotFound, format!("Response with id '{id}' not found.")).code("response_not_found")
    };
    if ctx.method == http::Method::DELETE && part.is_empty() {
        let deleted = match gateway.responses.delete(org, id).await {
            Err(_) if !id.starts_with(OWN) => return Ok(None),
            deleted => deleted.map_err(|e| unavailable(&e))?,
        };
        return match deleted {
            true => Ok(Some(json!({ "id": id, "object": "response", "deleted": true }))),
            false if id.starts_with(OWN) => Err(not_found()),
            false => Ok(None),
        };
    }
    let stored = match gateway.responses.get(org, id).await {
        // It may be the provider's own.
        Err(_) if !id.starts_with(OWN) => return Ok(None),
        stored => stored.map_err(|e| unavailable(&e))?,
    };
    let Some(stored) = stored else {
        return if id.starts_with(OWN) { Err(not_found()) } else { Ok(None) };
    };
    match (&ctx.method, part) {
        (&http::Method::GET, "") => Ok(Some(stored.response.clone())),
        (&http::Method::GET, "input_items") => input_items(&stored, &ctx.path.query).map(Some),
        (&http::Method::POST, "cancel") => {
            Err(Error::invalid("Only a response that runs in the background can be cancelled."))
        }
        _ => Err(Error::new(Kind::MethodNotAllowed, "A stored response can be read and deleted.")),
    }
}

/// One page of the items that a request brought, as OpenAI lists them: the newest first, 20 at a time.
fn input_items(stored: &Stored, query: &str) -> Result<Value, Error> {
    let parameter = |name: &str| {
        let pairs = query.trim_start_matches('?').split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
    };
    let limit = match parameter("limit").map(str::parse) {
        None => 20,
        Some(Ok(limit @ 1..=100)) => limit,
        Some(_) => return Err(Error::invalid("`limit` must be a number from 1 to 100.").param("limit")),
    };
    let mut items: Vec<Value> =
        stored.input_items().iter().enumerate().map(|(at, item)| listed(stored, at, item)).collect();
    if parameter("order") != Some("asc") {
        items.reverse();
    }
    if let Some(after) = parameter("after") {
        let at = items.iter().position(|item| item["id"] == after);
        items.drain(..at.map_or(items.len(), |at| at + 1));
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    let id = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    let (first, last) = (id(items.first()), id(items.last()));
    Ok(json!({ "object": "list", "data": items, "first_id": first, "last_id": last, "has_more": has_more }))
}

/// An item with what a listing shows of each, where the client did not say it.
fn listed(stored: &Stored, at: usize, item: &Value) -> Value {
    let mut item = item.clone();
    let Some(members) = item.as_object_mut() else { return item };
    let kind = members.get("type").and_then(Value::as_str).unwrap_or("message").to_owned();
    let is_message = kind == "message";
    members.entry("type").or_insert(Value::String(kind));
    if !members.contains_key("id") {
        let prefix = if is_message { "msg" } else { "item" };
        let id = format!("{prefix}_{}_{at}", stored.id.trim_start_matches("resp_"));
        members.insert("id".to_owned(), Value::String(id));
    }
    if is_message {
        let is_assistant = members.get("role").is_some_and(|role| role == "assistant");
        let text_type = if is_assistant { "output_text" } else { "input_text" };
        if let Some(Value::String(text)) = members.get("content") {
            let parts = json!([{ "type": text_type, "text": text }]);
            members.insert("content".to_owned(), parts);
        }
        members.entry("status").or_insert_with(|| "completed".into());
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Stored {
        Stored {
            org: "acme".to_owned(),
            id: "resp_tg1".to_owned(),
            created: 0,
            expires: 0,
            model: String::new(),
            previous: None,
            input: json!([{ "role": "user", "content": "a" }, { "type": "function_call_output", "id": "x" }, { "role": "assistant", "content": "c" }]),
            output: json!([]),
            response: json!({}),
        }
    }

    #[test]
    fn input_items_are_listed_in_pages_the_newest_first() {
        let page = input_items(&stored(), "?limit=2").unwrap();
        assert_eq!(page["data"][0]["content"][0], json!({ "type": "output_text", "text": "c" }));
        assert_eq!((&page["first_id"], &page["last_id"]), (&json!("msg_tg1_2"), &json!("x")));
        assert_eq!(page["has_more"], json!(true));
        let rest = input_items(&stored(), "?after=x").unwrap();
        assert_eq!(rest["data"].as_array().unwrap().len(), 1);
        assert_eq!(rest["data"][0]["id"], json!("msg_tg1_0"));
        let first = input_items(&stored(), "?order=asc&limit=1").unwrap();
        assert_eq!(first["data"][0]["id"], json!("msg_tg1_0"));
        assert!(input_items(&stored(), "?limit=0").is_err());
    }
}
