//! Which providers can serve the model that a caller names, in the order they are tried.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::error::{Error, Kind};
use crate::exchange::{Dialect, Dialects, Operation};

/// One provider as routing sees it. Its index in [`Routes`] is how a [`Target`] names it.
#[derive(Debug, Clone)]
pub struct Upstream {
    pub name: Arc<str>,
    pub dialects: Dialects,
    /// Patterns of the bare model names it is known to serve (`gpt-*`).
    pub models: Vec<String>,
    /// Bare model names it is known to serve, from the price list.
    pub catalogue: HashSet<String>,
}

/// A provider and the model to ask it for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub provider: usize,
    /// `None` where the request names none.
    pub model: Option<Arc<str>>,
}

/// The ordered targets of one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub targets: Vec<Target>,
}

impl Plan {
    pub fn one(provider: usize, model: Option<Arc<str>>) -> Self {
        Self { targets: vec![Target { provider, model }] }
    }
}

/// Everything that a model name can mean.
#[derive(Debug, Default)]
pub struct Routes {
    upstreams: Vec<Upstream>,
    aliases: HashMap<String, Vec<Target>>,
    /// Known providers and aliases that are off, each with the reason.
    off: HashMap<String, String>,
}

impl Routes {
    pub fn new(
        upstreams: Vec<Upstream>,
        aliases: HashMap<String, Vec<Target>>,
        off: HashMap<String, String>,
    ) -> Self {
        Self { upstreams, aliases, off }
    }

    pub fn provider_name(&self, provider: usize) -> &str {
        self.upstreams.get(provider).map_or("", |u| &u.name)
    }

    pub fn is_alias(&self, model: &str) -> bool {
        self.aliases.contains_key(model)
    }

    /// The provider with this name.
    pub fn provider(&self, name: &str) -> Result<usize, Error> {
        self.upstreams.iter().position(|u| &*u.name == name).ok_or_else(|| match self.off.get(name) {
            Some(why) => Error::new(Kind::NotFound, format!("The provider `{name}` is off: {why}.")),
            None => Error::new(
                Kind::NotFound,
                format!("There is no provider `{name}`; there are {}.", self.names()),
            ),
        })
    }

    /// The dialect of a provider that speaks but one.
    pub fn only_dialect(&self, name: &str) -> Option<Dialect> {
        let upstream = self.upstreams.iter().find(|u| &*u.name == name)?;
        let mut dialects = upstream.dialects.iter();
        dialects.next().filter(|_| dialects.next().is_none())
    }

