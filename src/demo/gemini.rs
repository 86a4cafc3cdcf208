//! The demo provider as Gemini's `generateContent` and its kin.

use super::embedding::{self, vector};
use super::prompt::{Choice, End, Prompt, Reply, Said, text_of};
use super::{Answer, Handler, MODEL, count as counting, id, items};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

pub(super) fn error(status: StatusCode, message: &str) -> Answer {
    let name = if status == StatusCode::NOT_FOUND { "NOT_FOUND" } else { "INVALID_ARGUMENT" };
    let error = json!({"code": status.as_u16(), "message": message, "status": name});
    Answer::json(status, &json!({"error": error}))
}

fn bad(message: &str) -> Answer {
    error(StatusCode::BAD_REQUEST, message)
}

/// The list of models and the one model.
pub(super) fn models() -> (Value, Value) {
    let one = json!({
        "name": format!("models/{MODEL}"), "version": "001", "displayName": "Tollgate demo",
        "description": "The built-in model: deterministic, free of charge and not very clever.",
        "inputTokenLimit": 1_048_576, "outputTokenLimit": 8192,
        "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent"],
    });
    (json!({"models": [one]}), one)
}

/// The model and the method of a path that calls one: `/v1beta/models/{model}:{method}`, or the same under
/// `/v1`, where newer clients ask.
pub(super) fn call(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/v1beta/models/").or_else(|| path.strip_prefix("/v1/models/"))?;
    rest.split_once(':')
}

/// What answers `POST` to such a path.
pub(super) fn handler(path: &str, query: &str) -> Option<Handler> {
    match call(path)?.1 {
        "generateContent" => Some(whole),
        "streamGenerateContent" if query.split('&').any(|pair| pair == "alt=sse") => Some(sse),
        "streamGenerateContent" => Some(array),
        "countTokens" => Some(count),
        "embedContent" => Some(embed),
        "batchEmbedContents" => Some(embed_batch),
        _ => None,
    }
}

fn whole(request: &Value) -> Answer {
    match Generation::of(request) {
        Ok(all) => Answer::ok(&all.chunk(&all.part(), Some(all.finish()), all.reply.output)),
        Err(refusal) => refusal,
    }
}

fn sse(request: &Value) -> Answer {
    match Generation::of(request) {
        Ok(all) => {
            let event = |chunk| Bytes::from(format!("data: {chunk}\r\n\r\n"));
            let events = all.chunks().iter().map(event).collect();
            Answer::stream("text/event-stream", events)
        }
        Err(refusal) => refusal,
    }
}

/// Without `alt=sse` a stream is one JSON array that takes its time.
fn array(request: &Value) -> Answer {
    match Generation::of(request) {
        Ok(all) => {
            let piece = |(index, chunk)| {
                let before = if index == 0 { "[" } else { ",\r\n" };
                Bytes::from(format!("{before}{chunk}"))
            };
            let mut pieces: Vec<Bytes> = all.chunks().iter().enumerate().map(piece).collect();
            pieces.push(Bytes::from_static(b"]\n"));
            Answer::stream("application/json; charset=UTF-8", pieces)
        }
        Err(refusal) => refusal,
    }
}

/// A field under either of the names that Gemini takes.
fn field<'a>(object: &'a Value, camel: &str, snake: &str) -> &'a Value {
    object.get(camel).unwrap_or(&object[snake])
}

fn prompt(request: &Value) -> Option<Prompt> {
    let contents = request["contents"].as_array()?;
    let mut prompt = Prompt::default();
    prompt.text(&text_of(&field(request, "systemInstruction", "system_instruction")["parts"]));
    for content in contents {
        let parts = items(&content["parts"]);
        let answered = |part| field(part, "functionResponse", "function_response").get("response");
        let text = text_of(&content["parts"]);
        if content["role"] == "model" || parts.iter().any(|part| answered(part).is_some()) {
            prompt.text(&text);
        } else {
            prompt.user(text);
        }
        for part in parts {
            let call = field(part, "functionCall", "function_call");
            prompt.call(&call["name"], &call["args"]);
            if let Some(response) = answered(part) {
                prompt.result(response.to_string());
            }
        }
    }
    for tool in items(&request["tools"]) {
        for tool in items(field(tool, "functionDeclarations", "function_declarations")) {
            let schema = field(tool, "parametersJsonSchema", "parameters_json_schema");
            let schema = if schema.is_null() { &tool["parameters"] } else { schema };
            prompt.tool(&tool["name"], &tool["description"], schema);
        }
    }
    settings(&mut prompt, request);
    Some(prompt)
}

