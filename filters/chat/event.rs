//! What a stream says, piece by piece, and how the pieces add up to an answer.

use serde_json::Value;

use super::answer::{Choice, Failure, Finish, Response, UsageReport};
use super::loss::{At, Extra, Loss, Pointer};
use super::part::{Annotation, Content, Media, Part, Reasoning, Seal, ServerUse, Text, Thought, ToolCall};
use crate::exchange::Dialect;

/// One thing that happens in a stream. The order is: `Start`; for each part `Open`, `Delta`s, `Close`; `Finish` for
/// each choice; `Usage` anywhere after `Start` (a later one replaces an earlier one); `End`. Parts of one choice
/// are numbered from 0 in the order in which they open. A decoder keeps to this whatever a provider sends: it opens what
/// the dialect does not open by itself, and closes what is still open before `Finish`.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Start(Start),
    Open {
        choice: u32,
        part: u32,
        opening: Opening,
        at: Pointer,
    },
    Delta {
        choice: u32,
        part: u32,
        delta: Delta,
    },
    Close {
        choice: u32,
        part: u32,
    },
    /// Log-probabilities of the tokens just sent, in the form of OpenAI Chat.
    LogProbs {
        choice: u32,
        part: u32,
        logprobs: At<Value>,
    },
    Finish {
        choice: u32,
        finish: Finish,
    },
    Usage(UsageReport),
    ServiceTier(At<String>),
    /// The provider says that it is still there.
    Ping,
    /// The provider failed in mid-stream. Nothing but `End` follows.
    Error(Failure),
    /// Members that only the source dialect knows, of the object at the pointer. A decoder sends each key once a
    /// stream. Those of a part may come before its `Open` (the pointer is the part's), or any time later.
    Extra(At<Extra>),
    /// The source dialect's reader itself could not carry something.
    Lost(Loss),
    /// The stream ended as the dialect says a stream ends.
    End,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Start {
    pub id: Option<String>,
    pub model: Option<String>,
    /// Seconds since 1970.
    pub created: Option<u64>,
}

/// What kind of part begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Opening {
    Text,
    Refusal,
    /// `id` is the item's, where the dialect has one.
    Reasoning {
        id: Option<String>,
    },
    /// `arguments` is empty; they follow as deltas.
    ToolCall(ToolCall),
    /// Whole; no deltas follow.
    Server(Box<ServerUse>),
    /// Whole; no deltas follow.
    Media(Box<Media>),
    /// Whole; no deltas follow.
    Opaque(Value),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// Of a text or a refusal.
    Text(String),
    Annotation(Box<Annotation>),
    /// Of reasoning. `new` says that a new thought begins (a Responses item may have several summaries).
    Thought {
        summary: bool,
        new: bool,
        text: String,
    },
    /// Of reasoning: its seal, whole.
    Seal(Seal),
    /// Of a tool call: a piece of the arguments' JSON.
    Arguments(String),
}

/// Adds up events to the answer they tell.
#[derive(Debug)]
pub struct Collector {
    response: Response,
    failure: Option<Failure>,
    /// Members of parts that are not open yet.
    early: Vec<At<Extra>>,
}

impl Collector {
    pub fn new(source: Dialect) -> Self {
        let response = Response {
            source,
            id: None,
            model: None,
            created: None,
            choices: Vec::new(),
            usage: None,
            service_tier: None,
            extra: Extra::new(),
        };
        Self { response, failure: None, early: Vec::new() }
    }

    pub fn push(&mut self, event: &Event) {
        match event {
            Event::Start(start) => {
                self.response.id.clone_from(&start.id);
                self.response.model.clone_from(&start.model);
                self.response.created = start.created;
            }
            Event::Open { choice, opening, at, .. } => {
                let mut part = Part::new(content(opening), at.clone());
                if let Some(early) = self.early.iter().position(|extra| extra.at == *at) {
                    part.extra = self.early.swap_remove(early).value;
                }
                self.choice(*choice).parts.push(part);
            }
            Event::Delta { choice, part, delta } => {
                let place = self.choice(*choice).parts.get_mut(*part as usize);
                if let Some(part) = place {
                    extend(&mut part.content, delta);
                }
            }
            Event::LogProbs { choice, logprobs, .. } => self.add_logprobs(*choice, logprobs),
            Event::Finish { choice, finish } => self.choice(*choice).finish = Some(finish.clone()),
            Event::Usage(usage) => self.response.usage = Some(usage.clone()),
            Event::ServiceTier(tier) => self.response.service_tier = Some(tier.clone()),
            Event::Extra(extra) => self.extra(extra),
            Event::Error(failure) => self.failure = Some(failure.clone()),
            Event::Close { .. } | Event::Ping | Event::Lost(_) | Event::End => {}
        }
    }

