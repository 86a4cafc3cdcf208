//! The gateway as it is deployed: the built binary as a process of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{Client, eventually};

const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");

pub struct Gateway {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    folder: Option<TempDir>,
    path: PathBuf,
    child: Child,
}

/// A folder and a configuration to start gateways with, again and again.
pub struct Setup {
    pub folder: TempDir,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
}

/// A port that was free a moment ago.
pub fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Gateway {
    /// Starts a gateway with `conf` after its own `[server]` table, which `conf` goes on with until its first header.
    pub fn start(conf: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), conf, &[])
    }

    pub fn start_with_env(conf: &str, env: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), conf, env)
    }

    pub fn start_in(folder: TempDir, conf: &str, env: &[(&str, &str)]) -> Self {
        for _ in 0..5 {
            let (address, admin) = (free_port(), free_port());
            let mut child = spawn(folder.path(), address, admin, conf, env);
            let mut up = false;
            eventually("the gateway to be ready or gone", || {
                if child.try_wait().unwrap().is_some() {
                    return Some(());
                }
                let stream = std::net::TcpStream::connect(admin).ok()?;
                drop(stream);
                up = std::net::TcpStream::connect(address).is_ok();
                up.then_some(())
            });
            if up {
                let path = folder.path().to_owned();
                return Self { address, admin, path, folder: Some(folder), child };
            }
            let log = std::fs::read_to_string(folder.path().join("stderr")).unwrap();
            // Another process may have taken the port meanwhile.
            assert!(log.contains("cannot listen"), "the gateway did not start:\n{log}");
        }
        panic!("no free port")
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub fn folder(&self) -> &Path {
        &self.path
    }

    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs a `tollgate` command on this gateway's data.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        cli(&self.data(), arguments)
    }

    /// The ledger's rows that came up to now.
    pub fn rows(&self) -> Vec<Value> {
        rows(&self.data(), &[])
    }

    /// The rows of one exchange, once there are `count`.
    pub fn rows_of(&self, id: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} rows of {id}"), || {
            Some(rows(&self.data(), &["--request-id", id])).filter(|rows| rows.len() >= count)
        })
    }

    pub fn metrics(&self) -> String {
        Client::connect(self.admin).call("GET", "/metrics", &[], b"").text()
    }

    /// The value of a metric, by its name with labels; 0 where it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        let page = self.metrics();
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |v| v.parse().unwrap())
    }

    /// What `/readyz` says.
    pub fn readiness(&self) -> Value {
        Client::connect(self.admin).call("GET", "/readyz", &[], b"").json()
    }

    /// Waits until no exchange is under way.
    pub fn idle(&self) {
        eventually("no exchange in flight", || {
            (self.metric("tollgate_exchanges_in_flight") == 0.0).then_some(())
        });
    }

    /// The lines of the access log up to now.
    pub fn access_log(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.path.join("stdout")).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.path.join("stderr")).unwrap()
    }

    pub fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid().to_string()]).status().unwrap().success());
    }

    /// Ends the process as a service manager would, and gives back its folder.
    pub fn stop(mut self) -> TempDir {
        self.signal("-TERM");
        self.wait();
        self.folder.take().unwrap()
    }

    /// Kills the process at once and gives back its folder.
    pub fn kill(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.folder.take().unwrap()
    }

    pub fn wait(&mut self) -> std::process::ExitStatus {
        eventually("the gateway to end", || self.child.try_wait().unwrap())
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, address: SocketAddr, admin: SocketAddr, conf: &str, env: &[(&str, &str)]) -> Child {
    let data = folder.join("data");
    let text =
        format!("[server]\nlisten = ['{address}']\nadmin = '{admin}'\ndata = '{}'\n{conf}", data.display());
    std::fs::write(folder.join("tollgate.toml"), text).unwrap();
    let file = |name| std::fs::File::create(folder.join(name)).unwrap();
    command()
        .args(["--config".as_ref(), folder.join("tollgate.toml").as_os_str()])
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(file("stdout"))
        .stderr(file("stderr"))
        .spawn()
        .unwrap()
}

/// The binary with an environment that holds nobody's keys.
pub fn command() -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("RUST_BACKTRACE", "1");
    command
}

pub fn cli(data: &Path, arguments: &[&str]) -> Output {
    command().args(arguments).arg("--data").arg(data).output().unwrap()
}

pub fn rows(data: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = cli(data, &[&["usage", "--rows", "--json"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
