//! What a limit or a budget counts apart: the values that an exchange has in the rule's scope.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use smallvec::SmallVec;

use crate::route::pattern_matches;

/// One dimension of a scope. Whatever the scope, counters of different organisations are different counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    Org,
    User,
    Key,
    Bridge,
    Thread,
    Model,
    Provider,
    Address,
}

impl Dimension {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::User => "user",
            Self::Key => "key",
            Self::Bridge => "bridge",
            Self::Thread => "thread",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Address => "address",
        }
    }

    /// Whether its value is known only when it is known who is asked.
    pub fn is_of_the_target(self) -> bool {
        matches!(self, Self::Model | Self::Provider)
    }
}

/// What an exchange is, as far as scopes go.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    pub org: Arc<str>,
    pub user: Option<Arc<str>>,
    pub key: Option<Arc<str>>,
    pub bridge: Option<Arc<str>>,
    pub thread: Option<Arc<str>>,
    pub address: Option<IpAddr>,
    /// Of the target that is asked.
    pub provider: Option<Arc<str>>,
    pub model: Option<Arc<str>>,
}

impl Subject {
    fn value(&self, dimension: Dimension) -> Option<Arc<str>> {
        match dimension {
            Dimension::Org => Some(self.org.clone()),
            Dimension::User => self.user.clone(),
            Dimension::Key => self.key.clone(),
            Dimension::Bridge => self.bridge.clone(),
            Dimension::Thread => self.thread.clone(),
            Dimension::Model => self.model.clone(),
            Dimension::Provider => self.provider.clone(),
            Dimension::Address => self.address.map(network).map(Arc::from),
        }
    }
}

/// An address as limits see it: one of version 6 stands for its /64, because whoever has one has them all.
pub fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Dimensions, each with the pattern that its value has to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(Vec<(Dimension, String)>);

impl Scope {
    /// Checks what was written: `scope` names dimensions, `patterns` what their values have to fit (none: anything).
    pub fn new(scope: &[Dimension], patterns: &Match) -> Result<Self, String> {
        if scope.is_empty() {
            return Err("scope is empty; [\"org\"] counts each organisation".to_owned());
        }
        let mut dimensions: Vec<(Dimension, String)> = Vec::new();
        for dimension in scope {
            if dimensions.iter().any(|(known, _)| known == dimension) {
                return Err(format!("scope names {:?} twice", dimension.as_str()));
            }
            dimensions.push((*dimension, patterns.of(*dimension, scope)?));
        }
        if let Match::Each(of) = patterns
            && let Some((name, _)) = of.iter().find(|(name, _)| !scope.contains(name))
        {
            return Err(format!("match names {:?}, which is not in the scope", name.as_str()));
        }
        // One order, so that the same rule written in two ways is the same rule.
        dimensions.sort_by_key(|(dimension, _)| *dimension);
        Ok(Self(dimensions))
    }

    pub fn is_of_the_target(&self) -> bool {
        self.0.iter().any(|(dimension, _)| dimension.is_of_the_target())
    }

    /// Whether only the model's name is missing to know if the rule is for `subject`: an upload that nobody reads may
    /// name any.
    pub fn lacks_the_model(&self, subject: &Subject) -> bool {
        if subject.model.is_some() || !self.0.iter().any(|(dimension, _)| *dimension == Dimension::Model) {
            return false;
        }
        let others = self.0.iter().filter(|(dimension, _)| *dimension != Dimension::Model).cloned().collect();
        Self(others).values(subject).is_some()
    }

    /// The values that `subject` has in this scope, the organisation's aside; `None` where the rule is not for it: a
    /// value does not fit, or there is none.
    pub fn values(&self, subject: &Subject) -> Option<SmallVec<[Arc<str>; 3]>> {
        let mut values = SmallVec::new();
        for (dimension, pattern) in &self.0 {
            let value = subject.value(*dimension)?;
            let fits = match dimension {
                _ if pattern == "*" => true,
                Dimension::Model => {
                    let full = || format!("{}/{value}", subject.provider.as_deref().unwrap_or_default());
                    pattern_matches(pattern, &value) || pattern_matches(pattern, &full())
                }
                _ => pattern_matches(pattern, &value),
            };
            if !fits {
                return None;
            }
            if *dimension != Dimension::Org {
                values.push(value);
            }
        }
        Some(values)
    }
}

impl fmt::Display for Scope {
    /// `key`, `user + model gpt-*`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (dimension, pattern)) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { " + " } else { "" })?;
            f.write_str(dimension.as_str())?;
            if pattern != "*" {
                write!(f, " {pattern}")?;
            }
        }
        Ok(())
    }
}

/// Which values a rule is for: one pattern for a scope of one dimension, or a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Match {
    One(String),
    Each(std::collections::BTreeMap<Dimension, String>),
}

impl Default for Match {
    fn default() -> Self {
        Self::One("*".to_owned())
    }
}

impl Match {
    fn of(&self, dimension: Dimension, scope: &[Dimension]) -> Result<String, String> {
        match self {
            Self::One(pattern) if pattern == "*" || scope.len() == 1 => Ok(pattern.clone()),
            Self::One(pattern) => Err(format!(
                "match = {pattern:?} does not say which of the scope it is for; write match = {{ {} = {pattern:?} }}",
                dimension.as_str()
            )),
            Self::Each(of) => Ok(of.get(&dimension).cloned().unwrap_or_else(|| "*".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject {
            org: Arc::from("acme"),
            user: Some(Arc::from("ann")),
            provider: Some(Arc::from("openai")),
            model: Some(Arc::from("gpt-5")),
            address: Some("2001:db8:1:2:3:4:5:6".parse().unwrap()),
            ..Subject::default()
        }
    }

    fn values(scope: &[Dimension], patterns: &str) -> Option<Vec<String>> {
        let patterns = serde_json::from_str(patterns).unwrap();
        let values = Scope::new(scope, &patterns).unwrap().values(&subject())?;
        Some(values.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_rule_counts_the_values_of_its_scope_apart() {
        use Dimension::{Address, Model, Org, Thread, User};
        assert_eq!(values(&[Org], r#""*""#), Some(vec![]));
        assert_eq!(values(&[Org], r#""other""#), None);
        assert_eq!(
            values(&[Model, User], r#"{"model":"openai/*"}"#),
            Some(vec!["ann".to_owned(), "gpt-5".to_owned()])
        );
        assert_eq!(values(&[Model], r#""gpt-*""#), Some(vec!["gpt-5".to_owned()]));
        assert_eq!(values(&[Model], r#""groq/*""#), None);
        assert_eq!(values(&[Thread], r#""*""#), None, "it has no thread");
        assert_eq!(values(&[Address], r#""*""#), Some(vec!["2001:db8:1:2::/64".to_owned()]));
    }

    #[test]
    fn an_address_in_either_version_is_the_same() {
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), network("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        use Dimension::{Key, User};
        let bad = |scope: &[Dimension], patterns: &str| {
            Scope::new(scope, &serde_json::from_str(patterns).unwrap()).unwrap_err()
        };
        assert!(bad(&[], r#""*""#).contains("empty"));
        assert!(bad(&[Key, Key], r#""*""#).contains("twice"));
        assert!(bad(&[Key, User], r#""x""#).contains("match = { key = \"x\" }"));
        assert!(bad(&[Key], r#"{"user":"x"}"#).contains("not in the scope"));
    }
}
