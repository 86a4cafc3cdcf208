//! What is read of an answer, and what becomes of others'.

use serde_json::{Value, json};
use tollgate_filters::chat::{
    Annotation, Choice, Client, Content, Finish, FinishKind, Losses, Part, Pointer, Response, Text,
};
use tollgate_filters::exchange::Dialect;

use super::{parse, render};

fn rendered(response: &Response) -> (Value, Vec<String>) {
    let mut losses = Losses::default();
    let body = render(response, &Client { id: "id".to_owned(), ..Client::default() }, &mut losses);
    (body, losses.iter().map(|loss| loss.at.to_string()).collect())
}

#[test]
fn an_answer_comes_back_as_it_was() {
    let body = json!({
        "candidates": [
            {
                "content": {"role": "model", "parts": [
                    {"text": "Hm.", "thought": true},
                    {"executableCode": {"language": "PYTHON", "code": "1+1"}, "thoughtSignature": "c2ln"},
                    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
                    {"text": "Zwei – ja."},
                    {"functionCall": {"name": "f", "args": {"a": 1}}},
                ]},
                "finishReason": "STOP",
                "finishMessage": "Model generated function call(s).",
                "index": 0,
                "avgLogprobs": -0.5,
                "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "LOW"}],
                "groundingMetadata": {
                    "webSearchQueries": ["q"],
                    "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}],
                    "groundingSupports": [{
                        "segment": {"partIndex": 3, "startIndex": 9, "endIndex": 12, "text": "ja."},
                        "groundingChunkIndices": [0],
                    }],
                },
                "logprobsResult": {"chosenCandidates": [{"token": "Z", "logProbability": -0.5}]},
            },
            {"content": {"role": "model", "parts": [{"text": "B"}]}, "finishReason": "SAFETY", "index": 1},
        ],
        "usageMetadata": {
            "promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "totalTokenCount": 22,
            "cachedContentTokenCount": 4, "serviceTier": "standard",
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}],
        },
        "modelVersion": "gemini-3", "responseId": "r", "createTime": "2026-07-29T12:13:14Z",
        "promptFeedback": {"safetyRatings": [{"category": "C"}]},
    });
    let response = parse(body.clone()).unwrap();
    assert_eq!(rendered(&response), (body, Vec::new()));
    let choice = &response.choices[0];
    assert_eq!(choice.finish.as_ref().unwrap().kind, FinishKind::ToolCalls);
    assert_eq!(response.choices[1].finish.as_ref().unwrap().kind, FinishKind::ContentFilter);
    assert_eq!(response.service_tier.as_ref().unwrap().value, "default");
    let Content::Text(text) = &choice.parts[4].content else { panic!("{:?}", choice.parts[4]) };
    assert_eq!((text.annotations[0].start, text.annotations[0].end), (Some(7), Some(10)));
    assert_eq!(choice.logprobs.as_ref().unwrap().value["content"][0]["logprob"], -0.5);
}

#[test]
fn a_refused_prompt_is_a_choice_without_parts() {
    let body = json!({
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 3}]},
        "modelVersion": "m", "responseId": "r",
    });
    let response = parse(body.clone()).unwrap();
    let finish = response.choices[0].finish.as_ref().unwrap();
    assert_eq!((finish.kind, finish.word.as_str()), (FinishKind::ContentFilter, "PROHIBITED_CONTENT"));
    assert_eq!(rendered(&response), (body, Vec::new()));
}

#[test]
fn odd_values_of_an_answer_are_no_error() {
    let response = parse(json!({
        "candidates": [{"content": {"parts": [5, {"text": 5}, {"functionCall": {"name": "f", "args": 5}}]}}, 7],
        "usageMetadata": "none",
    }))
    .unwrap();
    assert_eq!(response.choices[0].parts.len(), 3);
    assert_eq!(response.extra["usageMetadata"], "none");
}

#[test]
fn citations_of_others_become_grounding() {
    let annotation = Annotation {
        url: Some("https://a.example".to_owned()),
        start: Some(3),
        end: Some(5),
        ..Annotation::default()
    };
    let text = Content::Text(Text { text: "Ä: ja".to_owned(), annotations: vec![annotation] });
    let finish = Finish {
        kind: FinishKind::Refusal,
        word: "refusal".to_owned(),
        stop_sequence: None,
        at: Pointer::of("/stop_reason"),
    };
    let choice = Choice {
        parts: vec![Part::new(text, Pointer::of("/content/0"))],
        finish: Some(finish),
        ..Choice::default()
    };
    let mut response = parse(json!({})).unwrap();
    response.source = Dialect::Anthropic;
    response.choices.push(choice);
    let (body, losses) = rendered(&response);
    let candidate = &body["candidates"][0];
    let support = &candidate["groundingMetadata"]["groundingSupports"][0];
    assert_eq!(support["segment"], json!({"startIndex": 4, "endIndex": 6, "text": "ja"}));
    assert_eq!(candidate["finishReason"], "SAFETY");
    assert_eq!(body["responseId"], "id");
    assert_eq!(losses, ["/stop_reason"]);
}

#[test]
fn what_says_nothing_more_than_its_citations_is_no_loss_elsewhere() {
    let answer = |metadata: Value| {
        let candidate = json!({
            "content": {"role": "model", "parts": [{"text": "ja."}]},
            "finishMessage": "Model generated function call(s).",
            "groundingMetadata": metadata,
        });
        let body = json!({ "candidates": [candidate] });
        let choice = parse(body).unwrap().choices.remove(0);
        let mut losses = Losses::default();
        losses.extra(&choice.at, &choice.extra);
        losses.list()
    };
    let mut metadata = json!({
        "groundingChunks": [{"web": {"uri": "u"}}, {"web": {"uri": "v"}}],
        "groundingSupports": [{"segment": {"endIndex": 3, "text": "ja."}, "groundingChunkIndices": [0, 1]}],
    });
    assert_eq!(answer(metadata.clone()), "");
    metadata["searchEntryPoint"] = json!({"renderedContent": "<div>"});
    assert_eq!(answer(metadata.clone()), "/candidates/0/groundingMetadata/searchEntryPoint");
    metadata["groundingSupports"][0]["confidenceScores"] = json!([0.5, 0.7]);
    assert_eq!(answer(metadata), "/candidates/0/groundingMetadata");
}
