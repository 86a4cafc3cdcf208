use serde_json::{Value, json};
use tollgate_filters::chat::Losses;

use super::*;

fn across(to: Api, from: Api, body: Value) -> (Rendered, String) {
    let mut losses = Losses::default();
    let request = parse_request(from, body).unwrap();
    let rendered = render_request(to, &request, "m", &mut losses).unwrap();
    (rendered, losses.list())
}

#[test]
fn a_request_reaches_gemini_by_the_method_that_fits() {
    let (one, losses) = across(
        Api::Gemini,
        Api::Openai,
        json!({"model": "x", "input": ["a"], "dimensions": 8, "encoding_format": "base64", "user": "u"}),
    );
    assert_eq!(one.method, Some("embedContent"));
    assert_eq!(
        one.body,
        json!({"model": "models/m", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 8})
    );
    assert_eq!(losses, "/user");
    let (two, losses) = across(
        Api::Gemini,
        Api::Mistral,
        json!({"model": "x", "input": ["a", "b"], "output_dimension": 8, "output_dtype": "int8"}),
    );
    assert_eq!(two.method, Some("batchEmbedContents"));
    assert_eq!(two.body["requests"][1]["content"], json!({"parts": [{"text": "b"}]}));
    assert_eq!(losses, "/output_dtype");
}

#[test]
fn a_gemini_request_reaches_the_others() {
    let body = json!({"requests": [
        {"model": "models/x", "content": {"role": "user", "parts": [{"text": "a"}]}, "taskType": "RETRIEVAL_QUERY",
         "embedContentConfig": {"outputDimensionality": 8, "autoTruncate": true}},
        {"model": "models/x", "content": {"parts": [{"text": "b"}, {"text": "c"}]}, "output_dimensionality": 4},
    ]});
    let (openai, losses) = across(Api::Openai, Api::Gemini, body.clone());
    assert_eq!(openai.body, json!({"model": "m", "input": ["a", "b\nc"], "dimensions": 8}));
    assert_eq!(
        losses,
        "/requests/0/taskType,/requests/0/embedContentConfig/autoTruncate,\
         /requests/1/content/parts/0,/requests/1/content/parts/1,/requests/1/output_dimensionality"
    );
    let (gemini, losses) = across(Api::Gemini, Api::Gemini, body);
    assert_eq!(losses, "");
    assert_eq!(
        gemini.body["requests"][0],
        json!({"model": "models/m", "content": {"parts": [{"text": "a"}], "role": "user"}, "taskType": "RETRIEVAL_QUERY",
         "embedContentConfig": {"autoTruncate": true, "outputDimensionality": 8}})
    );
}

#[test]
fn tokens_are_turned_back_into_text_for_those_who_take_only_text() {
    let body = json!({"model": "x", "input": [[15339, 1917], [15339]]});
    let (mistral, losses) = across(Api::Mistral, Api::Openai, body.clone());
    assert_eq!(mistral.body["input"], json!(["hello world", "hello"]));
    assert_eq!(losses, "/input/0,/input/1");
    let (openai, losses) = across(Api::Openai, Api::Openai, body.clone());
    assert_eq!((&openai.body["input"], losses.as_str()), (&body["input"], ""));
    let (one, _) = across(Api::Gemini, Api::Openai, json!({"input": [15339, 1917]}));
    assert_eq!(one.body["content"]["parts"], json!([{"text": "hello world"}]));
}

#[test]
fn an_input_that_cannot_be_embedded_is_refused_by_name() {
    let picture = json!({"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}});
    for (api, body, param) in [
        (Api::Gemini, picture, "/content"),
        (Api::Openai, json!({"input": ["a", [4_000_000_000_u64]]}), "/input/1"),
    ] {
        let request = parse_request(api, body).unwrap();
        let error = render_request(Api::Mistral, &request, "m", &mut Losses::default()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param));
    }
    for body in [json!({"input": []}), json!({}), json!({"input": ["a", 1]}), json!({"input": 3})] {
        assert!(parse_request(Api::Openai, body).is_err());
    }
}

#[test]
fn numbers_survive_to_the_last_bit_in_either_form() {
    let numbers = json!([-0.015_306_08, 1e-7, 0, 3, 0.1, -1.0e-40, 3.402_823_5e38, 1.000_000_059_604_644_8]);
    let answer = parse_answer(Api::Gemini, json!({"embedding": {"values": numbers}})).unwrap();
    let wanted = |encoding| Wanted { encoding, model: "m".to_owned(), input_tokens: 5, batch: false };
    let mut losses = Losses::default();
    let plain = render_answer(Api::Openai, &answer, &wanted(Encoding::Float), &mut losses);
    assert_eq!(plain["data"][0]["embedding"], numbers);
    assert_eq!(plain["usage"], json!({"prompt_tokens": 5, "total_tokens": 5}));
    let base64 = render_answer(Api::Openai, &answer, &wanted(Encoding::Base64), &mut losses);
    let Vector::Bits(bits) = parse_answer(Api::Openai, base64).unwrap().embeddings.remove(0).vector else {
        panic!("it was base64")
    };
    // As a parser of decimals reads them, without a stop at f64.
    let expected: Vec<f32> =
        numbers.as_array().unwrap().iter().map(|number| number.to_string().parse().unwrap()).collect();
    assert_eq!(bits, expected);
    assert!(losses.is_empty());
}

#[test]
fn an_answer_keeps_the_order_of_its_inputs_and_names_what_it_loses() {
    let body = json!({"id": "e", "object": "list", "model": "x", "provider": "P", "data": [
        {"object": "embedding", "index": 1, "embedding": [2.5]},
        {"object": "embedding", "index": 0, "embedding": [1.5]},
    ], "usage": {"prompt_tokens": 3, "total_tokens": 3, "cost": 0.1, "is_byok": null}});
    let answer = parse_answer(Api::Openai, body.clone()).unwrap();
    let mut losses = Losses::default();
    let gemini =
        render_answer(Api::Gemini, &answer, &Wanted { batch: true, ..Wanted::default() }, &mut losses);
    assert_eq!(
        gemini,
        json!({"embeddings": [{"values": [1.5]}, {"values": [2.5]}], "usageMetadata": {"promptTokenCount": 3,
               "promptTokenDetails": [{"modality": "TEXT", "tokenCount": 3}]}})
    );
    assert_eq!(losses.list(), "/usage/cost,/provider");
    let back = render_answer(Api::Openai, &answer, &Wanted::default(), &mut Losses::default());
    assert_eq!(
        (&back["id"], &back["provider"], &back["usage"]["cost"]),
        (&json!("e"), &json!("P"), &json!(0.1))
    );
}