    /// The answer so far.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// The answer, or what broke the stream off.
    pub fn finish(self) -> Result<Response, Box<Failure>> {
        self.failure.map_or(Ok(self.response), |failure| Err(Box::new(failure)))
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let choices = &mut self.response.choices;
        let at = choices.iter().position(|c| c.index == index).unwrap_or_else(|| {
            choices.push(Choice { index, ..Choice::default() });
            choices.len() - 1
        });
        &mut choices[at]
    }

    fn extra(&mut self, extra: &At<Extra>) {
        if extra.at == Pointer::ROOT {
            self.response.extra.extend(extra.value.clone());
            return;
        }
        let parts = self.response.choices.iter_mut().rev().flat_map(|choice| choice.parts.iter_mut().rev());
        match parts.into_iter().find(|part| part.at == extra.at) {
            Some(part) => part.extra.extend(extra.value.clone()),
            None => self.early.push(extra.clone()),
        }
    }

    fn add_logprobs(&mut self, choice: u32, more: &At<Value>) {
        let choice = self.choice(choice);
        let Some(sum) = &mut choice.logprobs else {
            choice.logprobs = Some(more.clone());
            return;
        };
        for list in ["content", "refusal"] {
            let Some(more) = more.value.get(list).and_then(Value::as_array) else { continue };
            match sum.value.get_mut(list).and_then(Value::as_array_mut) {
                Some(sum) => sum.extend(more.iter().cloned()),
                // What is odd stays as it came first.
                None => {
                    if let Value::Object(sum) = &mut sum.value {
                        sum.insert(list.to_owned(), Value::Array(more.clone()));
                    }
                }
            }
        }
    }
}

fn content(opening: &Opening) -> Content {
    match opening {
        Opening::Text => Content::Text(Text::default()),
        Opening::Refusal => Content::Refusal(String::new()),
        Opening::Reasoning { id } => Content::Reasoning(Reasoning { id: id.clone(), ..Reasoning::default() }),
        Opening::ToolCall(call) => Content::ToolCall(call.clone()),
        Opening::Server(used) => Content::Server((**used).clone()),
        Opening::Media(media) => Content::Media((**media).clone()),
        Opening::Opaque(value) => Content::Opaque(value.clone()),
    }
}

fn extend(content: &mut Content, delta: &Delta) {
    match (content, delta) {
        (Content::Text(text), Delta::Text(more)) => text.text.push_str(more),
        (Content::Refusal(text), Delta::Text(more)) => text.push_str(more),
        (Content::Text(text), Delta::Annotation(annotation)) => text.annotations.push((**annotation).clone()),
        (Content::Reasoning(reasoning), Delta::Thought { summary, new, text }) => {
            match reasoning.thoughts.last_mut() {
                Some(last) if !new && last.summary == *summary => last.text.push_str(text),
                _ => reasoning.thoughts.push(Thought { summary: *summary, text: text.clone() }),
            }
        }
        (Content::Reasoning(reasoning), Delta::Seal(seal)) => reasoning.seal = Some(seal.clone()),
        (Content::ToolCall(call), Delta::Arguments(more)) => call.arguments.push_str(more),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn log_probabilities_add_up_and_odd_ones_do_no_harm() {
        let sum = |first: Value| {
            let mut collector = Collector::new(Dialect::OpenaiChat);
            for value in [first, json!({"content": [2]}), json!([])] {
                let logprobs = At::new(value, Pointer::of("/choices/0/logprobs"));
                collector.push(&Event::LogProbs { choice: 0, part: 0, logprobs });
            }
            collector.response().choices[0].logprobs.clone().map(|sum| sum.value)
        };
        assert_eq!(sum(json!({"content": [1]})), Some(json!({"content": [1, 2]})));
        assert_eq!(sum(json!({"refusal": null})), Some(json!({"refusal": null, "content": [2]})));
        assert_eq!(sum(json!([1])), Some(json!([1])));
    }
}
