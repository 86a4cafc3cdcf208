//! Where a secret comes from: the environment, a mounted file, or the configuration itself.

use std::fmt;
use std::path::PathBuf;

/// A reference to a secret. `Debug` never shows one.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Env(String),
    File(PathBuf),
    Literal(String),
}

impl Secret {
    /// `env:NAME`, `file:/path`, or the secret itself.
    pub(super) fn parse(text: &str) -> Self {
        if let Some(name) = text.strip_prefix("env:") {
            Self::Env(name.to_owned())
        } else if let Some(path) = text.strip_prefix("file:") {
            Self::File(PathBuf::from(path))
        } else {
            Self::Literal(text.to_owned())
        }
    }

    /// The secret as it is now, or why there is none. White space around it is not part of it.
    pub fn resolve(&self) -> Result<String, String> {
        let value = match self {
            Self::Env(name) => std::env::var(name).map_err(|_| format!("{name} is not set"))?,
            Self::File(path) => std::fs::read_to_string(path)
                .map_err(|e| format!("{} cannot be read: {e}", path.display()))?,
            Self::Literal(value) => value.clone(),
        };
        let value = value.trim();
        if value.is_empty() {
            return Err(match self {
                Self::Env(name) => format!("{name} is empty"),
                Self::File(path) => format!("{} is empty", path.display()),
                Self::Literal(_) => "the key is empty".to_owned(),
            });
        }
        if !value.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("the key has characters that no header can carry".to_owned());
        }
        Ok(value.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Literal(_) => f.write_str("(literal)"),
        }
    }
}
