//! Why generation ended: Google's words and what they mean.

use serde_json::Value;
use tollgate_filters::chat::{Extra, Finish, FinishKind, Losses, Pointer};

use super::grounding::enclose;

/// Where a prompt that was refused as a whole says why.
pub const BLOCKED: Pointer = Pointer::of("/promptFeedback/blockReason");

/// Where Anthropic says which stop sequence was met.
const STOP_SEQUENCE: Pointer = Pointer::of("/stop_sequence");

/// Takes the sentence out of a candidate's members that Google sends with each call of a function: the call says it as well.
pub fn keep_message(extra: &mut Extra) {
    const KEY: &str = "finishMessage";
    if extra.get(KEY).and_then(Value::as_str) == Some("Model generated function call(s).")
        && let Some(sentence) = extra.shift_remove(KEY)
    {
        enclose(extra, KEY, sentence);
    }
}

/// What a `finishReason` means. `calls` tells that the model asked for functions, which Google calls `STOP` as well.
pub fn read(word: &str, calls: bool, at: Pointer) -> Finish {
    let kind = match word {
        "STOP" if calls => FinishKind::ToolCalls,
        "STOP" => FinishKind::Stop,
        "MAX_TOKENS" => FinishKind::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => FinishKind::ContentFilter,
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => FinishKind::Error,
        _ => FinishKind::Other,
    };
    Finish { kind, word: word.to_owned(), stop_sequence: None, at }
}

/// A prompt that was refused as a whole.
pub fn blocked(reason: &str) -> Finish {
    Finish { kind: FinishKind::ContentFilter, word: reason.to_owned(), stop_sequence: None, at: BLOCKED }
}

/// Google's word for it.
pub fn write<'a>(finish: &'a Finish, same: bool, losses: &mut Losses) -> &'a str {
    if same {
        return &finish.word;
    }
    let (word, exact) = match finish.kind {
        FinishKind::Stop | FinishKind::ToolCalls => ("STOP", true),
        FinishKind::Length => ("MAX_TOKENS", true),
        FinishKind::ContentFilter => ("SAFETY", true),
        FinishKind::StopSequence | FinishKind::Pause => ("STOP", false),
        FinishKind::ContextWindow => ("MAX_TOKENS", false),
        FinishKind::Refusal => ("SAFETY", false),
        FinishKind::Error | FinishKind::Other => ("OTHER", false),
    };
    if !exact {
        losses.approximated(&finish.at);
    }
    if finish.stop_sequence.is_some() {
        losses.unsupported(&STOP_SEQUENCE);
    }
    word
}
