//! `tollgate token`: tokens for development, as a configured issuer would make them.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Subcommand;
use tollgate_filters::authenticate::Role;
use tollgate_filters::authenticate::jwt::{IssuerConf, Order, mint};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a token, signed with the issuer's secret or a private key
    Mint(Mint),
}

#[derive(Debug, clap::Args)]
pub(super) struct Mint {
    /// The issuer: NAME of `[auth.jwt.NAME]`; may be left out where there is one
    #[arg(long)]
    issuer: Option<String>,
    #[arg(long)]
    org: Option<String>,
    #[arg(long)]
    user: Option<String>,
    /// `admin`, `member` or `read_only`
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// Patterns of models, such as openai/*
    #[arg(long, value_delimiter = ',', num_args = 1..)]
    models: Vec<String>,
    #[arg(long, value_delimiter = ',', num_args = 1..)]
    providers: Vec<String>,
    #[arg(long, value_delimiter = ',', num_args = 1..)]
    operations: Vec<String>,
    #[arg(long, value_delimiter = ',', num_args = 1..)]
    bridges: Vec<String>,
    /// How long it is good for
    #[arg(long, value_parser = humantime::parse_duration, default_value = "1h")]
    expires: Duration,
    /// The key's id in the token's header, for an issuer that publishes its keys
    #[arg(long)]
    kid: Option<String>,
    /// Another claim: a JSON pointer and a value, which is JSON or else a text
    #[arg(long = "claim", value_name = "/PATH=VALUE", value_parser = claim)]
    claims: Vec<(String, serde_json::Value)>,
    /// What signs for an issuer without a secret: a private key in PEM (PKCS#8)
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,
}

/// Runs the command for the issuers of the configuration, whose secrets are resolved.
pub(super) fn run(issuers: &BTreeMap<String, IssuerConf>, command: Command) -> Result<(), String> {
    let Command::Mint(args) = command;
    let token = args.mint(issuers)?;
    let _ = writeln!(io::stdout(), "{token}");
    Ok(())
}

impl Mint {
    fn mint(self, issuers: &BTreeMap<String, IssuerConf>) -> Result<String, String> {
        let (name, conf) = pick(issuers, self.issuer.as_deref())?;
        let pem = match &self.private_key {
            Some(file) => Some(
                std::fs::read_to_string(file)
                    .map_err(|e| format!("{} cannot be read: {e}", file.display()))?,
            ),
            None => None,
        };
        let order = Order {
            org: self.org,
            user: self.user,
            role: self.role,
            models: self.models,
            providers: self.providers,
            operations: self.operations,
            bridges: self.bridges,
            expires: self.expires,
            kid: self.kid,
            claims: self.claims,
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|e| e.to_string())?;
        mint(name, conf, pem.as_deref(), &order, now.as_secs())
    }
}

fn pick<'a>(
    issuers: &'a BTreeMap<String, IssuerConf>,
    name: Option<&str>,
) -> Result<(&'a str, &'a IssuerConf), String> {
    let names = || issuers.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let found = match name {
        Some(name) => issuers.get_key_value(name),
        None if issuers.len() == 1 => issuers.first_key_value(),
        None => None,
    };
    found.map(|(name, conf)| (name.as_str(), conf)).ok_or_else(|| match (issuers.is_empty(), name) {
        (true, _) => "no issuer is configured: write a table [auth.jwt.NAME]".to_owned(),
        (false, Some(name)) => format!("there is no issuer {name:?}; there is: {}", names()),
        (false, None) => format!("--issuer NAME, one of: {}", names()),
    })
}

fn role(name: &str) -> Result<Role, String> {
    Role::named(name).ok_or_else(|| "a role is admin, member or read_only".to_owned())
}

fn claim(text: &str) -> Result<(String, serde_json::Value), String> {
    let (pointer, value) = text.split_once('=').ok_or("write it as /path=value")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((pointer.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;
    use tollgate_filters::authenticate::jwt::Issuers;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    fn minted(issuers: &BTreeMap<String, IssuerConf>, args: &[&str]) -> Result<String, String> {
        let args = ["tollgate", "mint"].iter().chain(args);
        let Command::Mint(mint) = Cli::try_parse_from(args).map_err(|e| e.to_string())?.command;
        mint.mint(issuers)
    }

    fn configured(tables: serde_json::Value) -> BTreeMap<String, IssuerConf> {
        serde_json::from_value(tables).unwrap()
    }

    #[test]
    fn a_minted_token_says_what_was_asked_for() {
        let issuers = configured(json!({ "main": { "secret": "s".repeat(32),
            "claims": { "org": "/org/id", "roles": "/roles", "models": "/m" } } }));
        let args =
            ["--org", "acme", "--user", "ann", "--role", "admin", "--models", "a/*,b", "--expires", "5m"];
        let more = ["--claim", "/team/size=3", "--claim", "/team/name=red"];
        let token = minted(&issuers, &[&args[..], &more[..]].concat()).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let identity = Issuers::new(&issuers).unwrap().verify(&token, now).unwrap();
        assert_eq!(
            (&*identity.org, identity.user.as_deref(), identity.role),
            ("acme", Some("ann"), Role::Admin)
        );
        assert_eq!(identity.models.as_deref(), Some(&["a/*".to_owned(), "b".to_owned()][..]));
        assert!((now + 295..=now + 301).contains(&identity.expires));
        assert_eq!(claim("/team/size=3"), Ok(("/team/size".to_owned(), json!(3))));
        assert_eq!(claim("/team/name=a=b"), Ok(("/team/name".to_owned(), json!("a=b"))));
    }

    #[test]
    fn what_is_missing_is_said() {
        let table = json!({ "secret": "s".repeat(32), "org": "acme" });
        let two = configured(json!({ "a": table, "b": table }));
        assert!(minted(&two, &[]).unwrap_err().contains("a, b"));
        assert!(minted(&two, &["--issuer", "c"]).unwrap_err().contains("a, b"));
        assert!(minted(&two, &["--issuer", "a", "--models", "x"]).unwrap_err().contains("claims.models"));
        assert!(minted(&two, &["--issuer", "a", "--role", "root"]).is_err());
        assert!(
            minted(&two, &["--issuer", "a", "--private-key", "/nowhere"]).unwrap_err().contains("/nowhere")
        );
        assert!(minted(&BTreeMap::new(), &[]).unwrap_err().contains("[auth.jwt.NAME]"));
    }
}