    /// The names of the aliases.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &[Target])> {
        self.aliases.iter().map(|(name, targets)| (name.as_str(), targets.as_slice()))
    }

    /// The providers, and the bare model names that each is known to serve.
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// Whether `name` is a provider's, on or off.
    pub fn is_provider(&self, name: &str) -> bool {
        self.off.contains_key(name) || self.upstreams.iter().any(|u| &*u.name == name)
    }

    /// The provider that serves what names no model: the first that is at home in the dialect.
    pub fn default_provider(&self, dialect: Dialect) -> Result<usize, Error> {
        self.upstreams.iter().position(|u| u.dialects.contains_family(dialect)).ok_or_else(|| {
            Error::invalid(format!(
                "No configured provider speaks the `{dialect}` dialect; there are {}.",
                self.names()
            ))
            .code("dialect_not_served")
        })
    }

    /// The targets of `model`: an alias, `provider/model`, or a bare name that one provider is known
    /// to serve. Only targets that can do `operation` are kept, in `dialect` or by translation.
    pub fn resolve(&self, model: &str, dialect: Dialect, operation: Operation) -> Result<Plan, Error> {
        let targets = self.named(model)?;
        let can = |t: &&Target| self.upstreams[t.provider].dialects.can(dialect, operation);
        let able: Vec<Target> = targets.iter().filter(can).cloned().collect();
        if able.is_empty() {
            return Err(self.not_spoken(model, &targets, dialect, operation));
        }
        Ok(Plan { targets: able })
    }

    fn named(&self, model: &str) -> Result<Vec<Target>, Error> {
        if let Some(targets) = self.aliases.get(model) {
            return Ok(targets.clone());
        }
        if let Some(why) = self.off.get(model) {
            return Err(Error::new(Kind::NotFound, format!("`{model}` is off: {why}."))
                .param("model")
                .code("model_not_found"));
        }
        if let Some((name, rest)) = model.split_once('/')
            && !rest.is_empty()
            && self.is_provider(name)
        {
            let provider = self.provider(name).map_err(|e| e.param("model").code("model_not_found"))?;
            return Ok(vec![Target { provider, model: Some(Arc::from(rest)) }]);
        }
        let serving: Vec<usize> =
            (0..self.upstreams.len()).filter(|i| self.upstreams[*i].serves(model)).collect();
        match serving[..] {
            [provider] => Ok(vec![Target { provider, model: Some(Arc::from(model)) }]),
            [] => Err(self.unknown(model)),
            _ => {
                let full: Vec<String> =
                    serving.iter().map(|i| format!("`{}/{model}`", self.provider_name(*i))).collect();
                Err(Error::invalid(format!(
                    "Several providers serve `{model}`; name one of {}.",
                    full.join(", ")
                ))
                .param("model")
                .code("model_ambiguous"))
            }
        }
    }

    fn not_spoken(&self, model: &str, targets: &[Target], dialect: Dialect, operation: Operation) -> Error {
        let spoken: Vec<String> = targets
            .iter()
            .map(|t| {
                let dialects: Vec<_> =
                    self.upstreams[t.provider].dialects.iter().map(Dialect::as_str).collect();
                format!("`{}` speaks {}", self.provider_name(t.provider), dialects.join(", "))
            })
            .collect();
        Error::invalid(format!(
            "`{model}` cannot be asked for `{}` in the `{dialect}` dialect: {}, and this operation is not translated.",
            operation.as_str(),
            spoken.join("; ")
        ))
        .param("model")
        .code("dialect_not_served")
    }

    fn unknown(&self, model: &str) -> Error {
        let nearest = self.nearest(model);
        let hint = if nearest.is_empty() {
            format!("Name it as `provider/model`; there are {}.", self.names())
        } else {
            format!("The nearest known: {}. Or name it as `provider/model`.", nearest.join(", "))
        };
        Error::new(Kind::NotFound, format!("No provider here is known to serve the model `{model}`. {hint}"))
            .param("model")
            .code("model_not_found")
    }

    /// Up to three known names that `model` may be a slip of.
    fn nearest(&self, model: &str) -> Vec<String> {
        let known = self.aliases.keys().chain(self.upstreams.iter().flat_map(|u| &u.catalogue));
        let mut scored: Vec<(f64, &String)> = known
            .map(|name| (strsim::jaro_winkler(model, name), name))
            .filter(|(score, _)| *score > 0.8)
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        scored.dedup_by(|a, b| a.1 == b.1);
        scored.into_iter().take(3).map(|(_, name)| format!("`{name}`")).collect()
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.upstreams.iter().map(|u| format!("`{}`", u.name)).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

impl Upstream {
    fn serves(&self, model: &str) -> bool {
        self.catalogue.contains(model) || self.models.iter().any(|pattern| pattern_matches(pattern, model))
    }
}

/// Whether `name` fits `pattern`, in which each `*` stands for any text.
pub fn pattern_matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let upstream = |name: &str, dialect, models: &[&str], catalogue: &[&str]| Upstream {
            name: Arc::from(name),
            dialects: [dialect].into_iter().collect(),
            models: models.iter().map(|m| (*m).to_owned()).collect(),
            catalogue: catalogue.iter().map(|m| (*m).to_owned()).collect(),
        };
        let target = |provider, model: &str| Target { provider, model: Some(Arc::from(model)) };
        Routes::new(
            vec![
                upstream("openai", Dialect::OpenaiChat, &["gpt-*"], &["gpt-4o", "gpt-4o-mini"]),
                upstream("anthropic", Dialect::Anthropic, &[], &["claude-sonnet-4-5"]),
                upstream("local", Dialect::OpenaiChat, &["llama*", "gpt-oss*"], &[]),
            ],
            HashMap::from([(
                "fast".to_owned(),
                vec![target(1, "claude-sonnet-4-5"), target(0, "gpt-4o-mini")],
            )]),
            HashMap::from([("groq".to_owned(), "GROQ_API_KEY is not set".to_owned())]),
        )
    }

    fn chat(model: &str) -> Result<Plan, Error> {
        routes().resolve(model, Dialect::OpenaiChat, Operation::Chat)
    }

    fn one(provider: usize, model: &str) -> Plan {
        Plan::one(provider, Some(Arc::from(model)))
    }

    #[test]
    fn a_model_is_found_by_its_three_kinds_of_names() {
        assert_eq!(chat("openai/ft:x/y").unwrap(), one(0, "ft:x/y"));
        assert_eq!(chat("gpt-4o").unwrap(), one(0, "gpt-4o"));
        assert_eq!(chat("llama-3").unwrap(), one(2, "llama-3"));
        let fast = chat("fast").unwrap();
        assert_eq!(fast.targets[1], one(0, "gpt-4o-mini").targets[0], "in the order as written: {fast:?}");
    }

    #[test]
    fn what_is_translated_keeps_every_target_and_what_is_not_those_that_speak_the_dialect() {
        let fast = |dialect, operation| routes().resolve("fast", dialect, operation);
        assert_eq!(fast(Dialect::Anthropic, Operation::Messages).unwrap().targets.len(), 2);
        assert_eq!(fast(Dialect::OpenaiChat, Operation::Embeddings).unwrap(), one(0, "gpt-4o-mini"));
        let refusal = routes().resolve("gpt-4o", Dialect::Anthropic, Operation::Other).unwrap_err();
        assert_eq!(refusal.kind, Kind::Invalid);
        assert!(refusal.message.contains("`openai` speaks openai_chat"), "{refusal}");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let refusal = chat("gtp-4o-mini").unwrap_err();
        assert_eq!(refusal.kind, Kind::NotFound);
        assert!(refusal.message.contains("`gpt-4o-mini`"), "{refusal}");
        assert!(chat("groq/llama-3").unwrap_err().message.contains("GROQ_API_KEY is not set"));
    }

    #[test]
    fn a_bare_name_that_several_serve_is_not_guessed() {
        let refusal = chat("gpt-oss-20b").unwrap_err();
        assert!(refusal.message.contains("`openai/gpt-oss-20b`, `local/gpt-oss-20b`"), "{refusal}");
    }

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("openai/*", "openai/gpt", true),
            ("openai/*", "openai2/gpt", false),
            ("*-mini", "gpt-mini", true),
            ("*-mini", "gpt-mini-x", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(pattern_matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
