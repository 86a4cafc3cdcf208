//! The admin listener: health, readiness and metrics. Nothing on it is meant for the gateway's clients.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use crate::gateway::Gateway;

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
                self.gateway.metrics.render(self.gateway.ledger_stats()),
            ),
            _ => (StatusCode::NOT_FOUND, TEXT, b"there are /healthz, /readyz and /metrics\n".to_vec()),
        }
    }

    /// Ready unless draining. A ledger that takes no rows is said but is no reason to stop serving: rows wait.
    fn readiness(&self) -> (StatusCode, &'static str, Vec<u8>) {
        let ledger = self.gateway.ledger_stats();
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
        });
        (status, "application/json", format!("{body}\n").into_bytes())
    }
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
