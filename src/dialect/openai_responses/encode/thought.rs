//! Reasoning in a stream: summaries, and the thinking itself.

use serde_json::json;
use tollgate_filters::chat::{Content, Thought};

use super::item::{Item, Kind, To};
use super::sse::{index, member};

impl Item {
    pub(super) fn thought(&mut self, summary: bool, new: bool, text: &str, to: &mut To<'_>) {
        let Kind::Part(part) = &mut self.kind else { return };
        let Content::Reasoning(reasoning) = &mut part.content else { return };
        let goes_on = reasoning.thoughts.last().is_some_and(|last| !new && last.summary == summary);
        if !goes_on {
            thought_done(&reasoning.thoughts, &self.id, to);
            reasoning.thoughts.push(Thought { summary, text: String::new() });
        }
        let place = reasoning.thoughts.iter().filter(|thought| thought.summary == summary).count() - 1;
        let words = Words::of(summary);
        if !goes_on {
            to.send(words.added, &self.id, |out| {
                index(out, words.index, place);
                member(out, "part", &json!({"type": words.part, "text": ""}));
            });
        }
        if let Some(last) = reasoning.thoughts.last_mut() {
            last.text.push_str(text);
        }
        to.send(words.delta, &self.id, |out| {
            index(out, words.index, place);
            member(out, "delta", text);
        });
    }
}

/// What the events of a thought are called.
struct Words {
    part: &'static str,
    index: &'static str,
    added: &'static str,
    delta: &'static str,
    text_done: &'static str,
    part_done: &'static str,
}

impl Words {
    fn of(summary: bool) -> Self {
        if summary {
            Self {
                part: "summary_text",
                index: "summary_index",
                added: "response.reasoning_summary_part.added",
                delta: "response.reasoning_summary_text.delta",
                text_done: "response.reasoning_summary_text.done",
                part_done: "response.reasoning_summary_part.done",
            }
        } else {
            Self {
                part: "reasoning_text",
                index: "content_index",
                added: "response.content_part.added",
                delta: "response.reasoning_text.delta",
                text_done: "response.reasoning_text.done",
                part_done: "response.content_part.done",
            }
        }
    }
}

/// Ends the last thought, if there is one.
pub(super) fn thought_done(thoughts: &[Thought], id: &str, to: &mut To<'_>) {
    let Some(last) = thoughts.last() else { return };
    let place = thoughts.iter().filter(|thought| thought.summary == last.summary).count() - 1;
    let words = Words::of(last.summary);
    to.send(words.text_done, id, |out| {
        index(out, words.index, place);
        member(out, "text", &last.text);
    });
    to.send(words.part_done, id, |out| {
        index(out, words.index, place);
        member(out, "part", &json!({"type": words.part, "text": last.text}));
    });
}
