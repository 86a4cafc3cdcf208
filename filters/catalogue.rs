//! What is known of the providers' models: limits, capabilities, and which parameters a model refuses.

use std::collections::HashMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::chat::{Effort, Rules, ThinkingStyle};
use crate::names;

/// The catalogue: provider -> model as that provider calls it -> what is known of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Catalogue(HashMap<String, HashMap<String, Model>>);

/// What is known of one model; what is absent is not known. The keys are described in `conf/models.toml`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Model {
    kind: Option<Kind>,
    pub max_input_tokens: Option<u64>,
    /// Thoughts count as well.
    pub max_output_tokens: Option<u64>,
    /// How many numbers an embedding has.
    pub dimensions: Option<u64>,
    thinking: Option<ThinkingStyle>,
    #[serde(deserialize_with = "efforts")]
    efforts: Option<Vec<Effort>>,
    #[serde(deserialize_with = "budget")]
    pub thinking_budget: Option<Budget>,
    has: Vec<Capability>,
    lacks: Vec<Capability>,
    refuses: Option<Vec<Parameter>>,
    refuses_thinking: Option<Vec<Parameter>>,
    /// The day on which the provider takes it away, such as `2027-04-01`.
    pub retires: Option<String>,
    /// The page that it is described on.
    pub source: Option<String>,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    #[default]
    Chat,
    /// Conversation, and only in OpenAI's Responses API.
    Responses,
    Embedding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Pictures as input.
    Image,
    /// PDF documents as input.
    Pdf,
    /// Recordings as input.
    Audio,
    /// Films as input.
    Video,
    Tools,
    /// Several tool calls in one turn.
    ParallelTools,
    /// An answer that follows a JSON Schema.
    StructuredOutput,
    /// The answer's beginning as the last message.
    Prefill,
    /// Instructions among the later messages.
    MidSystem,
    /// Thinking can be turned off.
    ThinkingOff,
    /// It thinks without being asked to.
    DefaultThinking,
}

/// What a model may answer with an error to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parameter {
    Temperature,
    /// Any temperature but the default.
    #[serde(rename = "temperature_but_1")]
    TemperatureButOne,
    TopP,
    TopK,
    /// One of the two may be there.
    TopPWithTemperature,
    PresencePenalty,
    FrequencyPenalty,
    Logprobs,
    LogitBias,
    Stop,
    N,
    Seed,
    Verbosity,
    /// A choice of tool that makes the model call one.
    ForcedTools,
}

/// The least and the most tokens that a model may be told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pub least: u64,
    pub most: u64,
}

impl Catalogue {
    /// The names of the models that are known of `provider`. Snapshots that say no more than the names without
    /// their dates are not among them.
    pub fn models(&self, provider: &str) -> impl Iterator<Item = &str> {
        self.0.get(provider).into_iter().flat_map(|models| models.keys().map(String::as_str))
    }

    /// A model by its name, or by its name without the date of its snapshot.
    pub fn find(&self, provider: &str, model: &str) -> Option<&Model> {
        names::find(self.0.get(provider)?, model)
    }

    /// Takes over what `other` says of its models; what it does not say stays as it is known here.
    pub fn extend(&mut self, other: Self) {
        for (provider, models) in other.0 {
            let known = self.0.entry(provider).or_default();
            for (name, said) in models {
                let mut model = names::find(known, &name).cloned().unwrap_or_default();
                model.update(said);
                known.insert(name, model);
            }
        }
    }
}

impl Model {
    pub fn kind(&self) -> Kind {
        self.kind.unwrap_or_default()
    }

    /// Whether it can do a thing, where that is known.
    pub fn can(&self, capability: Capability) -> Option<bool> {
        if self.lacks.contains(&capability) {
            return Some(false);
        }
        self.has.contains(&capability).then_some(true)
    }

    /// It certainly cannot do a thing.
    pub fn lacks(&self, capability: Capability) -> bool {
        self.can(capability) == Some(false)
    }

    pub fn thinking(&self) -> ThinkingStyle {
        self.thinking.unwrap_or_default()
    }

    /// Whether it thinks at all, where that is known.
    pub fn thinks(&self) -> Option<bool> {
        match self.thinking() {
            ThinkingStyle::Unknown => None,
            ThinkingStyle::None => Some(false),
            ThinkingStyle::Budget | ThinkingStyle::Effort | ThinkingStyle::Adaptive => Some(true),
        }
    }

    /// The efforts that it knows, from the least to the greatest and without `none`; empty where that is not known.
    pub fn efforts(&self) -> &[Effort] {
        self.efforts.as_deref().unwrap_or_default()
    }

    /// Whether it refuses a parameter, given whether it thinks, as far as that is known.
    pub fn refuses(&self, parameter: Parameter, thinks: Option<bool>) -> bool {
        let among =
            |list: &Option<Vec<Parameter>>| list.as_ref().is_some_and(|list| list.contains(&parameter));
        among(&self.refuses) || (thinks == Some(true) && among(&self.refuses_thinking))
    }

