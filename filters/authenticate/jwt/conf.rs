//! An issuer as the configuration writes it: `[auth.jwt.NAME]`.

use std::collections::BTreeMap;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde::{Deserialize, Deserializer};

use crate::authenticate::{Credential, Role};

/// One table `[auth.jwt.NAME]`. `secret` and `public_key` hold the key itself, wherever it was written.
///
/// The key comes from exactly one of `secret`, `public_key`, `jwks_url`, or `issuer` alone (OIDC discovery).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IssuerConf {
    /// What tokens are signed with by HMAC.
    #[serde(deserialize_with = "credential")]
    pub secret: Option<Credential>,
    /// A public key in PEM.
    pub public_key: Option<String>,
    /// Where the issuer publishes its keys.
    pub jwks_url: Option<String>,
    /// What `iss` has to be.
    pub issuer: Option<String>,
    /// One of these `aud` has to name; empty for any.
    pub audience: OneOrMany,
    /// What may sign; otherwise whatever fits the key.
    pub algorithms: Option<Vec<Algorithm>>,
    /// How far the issuer's clock may be off; 30 s.
    #[serde(deserialize_with = "span")]
    pub leeway: Option<Duration>,
    /// The organisation of every token; otherwise `claims.org` says.
    pub org: Option<String>,
    /// The organisations that the issuer may speak for, such as `acme-*`; empty for any.
    pub orgs: Vec<String>,
    /// The role of a token that names no role known here.
    pub role: Role,
    /// Roles by the names that the issuer has for them. Without any, by their own.
    pub roles: BTreeMap<String, Role>,
    /// How often published keys are looked at; 10 min.
    #[serde(deserialize_with = "span")]
    pub refresh: Option<Duration>,
    /// How long there is at least between two looks, whatever key ids tokens name; 10 s.
    #[serde(deserialize_with = "span")]
    pub refresh_floor: Option<Duration>,
    /// Keys may come without TLS from elsewhere than this machine.
    pub allow_http: bool,
    pub claims: ClaimsConf,
}

/// Where in a token's claims things stand, as JSON pointers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimsConf {
    pub org: Option<String>,
    /// Written here, it has to be in every token; otherwise it is `/sub`, where there is one.
    pub user: Option<String>,
    pub roles: Option<String>,
    pub models: Option<String>,
    pub providers: Option<String>,
    pub operations: Option<String>,
    pub bridges: Option<String>,
}

impl ClaimsConf {
    /// Each with its name.
    pub(super) fn pointers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("org", &self.org),
            ("user", &self.user),
            ("roles", &self.roles),
            ("models", &self.models),
            ("providers", &self.providers),
            ("operations", &self.operations),
            ("bridges", &self.bridges),
        ]
        .into_iter()
        .filter_map(|(name, pointer)| Some((name, pointer.as_deref()?)))
    }
}

/// `"a"` or `["a", "b"]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a text or a list of texts")]
        enum Either {
            One(String),
            Many(Vec<String>),
        }
        Ok(Self(match Either::deserialize(deserializer)? {
            Either::One(one) => vec![one],
            Either::Many(many) => many,
        }))
    }
}

fn credential<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Credential>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Credential::new))
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let wrong = |_| serde::de::Error::custom(format!("{text:?} is no time; write it as \"30s\" or \"5m\""));
    humantime::parse_duration(&text).map(Some).map_err(wrong)
}
