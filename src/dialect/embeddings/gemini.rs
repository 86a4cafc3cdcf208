//! Embedding requests in Gemini's form.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{At, Extra, Losses, Pointer};
use tollgate_filters::error::Error;

use super::openai::{no_place, token_text};
use super::{Api, Content, EmbeddingRequest, Input, Rendered};
use crate::dialect::fields::{Fields, missing, wrong_type};

const SINGLE: &str = "embedContent";
const BATCH: &str = "batchEmbedContents";
/// The object that Vertex and newer models take the settings in.
const CONFIG: &str = "embedContentConfig";

pub(super) fn parse(body: Value) -> Result<EmbeddingRequest, Error> {
    let mut fields = Fields::new(body, Pointer::ROOT)?;
    let mut request = EmbeddingRequest {
        source: Api::Gemini,
        model: None,
        inputs: Vec::new(),
        batch: false,
        encoding: None,
        user: None,
        output_dtype: None,
        extra: Extra::new(),
    };
    let Some(list) = fields.list("requests")? else {
        one(fields, &mut request)?;
        return Ok(request);
    };
    request.batch = true;
    let at = fields.at("requests");
    request.extra = fields.rest();
    for (i, value) in list.into_iter().enumerate() {
        one(Fields::new(value, at.index(i))?, &mut request)?;
    }
    if request.inputs.is_empty() { Err(missing(&at.index(0))) } else { Ok(request) }
}

/// Reads an `EmbedContentRequest` and adds it to `request`.
fn one(mut fields: Fields, request: &mut EmbeddingRequest) -> Result<(), Error> {
    if let Some(model) = fields.string("model")? {
        let model = model.strip_prefix("models/").unwrap_or(&model);
        match &request.model {
            Some(other) if other != model => {
                return Err(wrong_type(&fields.at("model"), "the same in all requests"));
            }
            _ => request.model = Some(model.to_owned()),
        }
    }
    let at = fields.here().clone();
    let mut content = fields.object("content")?.ok_or_else(|| missing(&fields.at("content")))?;
    let parts = match content.take("parts") {
        Some(Value::Array(parts)) if !parts.is_empty() => parts,
        Some(one @ Value::Object(_)) => vec![one],
        Some(_) => return Err(wrong_type(&content.at("parts"), "a list of parts")),
        None => return Err(missing(&content.at("parts"))),
    };
    let text = match parts.as_slice() {
        [Value::Object(part)] if part.len() == 1 => part.get("text").and_then(Value::as_str),
        _ => None,
    };
    let content_at = content.here().clone();
    let mut input = Input {
        content: match text {
            Some(text) => Content::Text(text.to_owned()),
            None => Content::Parts(parts),
        },
        at,
        dimensions: None,
        task_type: None,
        title: None,
        nested: vec![At::new(content.rest(), content_at)],
    };
    let name = fields.either(CONFIG, "embed_content_config");
    if let Some(mut config) = fields.object(name)? {
        settings(&mut config, &mut input)?;
        let at = config.here().clone();
        input.nested.push(At::new(config.rest(), at));
    }
    settings(&mut fields, &mut input)?;
    let at = fields.here().clone();
    if request.batch {
        input.nested.push(At::new(fields.rest(), at));
    } else {
        request.extra = fields.rest();
    }
    request.inputs.push(input);
    Ok(())
}

fn settings(fields: &mut Fields, input: &mut Input) -> Result<(), Error> {
    let name = fields.either("taskType", "task_type");
    let task_type = fields.string(name)?;
    input.task_type = fields.placed(name, task_type).or(input.task_type.take());
    let title = fields.string("title")?;
    input.title = fields.placed("title", title).or(input.title.take());
    let name = fields.either("outputDimensionality", "output_dimensionality");
    let dimensions = fields.unsigned(name)?;
    input.dimensions = fields.placed(name, dimensions).or(input.dimensions.take());
    Ok(())
}

pub(super) fn render(
    request: &EmbeddingRequest,
    model: &str,
    losses: &mut Losses,
) -> Result<Rendered, Error> {
    let own = request.source == Api::Gemini;
    let batch = request.inputs.len() > 1 || (own && request.batch);
    let rendered: Result<Vec<Value>, Error> =
        request.inputs.iter().map(|input| render_one(input, own, model, losses)).collect();
    let mut rendered = rendered?;
    let mut body = match rendered.pop() {
        None => return Err(missing(&Pointer::of("/input"))),
        Some(one) if !batch => one,
        Some(last) => {
            rendered.push(last);
            json!({ "requests": rendered })
        }
    };
    // The client's encoding is the answer's business, and `float` is all that there is here.
    if let Some(dtype) = request.output_dtype.as_ref().filter(|dtype| dtype.value != "float") {
        losses.unsupported(&dtype.at);
    }
    if let Some(user) = &request.user {
        losses.unsupported(&user.at);
    }
    match body.as_object_mut() {
        Some(body) if own => body.extend(request.extra.clone()),
        _ => losses.extra(&Pointer::ROOT, &request.extra),
    }
    Ok(Rendered { body, method: Some(if batch { BATCH } else { SINGLE }) })
}

fn render_one(input: &Input, own: bool, model: &str, losses: &mut Losses) -> Result<Value, Error> {
    let parts = match &input.content {
        Content::Text(text) => json!([{ "text": text }]),
        Content::Tokens(ids) => json!([{ "text": token_text(ids, &input.at, losses)? }]),
        Content::Parts(parts) => json!(parts),
        Content::Opaque(_) => return Err(no_place(&input.at)),
    };
    let mut body = Map::new();
    let mut content = Map::new();
    let mut config = Map::new();
    body.insert("model".to_owned(), json!(format!("models/{}", model.trim_start_matches("models/"))));
    content.insert("parts".to_owned(), parts);
    for nested in &input.nested {
        let place = match nested.at.as_str().strip_prefix(input.at.as_str()) {
            Some("/content") => &mut content,
            Some("") => &mut body,
            _ => &mut config,
        };
        if own {
            place.extend(nested.value.clone());
        }
    }
    body.insert("content".to_owned(), Value::Object(content));
    let mut set = |at: &Pointer, key: &str, value: Value| {
        let in_config =
            at.as_str().rsplit('/').nth(1).is_some_and(|o| o == CONFIG || o == "embed_content_config");
        if in_config { &mut config } else { &mut body }.insert(key.to_owned(), value);
    };
    if let Some(task) = &input.task_type {
        set(&task.at, "taskType", json!(task.value));
    }
    if let Some(title) = &input.title {
        set(&title.at, "title", json!(title.value));
    }
    if let Some(dimensions) = &input.dimensions {
        set(&dimensions.at, "outputDimensionality", json!(dimensions.value));
    }
    if !config.is_empty() {
        body.insert(CONFIG.to_owned(), Value::Object(config));
    }
    Ok(Value::Object(body))
}
