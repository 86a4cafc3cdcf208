//! Why a secret is not to be had, in words for the operator. They name it, and never hold its value.

/// What is wrong with one secret, or with all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error(
        "there is no secret {name:?} in the store; `tollgate secrets set {name}` puts one there, `tollgate secrets list` shows what is there"
    )]
    Missing { name: String },
    #[error(
        "the secret {name:?} needs a master key, and none is given: set TOLLGATE_MASTER_KEY, or secrets.master_key to \"file:/path\""
    )]
    NoMasterKey { name: String },
    #[error(
        "the secret {name:?} is encrypted with the master key {key_id}, which is not given (given: {given}); add it to secrets.previous_master_keys, or set the secret again"
    )]
    UnknownMasterKey { name: String, key_id: String, given: String },
    #[error(
        "the secret {name:?} does not decrypt: its {part} in secrets.db was damaged or changed; set the secret again"
    )]
    Tampered { name: String, part: &'static str },
    #[error(
        "the secret {name:?} does not decrypt: its row in secrets.db holds what was encrypted for the secret {of:?}; set the secret again"
    )]
    Swapped { name: String, of: String },
    #[error(
        "the secret {name:?} was written in form {version}, which this version does not know; use the version that wrote it"
    )]
    Version { name: String, version: i64 },
    #[error("a secret's name has 1 to 128 letters, digits, and `-`, `_`, `.` or `/`; {0:?} has others")]
    Name(String),
    #[error("the secret {name:?} was not set: {why}")]
    Value { name: String, why: &'static str },
    #[error("nothing was rotated, because {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; and "))]
    NotRotated(Vec<SecretError>),
    #[error(
        "there is no master key to rotate to: set TOLLGATE_MASTER_KEY, or secrets.master_key to \"file:/path\""
    )]
    NothingToRotateTo,
}
