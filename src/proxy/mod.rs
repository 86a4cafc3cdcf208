//! The one implementer of Pingora's `ProxyHttp`: each phase is a line that calls the file named after it.

mod body;
mod client;
mod ctx;
mod fail;
mod guard;
mod leave;
mod local;
mod log;
mod quota;
mod request;
mod response;
mod shield;
mod state;
mod translate;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use crate::gateway::Gateway;
use ctx::Ctx;
pub use shield::Shield;

/// Tollgate as Pingora sees it.
#[derive(Debug)]
pub struct Proxy {
    gateway: Arc<Gateway>,
}

impl Proxy {
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx::new(self.gateway.clone())
    }

    /// No modules: answers pass as they are, so there is nothing to compress.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<()> {
        request::arrive(&self.gateway, session, ctx);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        match request::decide(&self.gateway, session, ctx).await {
            Ok(None) => Ok(false),
            Ok(Some(answer)) => local::write(session, ctx, &answer).await.map(|()| true),
            Err(error) => Err(ctx.fail(error)),
        }
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        match upstream::peer(&self.gateway, ctx).await {
            Ok(peer) => {
                leave::arrange(&self.gateway, session, ctx);
                Ok(peer)
            }
            Err(error) => Err(ctx.fail(error)),
        }
    }

    fn fail_to_connect(&self, _: &mut Session, _: &HttpPeer, ctx: &mut Ctx, e: Box<Error>) -> Box<Error> {
        upstream::not_connected(&self.gateway, ctx, e)
    }

    async fn connected_to_upstream(
        &self,
        session: &mut Session,
        reused: bool,
        _: &HttpPeer,
        _: std::os::unix::io::RawFd,
        _: Option<&Digest>,
        ctx: &mut Ctx,
    ) -> Result<()> {
        upstream::connected(&self.gateway, ctx, reused);
        if reused && ctx.target == 0 { Ok(()) } else { leave::still_there(session, ctx).await }
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        match upstream::request(&self.gateway, session, request, ctx) {
            Ok(()) => Ok(()),
            Err(error) => Err(ctx.fail(error)),
        }
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Ctx,
    ) -> Result<()> {
        body::send(&self.gateway, body, end, ctx).map_err(|error| ctx.fail(error))
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        upstream::judge(&self.gateway, session, response, ctx)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        match response::header(&self.gateway, session, response, ctx) {
            Ok(()) => Ok(()),
            Err(error) => Err(ctx.fail(error)),
        }
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<Duration>> {
        match response::body(&self.gateway, body, end, ctx) {
            Ok(wait) => Ok(wait),
            Err(error) => Err(ctx.fail(error)),
        }
    }

    /// Where an HTTP/2 answer ends with trailers, its body has no last piece of its own.
    async fn response_trailer_filter(
        &self,
        _: &mut Session,
        _: &mut HeaderMap,
        ctx: &mut Ctx,
    ) -> Result<Option<Bytes>> {
        let mut rest = None;
        match response::body(&self.gateway, &mut rest, true, ctx) {
            Ok(_) => Ok(rest),
            Err(error) => Err(ctx.fail(error)),
        }
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        e: Box<Error>,
        ctx: &mut Ctx,
        reused: bool,
    ) -> Box<Error> {
        upstream::broke_off(&self.gateway, session, e, ctx, reused)
    }

    async fn fail_to_proxy(&self, session: &mut Session, e: &Error, ctx: &mut Ctx) -> FailToProxy {
        fail::answer(&self.gateway, session, e, ctx).await
    }

    async fn logging(&self, session: &mut Session, e: Option<&Error>, ctx: &mut Ctx) {
        leave::unwrap(session, ctx);
        log::settle(&self.gateway, session, e, ctx);
    }

    /// Every failed exchange has its line in the access log.
    fn suppress_error_log(&self, _: &Session, _: &Ctx, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Ctx, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}
