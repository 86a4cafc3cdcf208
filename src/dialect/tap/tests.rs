use super::*;

/// Feeds `stream` in pieces of `cut` bytes; returns what the client sees, and the tap.
fn run(form: Form, dialect: Dialect, stream: &[u8], cut: usize) -> (Vec<u8>, Tap) {
    let mut tap = Tap::new(form, dialect);
    let mut seen = Vec::new();
    for piece in stream.chunks(cut) {
        seen.extend_from_slice(&tap.push(Bytes::copy_from_slice(piece)));
    }
    seen.extend_from_slice(&tap.finish());
    (seen, tap)
}

const CHAT: &str = concat!(
    "data: {\"id\":\"1\",\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"delta\":{\"content\":\"Hel\\\"lo\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    ": a comment\n\n",
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"{}ab\"}}]},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
    "data: {\"choices\":[],\"service_tier\":\"flex\",\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":12}}\n\n",
    "data: [DONE]\n\n",
);

#[test]
fn a_chat_stream_gives_usage_model_reason_and_text_however_it_is_cut() {
    for cut in 1..CHAT.len() {
        let (seen, tap) = run(Form::Sse, Dialect::OpenaiChat, CHAT.as_bytes(), cut);
        assert_eq!(seen, CHAT.as_bytes());
        let reported = tap.reported().unwrap();
        assert_eq!((reported.usage.input_tokens, reported.usage.output_tokens), (5, 7), "cut {cut}");
        assert_eq!(reported.service_tier.as_deref(), Some("flex"));
        assert_eq!(tap.model(), Some("gpt-4o-2024-08-06"));
        assert_eq!(tap.finish_reason(), Some("stop"));
        // `Hello` with its quote, and `{}ab`: 10 bytes
        assert_eq!(tap.estimated(40), Usage { input_tokens: 10, output_tokens: 3, ..Usage::default() });
        assert_eq!(tap.events(), 5);
    }
}

#[test]
fn the_usage_chunk_is_taken_out_however_the_stream_is_cut() {
    let without: String =
        CHAT.split_inclusive("\n\n").filter(|event| !event.contains("\"choices\":[]")).collect();
    for cut in 1..=CHAT.len() {
        let (seen, tap) = run(Form::SseWithoutUsage, Dialect::OpenaiChat, CHAT.as_bytes(), cut);
        assert_eq!(String::from_utf8(seen).unwrap(), without, "cut {cut}");
        assert_eq!(tap.reported().unwrap().usage.output_tokens, 7);
    }
}

#[test]
fn a_last_chunk_with_choices_and_usage_stays() {
    let stream = b"data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n";
    for cut in 1..=stream.len() {
        assert_eq!(run(Form::SseWithoutUsage, Dialect::OpenaiChat, stream, cut).0, stream);
    }
}

#[test]
fn whole_chunks_pass_without_a_copy() {
    let mut tap = Tap::new(Form::SseWithoutUsage, Dialect::OpenaiChat);
    let chunk = Bytes::from_static(b"data: {\"choices\":[{}]}\n\n");
    assert_eq!(tap.push(chunk.clone()).as_ptr(), chunk.as_ptr());
}

#[test]
fn an_event_that_never_ends_is_let_through_and_bounded() {
    let mut tap = Tap::new(Form::SseWithoutUsage, Dialect::OpenaiChat);
    let mut seen = tap.push(Bytes::from_static(b"data: \"")).len();
    for _ in 0..1000 {
        seen += tap.push(Bytes::from_static(&[b'x'; 1024])).len();
        assert!(tap.held.bytes.len() <= MAX_HELD);
    }
    assert_eq!(seen + tap.finish().len(), 7 + 1000 * 1024);
}

#[test]
fn a_cut_off_event_reaches_the_client() {
    let stream = b"data: {\"choices\":[{}]}\n\ndata: {\"cho";
    assert_eq!(run(Form::SseWithoutUsage, Dialect::OpenaiChat, stream, 5).0, stream);
}

