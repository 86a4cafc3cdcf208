//! The command line: serving, checking, keys, secrets, usage.

mod banner;
mod keys;
mod secrets;
mod token;
mod usage;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::conf::Conf;
use crate::gateway::Gateway;
use crate::{server, telemetry};

#[derive(Debug, Parser)]
#[command(
    name = "tollgate",
    version,
    about = "An AI gateway: one base URL in front of every model provider, every token counted."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    /// Without a command, the gateway serves.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// The configuration file; without one, the embedded defaults and the environment count
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen, instead of the configuration's `server.listen`
    #[arg(long, global = true, value_name = "ADDR")]
    listen: Vec<String>,
    /// Where health and metrics listen, instead of `server.admin`; empty for nowhere
    #[arg(long, global = true, value_name = "ADDR")]
    admin: Option<String>,
    /// The folder for keys and usage, instead of the configuration's `server.data`
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default)
    Serve,
    /// Check configuration files, and say what they come to
    Check { files: Vec<PathBuf> },
    /// Make, list and revoke gateway keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// Keep provider keys in the store, encrypted
    #[command(subcommand)]
    Secrets(secrets::Command),
    /// Make tokens for development
    #[command(subcommand)]
    Token(token::Command),
    /// Report usage
    Usage(usage::Args),
}

impl Common {
    fn conf(&self) -> Result<Conf, String> {
        let mut conf = Conf::load(self.config.as_deref()).map_err(|e| e.to_string())?;
        if !self.listen.is_empty() {
            conf.server.listen.clone_from(&self.listen);
        }
        if let Some(admin) = &self.admin {
            conf.server.admin = Some(admin.clone()).filter(|a| !a.is_empty());
        }
        if let Some(data) = &self.data {
            conf.server.data.clone_from(data);
        }
        Ok(conf)
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None | Some(Command::Serve) => serve(&cli.common),
        Some(Command::Check { files }) => check(&cli.common, &files),
        Some(Command::Keys(command)) => keys::run(&cli.common, command),
        Some(Command::Secrets(command)) => secrets::run(&cli.common, command),
        Some(Command::Token(command)) => cli.common.conf().and_then(|conf| token::run(&conf.jwt, command)),
        Some(Command::Usage(args)) => usage::run(&cli.common, &args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "tollgate: {message}");
            ExitCode::FAILURE
        }
    }
}

fn serve(common: &Common) -> Result<(), String> {
    let log = telemetry::init_logging();
    let conf = common.conf()?;
    let banner = banner::Banner::new(&conf);
    let gateway = Gateway::new(conf).map_err(|e| e.to_string())?;
    server::run(&gateway, log, &banner.text(gateway.is_open())).map_err(|e| e.to_string())
}

fn check(common: &Common, files: &[PathBuf]) -> Result<(), String> {
    let mut out = io::stdout();
    let files: Vec<Option<&Path>> = match files {
        [] => vec![common.config.as_deref()],
        files => files.iter().map(|file| Some(file.as_path())).collect(),
    };
    for file in files {
        let name = file.map_or_else(|| "embedded defaults".to_owned(), |f| f.display().to_string());
        if file.and_then(Path::file_name).is_some_and(|name| name == "prices.toml") {
            file.map_or(Ok(()), Conf::check_prices).map_err(|e| e.to_string())?;
            let _ = writeln!(out, "{name}: ok (a price list)");
            continue;
        }
        if file.and_then(Path::file_name).is_some_and(|name| name == "models.toml") {
            file.map_or(Ok(()), Conf::check_models).map_err(|e| e.to_string())?;
            let _ = writeln!(out, "{name}: ok (what is known of models)");
            continue;
        }
        let conf = Conf::load(file).map_err(|e| e.to_string())?;
        for provider in &conf.providers {
            if !provider.base_url.is_empty() {
                crate::provider::Provider::new(provider, &Arc::default())
                    .map_err(|e| format!("{name}: {e}"))?;
            }
        }
        let _ = writeln!(out, "{name}: ok");
        let _ = out.write_all(banner::Banner::new(&conf).providers().as_bytes());
        for note in &conf.notes {
            let _ = writeln!(out, "  note {note}");
        }
        for missing in &conf.missing {
            let _ = writeln!(out, "  note {missing}");
        }
    }
    Ok(())
}

/// A runtime for commands that talk to a store.
fn block_on<T>(future: impl Future<Output = Result<T, crate::store::StoreError>>) -> Result<T, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(future).map_err(|e| e.to_string())
}

/// Writes a table: columns as wide as their widest cell, numbers to the right.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .chain([head[column].len()])
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-') && !text.is_empty();
    let mut out = String::new();
    let heads = head.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>();
    for row in std::iter::once(&heads).chain(rows) {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(i, cell)| {
                let numeric = rows.first().is_some_and(|first| number(&first[i]));
                if numeric {
                    format!("{cell:>w$}", w = widths[i])
                } else {
                    format!("{cell:<w$}", w = widths[i])
                }
            })
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}
