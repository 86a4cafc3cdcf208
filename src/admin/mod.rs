//! The admin listener: health, readiness and metrics. Nothing on it is meant for the gateway's clients.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use pingora::apps::ServerApp as _;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::Stream;
use tokio::sync::watch;

use crate::gateway::{Gateway, StartError};

#[derive(Debug)]
pub struct Admin {
    gateway: Arc<Gateway>,
}

impl Admin {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    fn answer(&self, path: &str) -> (StatusCode, &'static str, Vec<u8>) {
        const TEXT: &str = "text/plain; charset=utf-8";
        match path {
            "/healthz" => (StatusCode::OK, TEXT, b"ok\n".to_vec()),
            "/readyz" => self.readiness(),
            "/metrics" => (
                StatusCode::OK,
                "text/plain; version=0.0.4",
                self.gateway.metrics.render(
                    self.gateway.redis_stats(),
                    self.gateway.issuers(),
                    self.gateway.ledger_stats(),
                    self.gateway.responses_stats(),
                    self.gateway.reasonings.used(),
                ),
            ),
            _ => (StatusCode::NOT_FOUND, TEXT, b"there are /healthz, /readyz and /metrics\n".to_vec()),
        }
    }

    /// Ready unless draining. A ledger that takes no rows is said but is no reason to stop serving: rows wait.
    fn readiness(&self) -> (StatusCode, &'static str, Vec<u8>) {
        let ledger = self.gateway.ledger_stats();
        let responses = self.gateway.responses_stats();
        let draining = self.gateway.is_draining();
        let status = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        let body = serde_json::json!({
            "ready": !draining,
            "draining": draining,
            "in_flight": self.gateway.in_flight(),
            "ledger": {
                "failing": ledger.failing,
                "queued": ledger.queued,
                "spilled": ledger.spilled,
                "lost": ledger.lost,
            },
            "counters": self.gateway.redis_stats().map(|redis| serde_json::json!({
                "connected": redis.connected,
                "replicas": redis.replicas,
                "decisions_here": redis.decisions_here,
                "queued": redis.queued,
            })),
            "issuers": self.gateway.issuers().into_iter().map(|issuer| serde_json::json!({
                "issuer": &*issuer.issuer,
                "failing": issuer.failing,
                "last_success": issuer.last_success,
                "fetches": issuer.fetches,
                "keys": issuer.keys,
            })).collect::<Vec<_>>(),
            "responses": {
                "failing": responses.failing,
                "queued": responses.queued,
                "lost": responses.lost,
            },
        });
        (status, "application/json", format!("{body}\n").into_bytes())
    }
}

/// Serves on a thread of its own, outside Pingora's services, which all stop listening when the process is told
/// to end: whoever waits for the gateway to drain can still ask how it is doing.
pub(crate) fn start(listener: std::net::TcpListener, gateway: Arc<Gateway>) -> Result<(), StartError> {
    let io = |source| StartError::Io { what: "the admin listener", source };
    listener.set_nonblocking(true).map_err(io)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io)?;
    let serve = async move {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(why) => return tracing::error!(%why, "the admin listener cannot listen"),
        };
        let admin = Arc::new(Admin::new(gateway));
        let (_running, shutdown) = watch::channel(false);
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let (admin, shutdown) = (admin.clone(), shutdown.clone());
            tokio::spawn(async move { admin.process_new(Box::new(Stream::from(stream)), &shutdown).await });
        }
    };
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || runtime.block_on(serve))
        .map_err(io)?;
    Ok(())
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let (status, kind, body) = self.answer(session.req_header().uri.path());
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let length = HeaderValue::from(response.body().len());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
