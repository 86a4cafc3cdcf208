use std::time::{Duration, Instant};

use serde_json::json;
use tollgate_filters::chat::{Media, MediaKind, MediaSource, Message, Part, Role, Tool, ToolKind};

use super::picture::{Vision, size};
use super::*;

fn said(text: &str) -> Request {
    let mut request = Request::new(Dialect::OpenaiChat);
    let part = Part::text(text, Pointer::of("/messages/0"));
    request.messages.push(Message::new(Role::User, vec![part], Pointer::of("/messages/0")));
    request
}

#[test]
fn a_model_is_counted_in_its_own_vocabulary() {
    for (model, tokens) in [
        ("gpt-4-0613", Tokens::Cl100k),
        ("openai/gpt-3.5-turbo", Tokens::Cl100k),
        ("text-embedding-3-small", Tokens::Cl100k),
        ("ft:gpt-4o:org", Tokens::O200k),
        ("gpt-4.1-nano", Tokens::O200k),
        ("gpt-5", Tokens::O200k),
        ("claude-opus-4-6", Tokens::O200k),
    ] {
        assert_eq!(Tokens::of(model), tokens, "{model}");
    }
    assert_eq!(decode_tokens(Tokens::Cl100k, &[15339, 1917]).as_deref(), Some("hello world"));
    assert_eq!(decode_tokens(Tokens::Cl100k, &[u64::MAX]), None);
}

/// Texts that have once been slow for somebody's tokenizer.
#[test]
fn a_hostile_megabyte_is_counted_in_bounded_time() {
    let mut seed = 1_u32;
    let mut random = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 8
    };
    let letters: String = (0..1_000_000).map(|_| char::from(b' ' + (random() % 95) as u8)).collect();
    let scripts: String = (0..300_000).filter_map(|_| char::from_u32(random() % 0x1_1000)).collect();
    let texts = [
        "a".repeat(1_000_000),
        "A".repeat(1_000_000),
        " ".repeat(1_000_000),
        "\n ".repeat(500_000),
        "!".repeat(1_000_000),
        "aB".repeat(500_000),
        "\u{301}".repeat(500_000),
        letters,
        scripts,
    ];
    for tokens in [Tokens::Cl100k, Tokens::O200k] {
        tokens.count("");
        for text in &texts {
            let begun = Instant::now();
            let counted = tokens.count(text);
            assert!(counted > 0 && counted <= text.len() as u64);
            assert!(begun.elapsed() < Duration::from_secs(4), "{:?} {:?}", begun.elapsed(), text.get(..9));
        }
    }
}

/// The numbers are recorded answers of OpenAI's own count.
#[test]
fn openais_own_counts_are_met_to_the_token() {
    assert_eq!(estimate(&said("What's the current date?"), "gpt-5.4-nano"), 11);
    let mut request = said("What is the weather in Paris?");
    let bare = estimate(&request, "gpt-4.1-mini");
    let parameters = json!({"type": "object", "properties": {"location": {"type": "string"}}, "additionalProperties": false});
    let kind = ToolKind::Function {
        name: "get_weather".to_owned(),
        description: Some("Get the weather for a location".to_owned()),
        parameters: Some(parameters),
        strict: Some(true),
    };
    request.tools.push(Tool { kind, at: Pointer::of("/tools/0"), cache: None, extra: Extra::new() });
    assert_eq!((bare, estimate(&request, "gpt-4.1-mini")), (13, 51));
    assert_eq!(estimate(&said("What is the capital of France?"), "models/gemini-3.5-flash"), 8);
}

#[test]
fn a_pictures_size_is_read_from_its_head() {
    use base64::Engine;
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend([0, 0, 4, 0, 0, 0, 2, 0]);
    assert_eq!(size(&base64(&png)), Some((1024, 512)));
    let mut jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc4\0\x02\xff\xc2\0\x11\x08".to_vec();
    jpeg.extend([2, 0, 4, 0, 3]);
    assert_eq!(size(&base64(&jpeg)), Some((1024, 512)));
    assert_eq!(size(&base64(b"GIF89a\0\x04\0\x02")), Some((1024, 512)));
    assert_eq!(size(&base64(b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\xff\x03\0\xff\x01\0")), Some((1024, 512)));
    for odd in ["", "!", "/9j/", "iVBORw0KGgo="] {
        assert_eq!(size(odd), None, "{odd}");
    }
}

#[test]
fn pictures_cost_what_the_providers_publish() {
    let tokens = |model: &str, size, detail| Vision::of(model).tokens(size, detail);
    assert_eq!(tokens("gpt-4o", Some((1024, 1024)), Some("high")), 765);
    assert_eq!(tokens("gpt-4o", Some((2048, 4096)), None), 1105);
    assert_eq!(tokens("gpt-4o", Some((4096, 8192)), Some("low")), 85);
    assert_eq!(tokens("gpt-4.1-mini", Some((1024, 1024)), None), 1658);
    assert_eq!(tokens("gemini-3.5-flash", Some((128, 128)), None), 258);
    assert_eq!(tokens("claude-opus-4-6", Some((1000, 1000)), None), 1333);
    assert_eq!(tokens("gpt-4o", Some((u64::from(u32::MAX), 1)), None), 85 + 4 * 170);
}

#[test]
fn media_count_even_where_they_cannot_be_read() {
    let mut request = said("");
    for (kind, source) in [
        (MediaKind::Image, MediaSource::Url("https://a.example/b.png".to_owned())),
        (MediaKind::Document, MediaSource::Base64("JVBERi0=".to_owned())),
        (MediaKind::Document, MediaSource::Base64("!".to_owned())),
        (MediaKind::Audio, MediaSource::File("f".to_owned())),
        (MediaKind::Video, MediaSource::Base64("AAAA".to_owned())),
    ] {
        let before = estimate(&request, "gemini-3.5-flash");
        let media = Media { kind, source, mime: None, name: None, detail: None };
        let part = Part::new(tollgate_filters::chat::Content::Media(media), Pointer::ROOT);
        request.messages[0].parts.push(part);
        assert!(estimate(&request, "gemini-3.5-flash") > before);
    }
}

#[test]
fn an_answer_is_carried_into_each_dialect() {
    let google = json!({"totalTokens": 9, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}], "cachedContentTokenCount": 2});
    let count = parse_count_answer(Dialect::Gemini, &google).unwrap();
    let mut losses = Losses::default();
    let carry = |to, losses: &mut Losses| render_count_answer(to, Dialect::Gemini, &count, losses);
    assert_eq!(carry(Dialect::Gemini, &mut losses), google);
    assert!(losses.is_empty());
    assert_eq!(carry(Dialect::Anthropic, &mut losses), json!({"input_tokens": 9}));
    assert_eq!(
        carry(Dialect::OpenaiResponses, &mut losses),
        json!({"object": "response.input_tokens", "input_tokens": 9})
    );
    assert_eq!(losses.list(), "/cachedContentTokenCount");
    assert_eq!(parse_count_answer(Dialect::Anthropic, &json!({"error": {}})), None);
}

#[test]
fn losses_within_geminis_wrapper_are_found_in_the_body() {
    let under = Pointer::ROOT.key(WRAPPER);
    let counted = CountRequest { request: said(""), under };
    let mut losses = Losses::default();
    losses.unsupported(&Pointer::ROOT.key("contents").index(0).key("a/b~"));
    let placed = counted.placed(&losses);
    assert_eq!(placed.list(), "/generateContentRequest/contents/0/a~1b~0");
}
