//! The processes under measurement: found, configured, started, waited for and always ended.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::dialect::{DIALECTS, Dialect};
use crate::load::Pool;
use crate::shape::{API_KEY, Kind, MODEL, Script};
use crate::wire::Connection;

/// A started process; it ends when this is dropped.
#[derive(Debug)]
pub struct Process {
    pub name: &'static str,
    pub address: SocketAddr,
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn mock(gap: Duration) -> Result<Self> {
        let [address] = free_addresses()?;
        let mut command = Command::new(beside_this("mock")?);
        command.arg(address.to_string()).arg("--gap-us").arg(gap.as_micros().to_string());
        Self::start("mock", command.stdout(Stdio::null()), address)
    }

    pub fn floor(name: &'static str, upstream: SocketAddr, threads: usize) -> Result<Self> {
        let [address] = free_addresses()?;
        let mut command = Command::new(beside_this("floor")?);
        command.args([address.to_string(), upstream.to_string(), threads.to_string()]);
        Self::start(name, command.stdout(Stdio::null()), address)
    }

    /// Starts Tollgate with authentication, tap, ledger and access log as its defaults have them.
    pub fn tollgate(
        binary: Option<&Path>,
        folder: &Path,
        log: Option<&Path>,
        upstream: SocketAddr,
        threads: usize,
        (server, conf): (&str, &str),
    ) -> Result<Self> {
        let binary = binary.map_or_else(|| beside_this("tollgate"), |path| Ok(path.to_owned()))?;
        let [address, admin] = free_addresses()?;
        let data = folder.join(format!("data-{}", address.port()));
        fs::create_dir_all(&data)?;
        let data = data.display();
        let file = folder.join(format!("tollgate-{}.toml", address.port()));
        fs::write(
            &file,
            format!(
                "[server]\nlisten = [\"{address}\"]\nadmin = \"{admin}\"\ndata = \"{data}\"\nthreads = {threads}\n{server}\n\
                 [[keys]]\nname = \"bench\"\nkey = \"{API_KEY}\"\nuser = \"bench\"\n\n\
                 [providers.mock]\ndialects = [\"openai_chat\"]\nbase_url = \"http://{upstream}\"\n\
                 api_key = \"sk-mock\"\nmodels = [\"{MODEL}\"]\n{}{conf}",
                dialects(upstream)
            ),
        )?;
        let output = match log {
            Some(path) => Stdio::from(File::options().create(true).append(true).open(path)?),
            None => Stdio::null(),
        };
        let mut command = Command::new(binary);
        command.arg("--config").arg(&file);
        Self::start("tollgate", command.stdout(output), address)
    }

    fn start(name: &'static str, command: &mut Command, address: SocketAddr) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))?;
        Ok(Self { name, address, child })
    }

    /// Waits until the process accepts connections and answers one request of each kind correctly.
    pub async fn ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = Connection::connect(self.address).await {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("{} ended before it answered ({status})", self.name).into());
            }
            if Instant::now() > deadline {
                return Err(format!("{} does not listen on {}: {error}", self.name, self.address).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for kind in [Kind::Exchange, Kind::Stream] {
            let answer = async { Pool::new(self.address, &Script::of(kind), 1).await?.closed_loop(1).await };
            answer.await.map_err(|error| format!("first request to {}: {error}", self.name))?;
        }
        Ok(())
    }
}

/// A provider for each dialect, all of them the mock.
fn dialects(upstream: SocketAddr) -> String {
    let table = |dialect: Dialect| {
        format!(
            "[providers.{}]\ndialects = [\"{}\"]\nbase_url = \"http://{upstream}\"\napi_key = \"sk-mock\"\n",
            dialect.provider(),
            dialect.name()
        )
    };
    DIALECTS.map(table).concat()
}

/// Binaries of one build lie in one folder.
fn beside_this(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    let hint = "build it first: cargo build --release -p tollgate -p tollgate-bench";
    Err(format!("{} does not exist; {hint}", path.display()).into())
}

/// Picks free ports, all held at once so that they differ.
fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    let mut held = Vec::with_capacity(N);
    for address in &mut addresses {
        let listener = TcpListener::bind(*address)?;
        *address = listener.local_addr()?;
        held.push(listener);
    }
    Ok(addresses)
}

/// A folder of its own for the run, removed at its end.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("tollgate-bench-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
