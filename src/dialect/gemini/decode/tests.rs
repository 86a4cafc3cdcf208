//! The events of streams.

use serde_json::json;
use tollgate_filters::chat::{Collector, Content, Delta, Event, FinishKind, Response};
use tollgate_filters::exchange::Dialect;

use super::Decoder;
use crate::dialect::frames::Frames;

const STREAM: &str = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hm\",\"thought\":true}],\"role\":\"model\"},\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":3,\"totalTokenCount\":3},\"modelVersion\":\"m\",\"responseId\":\"r\"}\r\n\r\n\
data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Zwei\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":1,\"totalTokenCount\":4},\"modelVersion\":\"m\",\"responseId\":\"r\"}\r\n\r\n\
data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\" \\u2013 ja\"}],\"role\":\"model\"},\"index\":0}],\"modelVersion\":\"m\",\"responseId\":\"r\"}\r\n\r\n\
data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\",\"thoughtSignature\":\"c2ln\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0,\"groundingMetadata\":{\"groundingChunks\":[{\"web\":{\"uri\":\"u\"}}],\"groundingSupports\":[{\"segment\":{\"startIndex\":5,\"endIndex\":11,\"text\":\"\u{2013} ja\"},\"groundingChunkIndices\":[0]}]}}],\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":4,\"totalTokenCount\":7},\"modelVersion\":\"m\",\"responseId\":\"r\"}\r\n\r\n";

fn events(pieces: &[&[u8]]) -> Vec<Event> {
    let (mut frames, mut decoder, mut events) = (Frames::sse(), Decoder::default(), Vec::new());
    for piece in pieces {
        frames.push(piece, |document| decoder.document(document, &mut events)).unwrap();
    }
    decoder.finish(&mut events);
    events
}

fn collected(events: &[Event]) -> Response {
    let mut collector = Collector::new(Dialect::Gemini);
    for event in events {
        collector.push(event);
    }
    collector.finish().unwrap()
}

#[test]
fn any_cut_gives_the_same_events() {
    let stream = STREAM.as_bytes();
    let whole = events(&[stream]);
    for cut in 0..stream.len() {
        assert_eq!(events(&[&stream[..cut], &stream[cut..]]), whole, "{cut}");
    }
}

#[test]
fn pieces_of_a_text_are_one_part_and_come_at_once() {
    let events = events(&[STREAM.as_bytes()]);
    let texts = events.iter().filter(|e| matches!(e, Event::Delta { part: 1, delta: Delta::Text(_), .. }));
    assert_eq!(texts.count(), 2);
    let response = collected(&events);
    let parts = &response.choices[0].parts;
    let Content::Text(text) = &parts[1].content else { panic!("{parts:?}") };
    assert_eq!(text.text, "Zwei – ja");
    assert_eq!((text.annotations[0].start, text.annotations[0].end), (Some(5), Some(9)));
    let Content::Reasoning(sealed) = &parts[2].content else { panic!("{parts:?}") };
    assert_eq!(sealed.seal.as_ref().unwrap().data, "c2ln");
    assert_eq!(parts.len(), 3);
    assert_eq!(response.usage.unwrap().usage.output_tokens, 4);
}

#[test]
fn a_stream_that_broke_off_does_not_end() {
    let first = STREAM.find("\r\n\r\n").unwrap() + 4;
    let cut = events(&[&STREAM.as_bytes()[..first]]);
    assert!(!cut.contains(&Event::End), "{cut:?}");
    assert_eq!(events(&[STREAM.as_bytes()]).last(), Some(&Event::End));
}

#[test]
fn a_refused_prompt_and_an_error_end_the_stream() {
    let document = json!({"promptFeedback": {"blockReason": "SAFETY"}, "responseId": "r"});
    let blocked = events(&[format!("data: {document}\n\n").as_bytes()]);
    let kind = blocked.iter().find_map(|e| match e {
        Event::Finish { finish, .. } => Some(finish.kind),
        _ => None,
    });
    assert_eq!(kind, Some(FinishKind::ContentFilter));
    assert_eq!(blocked.last(), Some(&Event::End));

    let document = json!({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}});
    let failed = events(&[format!("data: {document}\n\n").as_bytes()]);
    assert!(matches!(&failed[..], [Event::Error(failure)] if failure.status == 503), "{failed:?}");
}

#[test]
fn an_unusual_document_says_the_same_as_a_usual_one() {
    let usual = r#"{"candidates":[{"content":{"parts":[{"text":"a"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3},"modelVersion":"m","responseId":"r"}"#;
    let others = [
        r#"{"responseId":"r","modelVersion":"m","usageMetadata":{"promptTokenCount":3,"totalTokenCount":3},"candidates":[{"index":0,"finishReason":"STOP","content":{"role":"model","parts":[{"text":"a"}]}}]}"#,
        r#"{ "candidates" : [ {"content":{"parts":[{"text":"\u0061"}],"role":"model"},"finishReason":"STOP","index":0} ] , "usageMetadata" : {"promptTokenCount":3,"totalTokenCount":3,"x":"\"}"} , "modelVersion":"\u006d","responseId":"r" }"#,
    ];
    let read = |document: &str| collected(&events(&[format!("data: {document}\n\n").as_bytes()]));
    for other in others {
        let mut response = read(other);
        if let Some(usage) = &mut response.usage {
            usage.extra.clear();
        }
        assert_eq!(response, read(usual), "{other}");
    }
}
