//! Legacy completion requests, read into the neutral conversation.

use serde_json::Value;
use tollgate_filters::chat::{At, LogProbs, Losses, Message, Part, Pointer, Request, Role};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use super::Wanted;
use crate::dialect::count::{Tokens, decode_tokens};
use crate::dialect::fields::{Fields, missing, wrong_type};

/// What `max_tokens` is where a request does not say (OpenAI's API reference).
const MAX_TOKENS: u64 = 16;

/// Reads the body of a request. It is then one of Chat Completions, to be rendered for any target; what no chat has a place
/// for (`suffix`, `best_of`) is in `losses`.
pub fn parse(body: Value, losses: &mut Losses) -> Result<(Request, Wanted), Error> {
    let mut fields = Fields::new(body, Pointer::ROOT)?;
    let mut request = Request::new(Dialect::OpenaiChat);
    request.model = fields.string("model")?;
    request.stream = fields.boolean("stream")?.unwrap_or_default();
    let model = request.model.as_deref().unwrap_or_default();
    let prompt = prompt(&mut fields, model, losses)?;
    let at = fields.at("prompt");
    let echo = fields.boolean("echo")?.unwrap_or_default().then(|| prompt.clone());
    let mut message = Message::new(Role::User, vec![Part::text(prompt, at.clone())], at);
    message.plain = true;
    request.messages.push(message);
    let limit = fields.unsigned("max_tokens")?.unwrap_or(MAX_TOKENS);
    if limit == 0 {
        return Err(Error::invalid("`/max_tokens` is 0, but this model always writes something.")
            .param("/max_tokens")
            .code("unsupported_value"));
    }
    request.max_tokens = fields.placed("max_tokens", Some(limit));
    sampling(&mut fields, &mut request)?;
    without_place(&mut fields, &request, losses)?;
    log_probabilities(&mut fields, &mut request, echo.is_some(), losses)?;
    if let Some(mut options) = fields.object("stream_options")? {
        let usage = options.boolean("include_usage")?;
        request.stream_usage = options.placed("include_usage", usage);
        let at = options.here().clone();
        let rest = options.rest();
        if !rest.is_empty() {
            request.nested.push(At::new(rest, at));
        }
    }
    request.extra = fields.rest();
    Ok((request, Wanted { echo }))
}

/// One text, or a list with one; tokens are turned back into the text that they are of.
fn prompt(fields: &mut Fields, model: &str, losses: &mut Losses) -> Result<String, Error> {
    let at = fields.at("prompt");
    match fields.take("prompt").ok_or_else(|| missing(&at))? {
        Value::String(text) => Ok(text),
        Value::Array(tokens) if !tokens.is_empty() && tokens.iter().all(Value::is_u64) => {
            text_of(&tokens, model, &at, losses)
        }
        Value::Array(mut list) if list.len() == 1 => match list.pop() {
            Some(Value::String(text)) => Ok(text),
            Some(Value::Array(tokens)) if tokens.iter().all(Value::is_u64) => {
                text_of(&tokens, model, &at.index(0), losses)
            }
            _ => Err(wrong_type(&at.index(0), "a text or a list of tokens")),
        },
        Value::Array(list) if list.len() > 1 => {
            let message = format!(
                "`{at}` holds {} prompts, but this is a chat model and answers one in a request. Send one request \
                 for each prompt.",
                list.len()
            );
            Err(Error::invalid(message).param(at.to_string()).code("unsupported_value"))
        }
        _ => Err(wrong_type(&at, "a text, a list with one text, or tokens")),
    }
}

fn text_of(tokens: &[Value], model: &str, at: &Pointer, losses: &mut Losses) -> Result<String, Error> {
    let ids: Vec<u64> = tokens.iter().filter_map(Value::as_u64).collect();
    // That the client's vocabulary is the one of its model's name is likely, not certain.
    losses.approximated(at);
    decode_tokens(Tokens::of(model), &ids).ok_or_else(|| {
        Error::invalid(format!("`{at}` holds tokens that are no text in this model's vocabulary. Send text."))
            .param(at.to_string())
            .code("unsupported_value")
    })
}

fn sampling(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    macro_rules! placed {
        ($($field:ident = $read:ident($key:literal);)*) => {$(
            let value = fields.$read($key)?;
            request.$field = fields.placed($key, value);
        )*};
    }
    placed! {
        temperature = number("temperature");
        top_p = number("top_p");
        frequency_penalty = number("frequency_penalty");
        presence_penalty = number("presence_penalty");
        seed = number("seed");
        stop = strings("stop");
        n = unsigned("n");
        user = string("user");
    }
    Ok(())
}

fn without_place(fields: &mut Fields, request: &Request, losses: &mut Losses) -> Result<(), Error> {
    if fields.string("suffix")?.is_some_and(|suffix| !suffix.is_empty()) {
        losses.unsupported(&fields.at("suffix"));
    }
    // The best of as many as are answered is all of them.
    let n = request.n.as_ref().map_or(1, |n| n.value);
    if fields.unsigned("best_of")?.is_some_and(|best_of| best_of > n) {
        losses.unsupported(&fields.at("best_of"));
    }
    Ok(())
}

fn log_probabilities(
    fields: &mut Fields,
    request: &mut Request,
    echo: bool,
    losses: &mut Losses,
) -> Result<(), Error> {
    let top = fields.unsigned("logprobs")?;
    // The tokens of the prompt would have theirs as well.
    if echo && top.is_some() {
        losses.approximated(&fields.at("logprobs"));
    }
    let top = top.map(|top| LogProbs { top: Some(top).filter(|top| *top > 0) });
    request.logprobs = fields.placed("logprobs", top);
    Ok(())
}
