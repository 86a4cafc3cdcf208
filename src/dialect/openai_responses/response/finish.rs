//! Why an answer ended: `status` and `incomplete_details`.

use serde_json::{Value, json};
use tollgate_filters::chat::{Finish, FinishKind, Losses, Pointer};

/// Reads why an answer ended; `calls` says that tools are to be run.
pub fn read(status: Option<&str>, reason: Option<&str>, calls: bool) -> Option<Finish> {
    let status = status?;
    let (kind, word, at) = match (status, reason) {
        ("completed", _) => {
            let kind = if calls { FinishKind::ToolCalls } else { FinishKind::Stop };
            (kind, status, "/status")
        }
        ("incomplete", Some(reason)) => {
            let kind = match reason {
                "max_output_tokens" => FinishKind::Length,
                "content_filter" => FinishKind::ContentFilter,
                _ => FinishKind::Other,
            };
            (kind, reason, "/incomplete_details/reason")
        }
        ("failed", _) => (FinishKind::Error, status, "/status"),
        _ => (FinishKind::Other, status, "/status"),
    };
    Some(Finish { kind, word: word.to_owned(), stop_sequence: None, at: Pointer::of(at) })
}

/// What an answer says of its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub status: String,
    pub incomplete_details: Value,
    pub error: Value,
}

impl Outcome {
    fn of(status: &str) -> Self {
        Self { status: status.to_owned(), incomplete_details: Value::Null, error: Value::Null }
    }

    fn incomplete(reason: &str) -> Self {
        Self { incomplete_details: json!({"reason": reason}), ..Self::of("incomplete") }
    }
}

/// How `finish` is said here. `own` says that it was read from this dialect.
pub fn outcome(finish: Option<&Finish>, own: bool, losses: &mut Losses) -> Outcome {
    let Some(finish) = finish else { return Outcome::of("completed") };
    if own {
        return match finish.word.as_str() {
            word @ ("completed" | "failed" | "in_progress" | "cancelled" | "queued" | "incomplete") => {
                Outcome::of(word)
            }
            reason => Outcome::incomplete(reason),
        };
    }
    match finish.kind {
        FinishKind::Stop | FinishKind::ToolCalls => Outcome::of("completed"),
        FinishKind::StopSequence | FinishKind::Pause | FinishKind::Other => {
            losses.approximated(&finish.at);
            if finish.stop_sequence.is_some() {
                losses.unsupported(&Pointer::of("/stop_sequence"));
            }
            Outcome::of("completed")
        }
        FinishKind::Length => Outcome::incomplete("max_output_tokens"),
        FinishKind::ContextWindow => {
            losses.approximated(&finish.at);
            Outcome::incomplete("max_output_tokens")
        }
        FinishKind::ContentFilter => Outcome::incomplete("content_filter"),
        FinishKind::Refusal => {
            losses.approximated(&finish.at);
            Outcome::incomplete("content_filter")
        }
        FinishKind::Error => {
            losses.approximated(&finish.at);
            let message = format!("The provider could not finish its answer ({}).", finish.word);
            Outcome { error: json!({"code": "server_error", "message": message}), ..Outcome::of("failed") }
        }
    }
}
