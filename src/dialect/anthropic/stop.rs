//! Why an answer ended, in this dialect's words.

use tollgate_filters::chat::{Finish, FinishKind, Losses, Pointer};

/// Where an answer says it.
const PLACE: Pointer = Pointer::of("/stop_reason");

pub fn read(word: String, stop_sequence: Option<String>) -> Finish {
    let kind = match word.as_str() {
        "end_turn" => FinishKind::Stop,
        "stop_sequence" => FinishKind::StopSequence,
        "max_tokens" => FinishKind::Length,
        "model_context_window_exceeded" => FinishKind::ContextWindow,
        "tool_use" => FinishKind::ToolCalls,
        "refusal" => FinishKind::Refusal,
        "pause_turn" => FinishKind::Pause,
        _ => FinishKind::Other,
    };
    Finish { kind, word, stop_sequence, at: PLACE }
}

/// What of an answer's content bears on why it ended: other dialects end a turn of calls, or a refusal in words, with `stop`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    pub calls: bool,
    pub refusal: bool,
}

/// The word for `finish`; for `own` it is the one that it had.
pub fn word<'a>(finish: &'a Finish, own: bool, seen: Seen, losses: &mut Losses) -> &'a str {
    if own {
        return &finish.word;
    }
    match finish.kind {
        FinishKind::Stop if seen.calls => "tool_use",
        FinishKind::Stop if seen.refusal => "refusal",
        FinishKind::Stop => "end_turn",
        FinishKind::StopSequence => "stop_sequence",
        FinishKind::Length => "max_tokens",
        FinishKind::ContextWindow => "model_context_window_exceeded",
        FinishKind::ToolCalls => "tool_use",
        FinishKind::Refusal => "refusal",
        FinishKind::Pause => "pause_turn",
        FinishKind::ContentFilter => {
            losses.approximated(&finish.at);
            "refusal"
        }
        FinishKind::Error | FinishKind::Other => {
            losses.approximated(&finish.at);
            if seen.calls { "tool_use" } else { "end_turn" }
        }
    }
}

/// The word where another dialect's answer says none; clients count on one.
pub fn unsaid(seen: Seen) -> &'static str {
    if seen.calls { "tool_use" } else { "end_turn" }
}

/// The finish was read from this dialect.
pub fn is_own(finish: &Finish) -> bool {
    finish.at == PLACE
}
