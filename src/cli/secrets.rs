//! `tollgate secrets`: provider keys in the store, encrypted. Values go in and do not come out.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use clap::Subcommand;
use zeroize::Zeroizing;

use super::{Common, block_on, table};
use crate::store::{MasterKeys, SECRET_POLL, SecretInfo, SecretStore, new_master_key};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Store a secret, or replace it. The value comes from standard input
    Set {
        /// What it is called: `api_key = "store:NAME"` refers to it
        name: String,
        /// Take the value from this environment variable
        #[arg(long, value_name = "VAR", conflicts_with = "from_file")]
        from_env: Option<String>,
        /// Take the value from this file
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
    },
    /// List secrets, without their values
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Remove a secret
    Remove { name: String },
    /// Wrap all secrets with the current master key; earlier ones are given as `previous_master_keys`
    Rotate,
    /// Print a fresh master key
    Keygen,
}

pub(super) fn run(common: &Common, command: Command) -> Result<(), String> {
    let mut out = io::stdout();
    if matches!(command, Command::Keygen) {
        let key = new_master_key().map_err(|e| e.to_string())?;
        return writeln!(out, "{}", key.as_str()).map_err(|e| format!("the key cannot be written: {e}"));
    }
    let conf = common.conf()?;
    let data = conf.server.data;
    // A list needs no master key, and is what shows which one is missing: so an unreadable one is no reason to fail.
    let keys = || -> Result<MasterKeys, String> {
        let (current, previous) = conf.secrets.read()?;
        MasterKeys::parse(current.as_deref(), &previous).map_err(|e| e.to_string())
    };
    match command {
        Command::Set { name, from_env, from_file } => {
            let keys = keys()?;
            let value = value(from_env.as_deref(), from_file.as_deref())?;
            // What cannot be read back shows now, and not when a gateway needs it.
            block_on(async {
                let mut store = SecretStore::open(&data, keys).await?;
                store.set(&name, value.trim()).await?;
                store.get(&name).await
            })?;
            settle();
        }
        Command::List { json } => {
            let keys = keys().unwrap_or_else(|why| {
                let _ = writeln!(io::stderr(), "tollgate: note: {why}");
                MasterKeys::default()
            });
            let (secrets, keys) = block_on(async {
                let mut store = SecretStore::open(&data, keys).await?;
                Ok((store.list().await?, store.into_keys()))
            })?;
            let text = if json { json_lines(&secrets) } else { listing(&secrets, &keys) };
            let _ = out.write_all(text.as_bytes());
        }
        Command::Remove { name } => {
            let removed = block_on(async {
                SecretStore::open(&data, MasterKeys::default()).await?.remove(&name).await
            })?;
            if !removed {
                return Err(format!("there is no secret {name:?}"));
            }
            settle();
            let _ = writeln!(out, "removed {name}");
        }
        Command::Rotate => {
            let keys = keys()?;
            let id = keys.current().map(|key| key.id().to_owned()).unwrap_or_default();
            let count = block_on(async { SecretStore::open(&data, keys).await?.rotate().await })?;
            let noun = if count == 1 { "secret" } else { "secrets" };
            let _ = writeln!(out, "{count} {noun} wrapped again; all are under the master key {id} now");
        }
        Command::Keygen => {}
    }
    Ok(())
}

/// The value of a secret. It is no argument, because every process of the machine can read arguments.
fn value(variable: Option<&str>, file: Option<&Path>) -> Result<Zeroizing<String>, String> {
    let mut value = Zeroizing::new(String::new());
    match (variable, file) {
        (Some(name), _) => {
            *value = std::env::var(name).map_err(|_| format!("{name} is not set, or is no text"))?;
        }
        (None, Some(file)) => {
            *value = std::fs::read_to_string(file)
                .map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
        }
        (None, None) => {
            let mut input = io::stdin();
            if input.is_terminal() {
                let _ =
                    writeln!(io::stderr(), "Type the value, then Enter and Ctrl-D. It is shown as you type.");
            }
            input.read_to_string(&mut value).map_err(|e| format!("standard input cannot be read: {e}"))?;
        }
    }
    Ok(value)
}

/// Waits until a running gateway has seen the change.
fn settle() {
    std::thread::sleep(SECRET_POLL * 2);
}

fn json_lines(secrets: &[SecretInfo]) -> String {
    secrets.iter().filter_map(|secret| serde_json::to_string(secret).ok()).map(|line| line + "\n").collect()
}

fn listing(secrets: &[SecretInfo], keys: &MasterKeys) -> String {
    let time = |seconds: u64| {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
    };
    let row = |secret: &SecretInfo| {
        vec![
            secret.name.clone(),
            secret.key_id.clone(),
            keys.standing(&secret.key_id).to_owned(),
            time(secret.created),
            time(secret.updated),
        ]
    };
    let rows: Vec<_> = secrets.iter().map(row).collect();
    table(&["NAME", "MASTER KEY", "STATE", "CREATED", "UPDATED"], &rows)
}
