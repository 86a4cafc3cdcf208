//! `tollgate keys`: make, list and revoke gateway keys.

use std::io::{self, Write as _};
use std::time::{Duration, UNIX_EPOCH};

use clap::Subcommand;
use tollgate_filters::authorize::{Grant, Network};
use tollgate_filters::exchange::{DEFAULT_ORG, Operation, Role};

use super::{Common, block_on, table};
use crate::store::{KEY_POLL, KeyInfo, KeyStore, NewKey};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key. It is printed this once
    Create {
        /// What the key is called
        #[arg(long)]
        name: String,
        /// The organisation whose usage it is
        #[arg(long, default_value = DEFAULT_ORG)]
        org: String,
        /// The user it belongs to
        #[arg(long)]
        user: Option<String>,
        /// How long it is good for, such as 30d; without it, until it is revoked
        #[arg(long, value_parser = humantime::parse_duration)]
        expires: Option<Duration>,
        /// Patterns of the models it may use, such as openai/*; without any, all
        #[arg(long, value_delimiter = ',', num_args = 1..)]
        models: Vec<String>,
        /// What kind of caller it is: `admin`, `member` or `read_only`
        #[arg(long, default_value = "member", value_parser = named::<Role>)]
        role: Role,
        /// Patterns of the providers it may use; without any, all
        #[arg(long, value_delimiter = ',', num_args = 1..)]
        providers: Vec<String>,
        /// The operations it may ask for, such as chat,embeddings; without any, all
        #[arg(long, value_delimiter = ',', num_args = 1.., value_parser = named::<Operation>)]
        operations: Vec<Operation>,
        /// The networks it may be used from, such as 10.0.0.0/8; without any, all
        #[arg(long, value_delimiter = ',', num_args = 1..)]
        networks: Vec<Network>,
        /// Patterns of the bridges it may use; without any, all
        #[arg(long, value_delimiter = ',', num_args = 1..)]
        bridges: Vec<String>,
        /// Refuse what a translation between dialects would lose something of
        #[arg(long)]
        strict: bool,
    },
    /// List keys, without the keys themselves
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key, by its name or the prefix that `list` shows
    Revoke { which: String },
}

pub(super) fn run(common: &Common, command: Command) -> Result<(), String> {
    let data = common.conf()?.server.data;
    let mut out = io::stdout();
    match command {
        Command::Create {
            name,
            org,
            user,
            expires,
            models,
            role,
            providers,
            operations,
            networks,
            bridges,
            strict,
        } => {
            if name.trim().is_empty() || org.trim().is_empty() {
                return Err("a key needs a name and an organisation that are not empty".to_owned());
            }
            let grant = Grant { models, providers, operations, networks, bridges, expires: None };
            let new = NewKey { name, org, user, expires, role, grant, strict };
            let key = block_on(async { KeyStore::open(&data).await?.create(&new).await })?;
            // A running gateway has seen it when this command is over.
            std::thread::sleep(KEY_POLL * 2);
            let _ = writeln!(out, "{key}");
        }
        Command::List { json } => {
            let keys = block_on(async { KeyStore::open(&data).await?.list().await })?;
            let _ = out.write_all(if json { json_lines(&keys) } else { listing(&keys) }.as_bytes());
        }
        Command::Revoke { which } => {
            let revoked = block_on(async { KeyStore::open(&data).await?.revoke(&which).await })?;
            if revoked.is_empty() {
                return Err(format!("there is no live key with the name or prefix {which:?}"));
            }
            // A running gateway refuses it when this command is over.
            std::thread::sleep(KEY_POLL * 2);
            for key in revoked {
                let _ = writeln!(out, "revoked {} ({}…)", key.name, key.prefix);
            }
        }
    }
    Ok(())
}

/// A value of a closed world by the name that it has in the configuration.
fn named<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(name.into()).map_err(|e| e.to_string())
}

fn json_lines(keys: &[KeyInfo]) -> String {
    keys.iter().filter_map(|key| serde_json::to_string(key).ok()).map(|line| line + "\n").collect()
}

fn listing(keys: &[KeyInfo]) -> String {
    let time = |seconds: u64| {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
    };
    let row = |key: &KeyInfo| {
        vec![
            key.name.clone(),
            format!("{}…", key.prefix),
            key.state().to_owned(),
            key.org.clone(),
            key.user.clone().unwrap_or_else(|| "-".to_owned()),
            key.role.as_str().to_owned(),
            if key.grant.models.is_empty() { "all".to_owned() } else { key.grant.models.join(",") },
            time(key.created),
            key.expires.map_or_else(|| "never".to_owned(), time),
        ]
    };
    let rows: Vec<_> = keys.iter().map(row).collect();
    table(&["NAME", "KEY", "STATE", "ORG", "USER", "ROLE", "MODELS", "CREATED", "EXPIRES"], &rows)
}
