//! Listeners, services, and how the process ends.

use std::io::{self, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use pingora::apps::HttpServerOptions;
use pingora::listeners::tls::TlsSettings;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::protocols::tls::ALPN;
use pingora::server::configuration::ServerConf;
use pingora::server::{ExecutionPhase, RunArgs, Server};
use pingora::services::listening::Service;
use pingora_proxy::http_proxy;
use tokio::sync::broadcast::error::RecvError;

use crate::admin::{self, Admin};
use crate::front::Front;
use crate::gateway::{DRAIN_POLL, Gateway, StartError};
use crate::proxy::Proxy;
use crate::telemetry::Guard;

/// Attempts of one exchange; more targets than this no alias has.
const MAX_ATTEMPTS: usize = 64;

/// What a client's connection gathers before it is written: a header with all that the gateway says in it, and a short
/// answer, in one write. Pingora's own buffer of 1,460 bytes makes two of them.
const WRITE_BUFFER: usize = 4096;

/// Idle connections to providers that are kept, in all.
const POOL: usize = 1024;

impl Gateway {
    /// The gateway as a service of a Pingora server: give it listeners and add it.
    pub fn service(self: &Arc<Self>, conf: &Arc<ServerConf>) -> Service<Front> {
        let mut proxy = http_proxy(conf, Proxy::new(self.clone()));
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(self.server.header_timeout);
        proxy.server_options = Some(options);
        Service::new("gateway".to_owned(), Front::new(proxy, self.server.header_timeout))
    }

    /// Health, readiness and metrics as a service of a Pingora server.
    pub fn admin_service(self: &Arc<Self>) -> Service<Admin> {
        Service::new("admin".to_owned(), Admin::new(self.clone()))
    }

    /// The Pingora configuration that this gateway's own configuration asks for.
    pub fn server_conf(&self) -> ServerConf {
        ServerConf {
            threads: self.server.threads,
            work_stealing: self.server.work_stealing,
            grace_period_seconds: Some(self.server.grace.as_secs()),
            graceful_shutdown_timeout_seconds: Some(1),
            max_retries: MAX_ATTEMPTS,
            upstream_keepalive_pool_size: POOL,
            ..ServerConf::default()
        }
    }
}

/// Serves until a signal ends it. SIGTERM lets running exchanges finish; SIGINT does not.
pub fn run(gateway: &Arc<Gateway>, log: Guard, banner: &str) -> Result<(), StartError> {
    let mut server = Server::new_with_opt_and_conf(None, gateway.server_conf());
    server.bootstrap();
    let mut service = gateway.service(&server.configuration);
    for address in &gateway.server.listen {
        check_free(address)?;
        let buffer = L4BufferSettings::default().write(WRITE_BUFFER);
        let listener = ListenerConfig::tcp(address).l4_buffer(buffer);
        match &gateway.server.tls {
            None => service.add_listener(listener),
            Some(tls) => {
                let (cert, key) = (tls.cert.display().to_string(), tls.key.display().to_string());
                for file in [&tls.cert, &tls.key] {
                    std::fs::metadata(file)
                        .map_err(|e| StartError::Conf(format!("server.tls: {}: {e}", file.display())))?;
                }
                let mut settings = TlsSettings::intermediate(&cert, &key)
                    .map_err(|e| StartError::Conf(format!("server.tls: {e}")))?;
                settings.set_alpn(ALPN::H2H1);
                service.add_listener(listener.tls(settings));
            }
        }
    }
    server.add_service(service);
    if let Some(address) = &gateway.server.admin {
        admin::start(bind(address)?, gateway.clone())?;
    }
    // Whoever reads that the gateway listens may try it at once.
    let _ = io::stderr().write_all(banner.as_bytes());
    let mut phases = server.watch_execution_phase();
    let draining = gateway.clone();
    // Pingora waits out the whole grace time; a gateway that is idle has nothing to wait for.
    let drain = move || {
        loop {
            match phases.blocking_recv() {
                Ok(ExecutionPhase::GracefulTerminate | ExecutionPhase::ShutdownStarted) => break,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
        draining.drain();
        wait_until_idle(&draining);
        draining.close();
        drop(log);
        std::process::exit(0);
    };
    std::thread::Builder::new()
        .name("drain".to_owned())
        .spawn(drain)
        .map_err(|source| StartError::Io { what: "the thread that drains", source })?;
    server.run(RunArgs::default());
    // The grace time is over, or nobody wanted to wait for it.
    gateway.close();
    std::process::exit(0);
}

/// Waits until no exchange has been under way for a few looks in a row: one may be between its
/// connection and its first phase.
fn wait_until_idle(gateway: &Gateway) {
    let mut quiet = 0;
    while quiet < 5 {
        quiet = if gateway.in_flight() == 0 { quiet + 1 } else { 0 };
        std::thread::sleep(DRAIN_POLL);
    }
}

/// Pingora panics where an address is taken; this says so first.
fn check_free(address: &str) -> Result<(), StartError> {
    bind(address).map(drop)
}

fn bind(address: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|e| StartError::Conf(format!("cannot listen on {address}: {e}")))
}