fn settings(prompt: &mut Prompt, request: &Value) {
    let tools = field(request, "toolConfig", "tool_config");
    let calling = field(tools, "functionCallingConfig", "function_calling_config");
    match calling["mode"].as_str() {
        Some("ANY") => prompt.choose(Choice::Must),
        Some("NONE") => prompt.choose(Choice::Never),
        _ => {}
    }
    let allowed = items(field(calling, "allowedFunctionNames", "allowed_function_names"));
    if !allowed.is_empty() {
        prompt.allow(&allowed.iter().filter_map(Value::as_str).collect::<Vec<_>>());
    }
    let config = field(request, "generationConfig", "generation_config");
    let schema = field(config, "responseJsonSchema", "response_json_schema");
    let schema = if schema.is_null() { field(config, "responseSchema", "response_schema") } else { schema };
    prompt.format(Some(schema));
    prompt.limit(field(config, "maxOutputTokens", "max_output_tokens"));
    prompt.stop(field(config, "stopSequences", "stop_sequences"));
}

/// One answer, before it is cut into chunks.
struct Generation {
    id: String,
    input: u64,
    reply: Reply,
}

impl Generation {
    fn of(request: &Value) -> Result<Self, Answer> {
        let missing = "* GenerateContentRequest.contents: contents is not specified\n";
        let prompt = prompt(request).ok_or_else(|| bad(missing))?;
        Ok(Self { id: id("", request), input: prompt.input, reply: prompt.reply() })
    }

    fn part(&self) -> Value {
        match &self.reply.said {
            Said::Text(text) => json!({"text": text}),
            Said::Call(name, args) => {
                let id = format!("call_{}", self.id);
                json!({"functionCall": {"id": id, "name": name, "args": args}})
            }
        }
    }

    fn finish(&self) -> &'static str {
        match self.reply.end {
            End::Length => "MAX_TOKENS",
            End::Natural | End::Stop(_) => "STOP",
        }
    }

    fn chunks(&self) -> Vec<Value> {
        let mut output = 0;
        let mut chunks = Vec::new();
        match &self.reply.said {
            Said::Text(text) => chunks.extend(counting::pieces(text).map(|piece| {
                output += counting::tokens(piece);
                self.chunk(&json!({"text": piece}), None, output)
            })),
            // Arguments come in one piece here: the dialect has no deltas for them.
            Said::Call(..) => chunks.push(self.chunk(&self.part(), None, self.reply.output)),
        }
        chunks.push(self.chunk(&json!({"text": ""}), Some(self.finish()), self.reply.output));
        chunks
    }

    fn chunk(&self, part: &Value, finish: Option<&str>, output: u64) -> Value {
        let mut candidate = json!({"content": {"parts": [part], "role": "model"}, "index": 0});
        if let Some(finish) = finish {
            candidate["finishReason"] = json!(finish);
        }
        let input = self.input;
        json!({
            "candidates": [candidate],
            "usageMetadata": {
                "promptTokenCount": input, "candidatesTokenCount": output, "totalTokenCount": input + output,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": input}],
            },
            "modelVersion": MODEL, "responseId": self.id,
        })
    }
}

fn count(request: &Value) -> Answer {
    let inner = field(request, "generateContentRequest", "generate_content_request");
    match prompt(if inner.is_object() { inner } else { request }) {
        Some(prompt) => Answer::ok(&json!({
            "totalTokens": prompt.input,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt.input}],
        })),
        None => bad("* CountTokensRequest.contents: contents is not specified\n"),
    }
}

fn embed(request: &Value) -> Answer {
    match embeddings(std::slice::from_ref(request)) {
        Ok((mut values, usage)) => Answer::ok(&json!({"embedding": values.pop(), "usageMetadata": usage})),
        Err(refusal) => refusal,
    }
}

fn embed_batch(request: &Value) -> Answer {
    match embeddings(items(&request["requests"])) {
        Ok((values, usage)) => Answer::ok(&json!({"embeddings": values, "usageMetadata": usage})),
        Err(refusal) => refusal,
    }
}

fn embeddings(requests: &[Value]) -> Result<(Vec<Value>, Value), Answer> {
    let mut values = Vec::new();
    let mut input = 0;
    for request in requests {
        let text = text_of(&request["content"]["parts"]);
        let asked = field(request, "outputDimensionality", "output_dimensionality");
        let length = embedding::length(asked, requests.len()).map_err(|refusal| bad(&refusal))?;
        input += counting::tokens(&text);
        values.push(json!({"values": vector(&text, length)}));
    }
    let details = json!([{"modality": "TEXT", "tokenCount": input}]);
    Ok((values, json!({"promptTokenCount": input, "promptTokenDetails": details})))
}

#[cfg(test)]
#[path = "gemini_tests.rs"]
mod tests;
