//! Where a secret comes from: the environment, a mounted file, the store, or the configuration itself.

use std::fmt;
use std::path::PathBuf;

/// A reference to a secret. `Debug` never shows one.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Env(String),
    File(PathBuf),
    /// In the store, encrypted, under this name. What a provider is asked with; nothing else comes from there.
    Store(String),
    Literal(String),
}

/// The master keys of the store's secrets, as the configuration names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    master_key: Secret,
    previous: Vec<Secret>,
}

/// Where the master key is if the configuration names none. It may be missing there, and then there is none.
const MASTER_KEY: &str = "TOLLGATE_MASTER_KEY";

impl Secret {
    /// `env:NAME`, `file:/path`, `store:NAME`, or the secret itself.
    pub(super) fn parse(text: &str) -> Self {
        if let Some(name) = text.strip_prefix("env:") {
            Self::Env(name.to_owned())
        } else if let Some(path) = text.strip_prefix("file:") {
            Self::File(PathBuf::from(path))
        } else if let Some(name) = text.strip_prefix("store:") {
            Self::Store(name.to_owned())
        } else {
            Self::Literal(text.to_owned())
        }
    }

    /// The secret as it is now, or why there is none: one that a header can carry. White space around it is not part
    /// of it.
    pub fn resolve(&self) -> Result<String, String> {
        let value = self.text()?;
        if !value.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("the key has characters that no header can carry".to_owned());
        }
        Ok(value)
    }

    /// The same of any text, which may have several lines.
    pub(super) fn text(&self) -> Result<String, String> {
        let value = match self {
            Self::Env(name) => std::env::var(name).map_err(|_| format!("{name} is not set"))?,
            Self::File(path) => std::fs::read_to_string(path)
                .map_err(|e| format!("{} cannot be read: {e}", path.display()))?,
            Self::Store(name) => {
                return Err(format!("store:{name} can be given as a provider's api_key only"));
            }
            Self::Literal(value) => value.clone(),
        };
        let value = value.trim();
        if value.is_empty() {
            return Err(match self {
                Self::Env(name) => format!("{name} is empty"),
                Self::File(path) => format!("{} is empty", path.display()),
                Self::Store(_) | Self::Literal(_) => "the key is empty".to_owned(),
            });
        }
        Ok(value.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Store(name) => write!(f, "store:{name}"),
            Self::Literal(_) => f.write_str("(literal)"),
        }
    }
}

impl Secrets {
    pub(crate) fn new(master_key: Option<&str>, previous: &[String]) -> Result<Self, String> {
        // A master key in the configuration would lie beside what it protects.
        let outside = |at: &str, text: &str| match Secret::parse(text) {
            secret @ (Secret::Env(_) | Secret::File(_)) => Ok(secret),
            _ => Err(format!("secrets.{at}: a master key is given as \"env:NAME\" or \"file:/path\"")),
        };
        let default = || Ok(Secret::Env(MASTER_KEY.to_owned()));
        Ok(Self {
            master_key: master_key.map_or_else(default, |text| outside("master_key", text))?,
            previous: previous
                .iter()
                .map(|text| outside("previous_master_keys", text))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The current master key, if there is one, and the previous ones, as they are now.
    pub fn read(&self) -> Result<(Option<String>, Vec<String>), String> {
        let cannot = |at: &str, why: &str| format!("secrets.{at} cannot be read: {why}");
        let current = match &self.master_key {
            Secret::Env(name) if name == MASTER_KEY && std::env::var_os(name).is_none() => None,
            secret => Some(secret.resolve().map_err(|why| cannot("master_key", &why))?),
        };
        let previous = self
            .previous
            .iter()
            .map(|secret| secret.resolve().map_err(|why| cannot("previous_master_keys", &why)));
        Ok((current, previous.collect::<Result<_, _>>()?))
    }
}
