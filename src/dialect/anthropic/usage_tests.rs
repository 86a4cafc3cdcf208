//! Usage blocks mean the same as those of other dialects.

use super::usage;

#[test]
fn the_cache_is_part_of_the_input() {
    let raw = br#"{"input_tokens":10,"cache_read_input_tokens":100,"cache_creation_input_tokens":30,
        "cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10},"output_tokens":7}"#;
    let usage = usage(raw, raw).unwrap().usage;
    assert_eq!(usage.input_tokens, 140);
    assert_eq!(usage.cached_input_tokens, 100);
    assert_eq!((usage.cache_write_5m_tokens, usage.cache_write_1h_tokens), (20, 10));
    assert_eq!(usage.output_tokens, 7);
}

#[test]
fn the_end_of_a_stream_overlays_its_start() {
    let start =
        br#"{"input_tokens":10,"cache_creation_input_tokens":5,"output_tokens":1,"service_tier":"standard"}"#;
    let reported = usage(start, br#"{"output_tokens":9,"input_tokens":12}"#).unwrap();
    assert_eq!((reported.usage.input_tokens, reported.usage.output_tokens), (17, 9));
    assert_eq!(reported.usage.cache_write_5m_tokens, 5);
    assert_eq!(reported.service_tier.as_deref(), Some("standard"));
}
