//! What Gemini's clients rely on.

use super::super::tests::{body, events, text, whole as bytes};
use super::*;

fn hello() -> Value {
    json!({"systemInstruction": {"parts": [{"text": "Be nice."}]},
        "contents": [{"role": "user", "parts": [{"text": "Hello, you"}]}]})
}

#[test]
fn both_streams_are_the_plain_answer() {
    let plain = body(&whole(&hello()));
    let said = text(&plain["candidates"][0]["content"]["parts"][0]["text"]);
    assert!(said.starts_with("You said: \"Hello, you\"."));
    let wire = bytes(&sse(&hello()));
    assert!(wire.ends_with("\r\n\r\n") && !wire.replace("\r\n", "").contains('\n'));
    let array: Value = serde_json::from_str(&bytes(&array(&hello()))).unwrap_or_default();
    for chunks in [events(&sse(&hello())), items(&array).to_vec()] {
        let texts = chunks.iter().map(|chunk| text(&chunk["candidates"][0]["content"]["parts"][0]["text"]));
        assert_eq!(texts.collect::<String>(), said);
        let last = chunks.last().cloned().unwrap_or_default();
        assert_eq!(last["candidates"][0]["finishReason"], "STOP");
        assert_eq!(last["usageMetadata"], plain["usageMetadata"]);
        assert!(chunks.iter().all(|chunk| chunk["usageMetadata"]["promptTokenCount"] == 6));
    }
    assert_eq!(plain["usageMetadata"]["candidatesTokenCount"], counting::tokens(said));
    assert_eq!(body(&count(&json!({"generateContentRequest": hello()})))["totalTokens"], 6);
}

#[test]
fn a_tool_goes_round() {
    let mut request = json!({"contents": [{"parts": [{"text": "What is it like in Boston?"}]}],
        "tools": [{"functionDeclarations": [{"name": "weather", "parameters": {
            "type": "OBJECT", "required": ["city"], "properties": {"city": {"type": "STRING"}}}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}}});
    let plain = body(&whole(&request));
    let call = &plain["candidates"][0]["content"]["parts"][0]["functionCall"];
    assert_eq!((&call["name"], &call["args"]), (&json!("weather"), &json!({"city": "demo"})));
    assert_eq!(plain["usageMetadata"]["candidatesTokenCount"], 5);
    let chunks = events(&sse(&request));
    assert_eq!(&chunks[0]["candidates"][0]["content"]["parts"][0]["functionCall"], call);
    if let Some(contents) = request["contents"].as_array_mut() {
        contents.push(plain["candidates"][0]["content"].clone());
        contents.push(json!({"role": "user", "parts": [
            {"functionResponse": {"name": "weather", "response": {"result": "rainy"}}}]}));
    }
    let second = body(&whole(&request));
    let said = text(&second["candidates"][0]["content"]["parts"][0]["text"]);
    assert!(said.starts_with("The tool answered: \"{\"result\":\"rainy\"}\"."), "{said}");
}

#[test]
fn a_cut_answer_says_so() {
    let mut request = hello();
    request["generationConfig"] = json!({"maxOutputTokens": 2});
    assert_eq!(body(&whole(&request))["candidates"][0]["finishReason"], "MAX_TOKENS");
    assert_eq!(whole(&json!({})).status, 400);
}

#[test]
fn embeddings_come_alone_and_in_batches() {
    let one = json!({"content": {"parts": [{"text": "Hello, you"}]}, "outputDimensionality": 4});
    let alone = body(&embed(&one));
    assert_eq!(items(&alone["embedding"]["values"]).len(), 4);
    let batch = body(&embed_batch(&json!({"requests": [one, one]})));
    assert_eq!(batch["embeddings"][1], alone["embedding"]);
    assert_eq!(batch["usageMetadata"]["promptTokenCount"], 6);
}
