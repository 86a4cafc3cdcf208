//! Why a token is not good, in words for whoever sent it: what to change, and nothing of the token.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Kind};

/// An issuer whose keys do not have the one that a token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// Its place in [`super::Issuers`].
    pub issuer: usize,
    /// The set that was looked through.
    pub generation: u64,
    /// No set of the issuer's has been seen yet.
    pub unknown: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    TooLong,
    Malformed(&'static str),
    Encrypted,
    /// The header asks for extensions (`crit`).
    Critical,
    KeyId,
    /// An algorithm that nobody uses here: `none`, or an unknown one.
    Algorithm,
    /// An algorithm that this issuer's keys do not serve.
    AlgorithmNotAllowed {
        issuer: Arc<str>,
    },
    /// No issuer is configured for the token.
    UnknownIssuer,
    /// None of these issuers has the key. Looking again at what they publish may help.
    UnknownKey(Vec<Lacking>),
    /// No key id, and more keys than are tried.
    NoKeyId {
        issuer: Arc<str>,
    },
    Signature,
    Expired,
    /// `nbf` or `iat` lies ahead.
    NotYetValid(&'static str),
    Audience {
        issuer: Arc<str>,
    },
    /// A claim that has to be there, by its pointer.
    MissingClaim {
        issuer: Arc<str>,
        pointer: Arc<str>,
    },
    BadClaim {
        issuer: Arc<str>,
        pointer: Arc<str>,
        why: &'static str,
    },
    /// The issuer may not speak for the token's organisation.
    Org {
        issuer: Arc<str>,
    },
}

impl Refused {
    /// A stable word for programs, logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Malformed(_) | Self::Encrypted | Self::Critical | Self::KeyId => "token_malformed",
            Self::Algorithm | Self::AlgorithmNotAllowed { .. } => "token_algorithm",
            Self::UnknownIssuer => "token_issuer",
            Self::UnknownKey(lacking) if lacking.iter().all(|lacking| lacking.unknown) => {
                "token_keys_missing"
            }
            Self::UnknownKey(_) | Self::NoKeyId { .. } => "token_key",
            Self::Signature => "token_signature",
            Self::Expired => "token_expired",
            Self::NotYetValid(_) => "token_not_yet_valid",
            Self::Audience { .. } => "token_audience",
            Self::MissingClaim { .. } | Self::BadClaim { .. } => "token_claim",
            Self::Org { .. } => "token_org",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "The token is longer than {} bytes.", super::MAX_TOKEN),
            Self::Malformed(why) => write!(f, "The token cannot be read: {why}."),
            Self::Encrypted => f.write_str("The token is encrypted. Send a signed one (JWS)."),
            Self::Critical => {
                f.write_str("The token's header asks for extensions (`crit`) that are not known here.")
            }
            Self::KeyId => f.write_str("The token's `kid` is no text of at most 256 bytes."),
            Self::Algorithm => f.write_str("The token is not signed by an algorithm that is taken here."),
            Self::AlgorithmNotAllowed { issuer } => {
                write!(f, "The token is signed by an algorithm that the issuer `{issuer}` does not use.")
            }
            Self::UnknownIssuer => f.write_str("The token's `iss` is no issuer that is known here."),
            Self::UnknownKey(lacking) if lacking.iter().all(|lacking| lacking.unknown) => {
                f.write_str("The keys of the token's issuer could not be had yet. Try again.")
            }
            Self::UnknownKey(_) => {
                f.write_str("The token is signed with a key that its issuer does not publish.")
            }
            Self::NoKeyId { issuer } => {
                write!(f, "The token names no key (`kid`), and the issuer `{issuer}` has several.")
            }
            Self::Signature => f.write_str("The token's signature is not valid."),
            Self::Expired => f.write_str("The token has expired. Get a new one."),
            Self::NotYetValid(claim) => write!(f, "The token is not valid yet: its `{claim}` lies ahead."),
            Self::Audience { issuer } => {
                write!(
                    f,
                    "The token's `aud` is not the audience that the issuer `{issuer}` is configured with."
                )
            }
            Self::MissingClaim { issuer, pointer } => {
                write!(
                    f,
                    "The token has no claim at `{pointer}`, which the issuer `{issuer}` is configured with."
                )
            }
            Self::BadClaim { issuer, pointer, why } => {
                write!(f, "The token's claim at `{pointer}` {why} (issuer `{issuer}`).")
            }
            Self::Org { issuer } => {
                write!(f, "The issuer `{issuer}` may not speak for the token's organisation.")
            }
        }
    }
}

impl std::error::Error for Refused {}

impl From<&Refused> for Error {
    fn from(refused: &Refused) -> Self {
        let kind = match refused.code() {
            "token_keys_missing" => Kind::Unavailable,
            _ => Kind::Unauthenticated,
        };
        Self::new(kind, refused.to_string()).code(refused.code())
    }
}
