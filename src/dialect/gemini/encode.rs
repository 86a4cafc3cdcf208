//! Gemini streams: from events to bytes.

mod choice;
mod document;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{At, Client, Event, Extra, Losses, Pointer, Start, UsageReport};
use tollgate_filters::exchange::Dialect;

use self::choice::{Choice, source};
use self::document::Documents;
use super::part::write::merge;
use super::response::stamp;
use super::{error, finish, logprobs, tokens};

/// The state between two events of a stream.
#[derive(Debug)]
pub struct Encoder {
    client: Client,
    documents: Documents,
    created: Option<u64>,
    choices: Vec<Choice>,
    usage: Option<UsageReport>,
    tier: Option<At<String>>,
    extra: Extra,
    /// Whose stream it is, as far as pointers have told.
    source: Option<Dialect>,
}

impl Encoder {
    pub fn new(client: Client) -> Self {
        let documents = Documents::new(client.sse, &client.model, &client.id);
        Self {
            client,
            documents,
            created: None,
            choices: Vec::new(),
            usage: None,
            tier: None,
            extra: Extra::new(),
            source: None,
        }
    }

    /// Writes what `event` is in this dialect, and says in `losses` what of it is left behind.
    pub fn event(&mut self, event: &Event, out: &mut Vec<u8>, losses: &mut Losses) {
        match event {
            Event::Start(start) => self.start(start),
            Event::Open { choice, opening, at, .. } => {
                self.source = Some(source(at));
                let (choice, documents) = self.choice(*choice);
                choice.open(opening, at, documents, out, losses);
            }
            Event::Delta { choice, delta, .. } => {
                let (choice, documents) = self.choice(*choice);
                choice.delta(delta, documents, out);
            }
            Event::Close { choice, .. } => {
                let (choice, documents) = self.choice(*choice);
                choice.close(documents, out, losses);
            }
            Event::LogProbs { choice, logprobs, .. } => self.logprobs(*choice, logprobs, out, losses),
            Event::Finish { choice, finish } => {
                let own = is_own(&finish.at);
                if own || finish.at == finish::BLOCKED {
                    self.source = Some(Dialect::Gemini);
                }
                if finish.at != finish::BLOCKED {
                    let word = finish::write(finish, own, losses).to_owned();
                    self.choice(*choice).0.finish = Some(word);
                }
            }
            Event::Usage(usage) => {
                if usage.at.as_str() == "/usageMetadata" {
                    self.source = Some(Dialect::Gemini);
                }
                self.usage = Some(usage.clone());
            }
            Event::ServiceTier(tier) => self.tier = Some(tier.clone()),
            // Google sends nothing to say that it is still there.
            Event::Ping => {}
            Event::Extra(extra) => self.extra(extra, losses),
            Event::Lost(loss) => losses.push(&loss.at, loss.why),
            Event::Error(failure) => {
                let body = error::render(failure, &self.client.request_id);
                self.documents.value(&body, out);
                self.documents.end(out);
            }
            Event::End => self.end(out, losses),
        }
    }

    fn start(&mut self, start: &Start) {
        let id = start.id.as_ref().filter(|_| !self.client.own_id).unwrap_or(&self.client.id);
        let model = start.model.as_ref().unwrap_or(&self.client.model);
        self.documents = Documents::new(self.client.sse, model, id);
        self.created = start.created;
    }

    fn choice(&mut self, index: u32) -> (&mut Choice, &mut Documents) {
        let known = self.choices.iter().position(|choice| choice.index == index);
        let at = known.unwrap_or_else(|| {
            self.choices.push(Choice::new(index));
            self.choices.len() - 1
        });
        (&mut self.choices[at], &mut self.documents)
    }

    fn logprobs(&mut self, choice: u32, found: &At<Value>, out: &mut Vec<u8>, losses: &mut Losses) {
        if logprobs::has_refusal(&found.value) {
            losses.unsupported(&found.at.key("refusal"));
        }
        if let Some(result) = logprobs::write(&found.value) {
            let mut body = Map::new();
            let candidate = json!({ "index": choice, "logprobsResult": result });
            body.insert("candidates".to_owned(), json!([candidate]));
            self.documents.object(body, out);
        }
    }

    fn extra(&mut self, extra: &At<Extra>, losses: &mut Losses) {
        if self.source != Some(Dialect::Gemini) {
            return losses.extra(&extra.at, &extra.value);
        }
        if extra.at == Pointer::ROOT {
            return self.extra.extend(extra.value.clone());
        }
        let known = self.choices.iter_mut().find(|choice| choice.at() == extra.at);
        match known {
            Some(choice) => choice.extra.extend(extra.value.clone()),
            None => losses.extra(&extra.at, &extra.value),
        }
    }

    /// The last document: why each candidate ended, and the usage.
    fn end(&mut self, out: &mut Vec<u8>, losses: &mut Losses) {
        let mut body = Map::new();
        self.conclude();
        let candidates: Vec<Value> = self.choices.iter_mut().map(Choice::last).collect();
        if !candidates.is_empty() {
            body.insert("candidates".to_owned(), Value::Array(candidates));
        }
        let source = self.source.unwrap_or(Dialect::Anthropic);
        let usage = tokens::write(self.usage.as_ref(), self.tier.as_ref(), source, losses);
        body.extend(usage.map(|usage| ("usageMetadata".to_owned(), usage)));
        if let Some(created) = self.created {
            body.insert("createTime".to_owned(), json!(stamp(created)));
        }
        // What has a place of its own and came in another type has none here.
        let taken = ["candidates", "usageMetadata", "modelVersion", "responseId", "createTime"];
        let (odd, extra): (Extra, Extra) =
            std::mem::take(&mut self.extra).into_iter().partition(|(key, _)| taken.contains(&key.as_str()));
        losses.extra(&Pointer::ROOT, &odd);
        merge(&mut body, &extra);
        self.documents.object(body, out);
        self.documents.end(out);
    }

    /// A client takes a stream in which no candidate ends for one that broke off, so one of a provider that gives no
    /// reason stops as usual.
    fn conclude(&mut self) {
        let ended = self.choices.iter().any(|choice| choice.finish.is_some());
        if ended || self.extra.contains_key("promptFeedback") {
            return;
        }
        if self.choices.is_empty() {
            self.choices.push(Choice::new(0));
        }
        for choice in &mut self.choices {
            choice.finish = Some("STOP".to_owned());
        }
    }
}

/// Whether a pointer leads into an answer of Gemini's.
fn is_own(at: &Pointer) -> bool {
    at.as_str().starts_with("/candidates/")
}