    /// What renderers need to know.
    pub fn rules(&self) -> Rules {
        Rules { max_output_tokens: self.max_output_tokens, thinking: self.thinking() }
    }

    fn update(&mut self, said: Self) {
        fn set<T>(known: &mut Option<T>, said: Option<T>) {
            if said.is_some() {
                *known = said;
            }
        }
        set(&mut self.kind, said.kind);
        set(&mut self.max_input_tokens, said.max_input_tokens);
        set(&mut self.max_output_tokens, said.max_output_tokens);
        set(&mut self.dimensions, said.dimensions);
        set(&mut self.thinking, said.thinking);
        set(&mut self.efforts, said.efforts);
        set(&mut self.thinking_budget, said.thinking_budget);
        set(&mut self.refuses, said.refuses);
        set(&mut self.refuses_thinking, said.refuses_thinking);
        set(&mut self.retires, said.retires);
        set(&mut self.source, said.source);
        self.has.retain(|capability| !said.lacks.contains(capability));
        self.lacks.retain(|capability| !said.has.contains(capability));
        self.has.extend(said.has);
        self.lacks.extend(said.lacks);
    }
}

// === impl Deserialize ===

fn efforts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Effort>>, D::Error> {
    let words = Vec::<String>::deserialize(deserializer)?;
    let mut efforts: Vec<Effort> = words.iter().map(|word| Effort::parse(word)).collect();
    if efforts.contains(&Effort::None) {
        return Err(D::Error::custom("whether `none` is known is said by `thinking_off`"));
    }
    efforts.sort();
    Ok(Some(efforts))
}

fn budget<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Budget>, D::Error> {
    let (least, most) = <(u64, u64)>::deserialize(deserializer)?;
    if least > most {
        return Err(D::Error::custom("the least budget is more than the most"));
    }
    Ok(Some(Budget { least, most }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn catalogue(value: serde_json::Value) -> Catalogue {
        serde_json::from_value(value).unwrap()
    }

    fn known() -> Catalogue {
        catalogue(json!({"p": {"m": {
            "max_output_tokens": 100, "thinking": "effort", "efforts": ["high", "low"],
            "has": ["image", "thinking_off"], "lacks": ["audio"],
            "refuses": ["stop"], "refuses_thinking": ["temperature"],
        }}}))
    }

    #[test]
    fn yes_no_and_unknown_are_three_things() {
        let known = known();
        let model = known.find("p", "m-2026-01-02").unwrap();
        assert_eq!(model.can(Capability::Image), Some(true));
        assert_eq!(model.can(Capability::Audio), Some(false));
        assert_eq!(model.can(Capability::Video), None);
        assert_eq!(model.efforts(), [Effort::Low, Effort::High]);
        assert_eq!(known.find("p", "other"), None);
        assert_eq!(known.find("q", "m"), None);
    }

    #[test]
    fn some_parameters_are_refused_only_by_a_model_that_thinks() {
        let known = known();
        let model = known.find("p", "m").unwrap();
        assert!(model.refuses(Parameter::Stop, Some(false)));
        assert!(model.refuses(Parameter::Temperature, Some(true)));
        assert!(!model.refuses(Parameter::Temperature, Some(false)));
        assert!(!model.refuses(Parameter::Temperature, None));
    }

    #[test]
    fn an_override_changes_what_it_names_and_nothing_else() {
        let mut known = known();
        known.extend(catalogue(json!({
            "p": {"m": {"max_output_tokens": 50, "has": ["audio"], "refuses": []}, "m-2026-01-02": {"lacks": ["image"]}},
            "q": {"new": {"kind": "embedding"}},
        })));
        let model = known.find("p", "m").unwrap();
        assert_eq!(model.rules(), Rules { max_output_tokens: Some(50), thinking: ThinkingStyle::Effort });
        assert_eq!(model.can(Capability::Image), Some(true));
        assert_eq!(model.can(Capability::Audio), Some(true));
        assert!(!model.refuses(Parameter::Stop, None));
        assert_eq!(known.find("q", "new").unwrap().kind(), Kind::Embedding);
        // a snapshot that was not listed begins as its model
        let snapshot = known.find("p", "m-2026-01-02").unwrap();
        assert!(snapshot.lacks(Capability::Image));
        assert_eq!(snapshot.thinking(), ThinkingStyle::Effort);
    }

    #[test]
    fn a_wrong_entry_is_named() {
        let bad =
            |entry| serde_json::from_value::<Catalogue>(json!({"p": {"m": entry}})).unwrap_err().to_string();
        assert!(bad(json!({"max_outptu_tokens": 1})).contains("unknown field `max_outptu_tokens`"));
        assert!(bad(json!({"has": ["wings"]})).contains("unknown variant `wings`"));
        assert!(bad(json!({"efforts": ["none"]})).contains("thinking_off"));
        assert!(bad(json!({"thinking_budget": [2, 1]})).contains("the least budget"));
    }
}