#[test]
fn anthropic_streams_begin_and_end_with_usage() {
    let stream = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-x\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":9,\"cache_read_input_tokens\":4,\"output_tokens\":1}}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"12345678\"}}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":6}}\n\n",
    );
    for cut in 1..stream.len() {
        let (_, tap) = run(Form::Sse, Dialect::Anthropic, stream.as_bytes(), cut);
        let usage = tap.reported().unwrap().usage;
        assert_eq!((usage.input_tokens, usage.cached_input_tokens, usage.output_tokens), (13, 4, 6));
        assert_eq!(tap.model(), Some("claude-x"));
        assert_eq!(tap.finish_reason(), Some("end_turn"));
        assert_eq!(tap.estimated(0).output_tokens, 2);
    }
}

#[test]
fn responses_streams_say_why_they_are_incomplete() {
    let stream = concat!(
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"abcd\"}\n\n",
        "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"text\":\"abcd\"}\n\n",
        "event: response.incomplete\ndata: {\"response\":{\"incomplete_details\":{\"reason\":\"max_output_tokens\"},\"status\":\"incomplete\",\"error\":null,\"model\":\"m\",\"output\":[{\"text\":\"abcd\"}],\"usage\":{\"input_tokens\":1,\"output_tokens\":2,\"output_tokens_details\":{\"reasoning_tokens\":1}}}}\n\n",
    );
    let (_, tap) = run(Form::Sse, Dialect::OpenaiResponses, stream.as_bytes(), 3);
    assert_eq!(tap.finish_reason(), Some("max_output_tokens"));
    assert_eq!(tap.reported().unwrap().usage.reasoning_tokens, 1);
    assert_eq!(tap.estimated(0).output_tokens, 1);
}

#[test]
fn a_gemini_array_is_read_like_a_stream_and_the_last_usage_counts() {
    let body = br#"[{"candidates":[{"content":{"parts":[{"text":"abcd"}]}}],"usageMetadata":{"promptTokenCount":3},"modelVersion":"g"},
 {"candidates":[{"content":{"parts":[{"text":"efgh"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5}}]"#;
    for cut in 1..body.len() {
        let (_, tap) = run(Form::Json, Dialect::Gemini, body, cut);
        assert_eq!(tap.reported().unwrap().usage.output_tokens, 2);
        assert_eq!(tap.finish_reason(), Some("STOP"));
        assert_eq!(tap.estimated(0).output_tokens, 2);
    }
}

#[test]
fn groq_puts_its_usage_aside() {
    let stream = b"data: {\"model\":\"l\",\"x_groq\":{\"id\":\"r\",\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3}},\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n";
    let (_, tap) = run(Form::Sse, Dialect::OpenaiChat, stream, 2);
    assert_eq!(tap.reported().unwrap().usage.input_tokens, 2);
}

#[test]
fn usage_inside_text_or_at_other_places_is_not_believed() {
    let body = br#"{"choices":[{"message":{"content":"{\"usage\":{\"prompt_tokens\":9}}","usage":{"prompt_tokens":9}}}],"other":{"usage":{"prompt_tokens":9}}}"#;
    for cut in 1..body.len() {
        assert_eq!(run(Form::Json, Dialect::OpenaiChat, body, cut).1.reported(), None);
    }
}

#[test]
fn an_absurd_usage_block_is_not_kept_and_what_came_before_it_counts() {
    let mut stream =
        b"data: {\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3}}\n\ndata: {\"usage\":{\"x\":\""
            .to_vec();
    stream.extend(std::iter::repeat_n(b'y', 1 << 20));
    stream.extend_from_slice(b"\"}}\n\n");
    let (_, tap) = run(Form::Sse, Dialect::OpenaiChat, &stream, 777);
    assert_eq!(tap.reported().unwrap().usage.input_tokens, 2);
    assert!(tap.json.usage().unwrap().1.len() < json::MAX_USAGE);
}

#[test]
fn an_error_in_a_stream_is_its_finish_reason() {
    let (_, tap) = run(
        Form::Sse,
        Dialect::Anthropic,
        b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n",
        9,
    );
    assert_eq!(tap.finish_reason(), Some("error"));
}

#[test]
fn garbage_yields_nothing() {
    for garbage in
        [&b"}}}}]]]\"\\"[..], &[b'{'; 10_000], &[b'['; 10_000], b"\xff\xfe\"usage\":{", b"{\"usage\":{"]
    {
        let (seen, tap) = run(Form::Json, Dialect::OpenaiChat, garbage, 3);
        assert_eq!(seen, garbage);
        assert_eq!(tap.reported(), None);
    }
}
