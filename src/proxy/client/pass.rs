//! What Pingora asks of a session, passed through to the client's own, except where the wrapper knows better.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session as CustomSession;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::Client;
use crate::conf::OnLeave;

/// Whether reading failed because nobody is there. A client that sends more than its request has not left.
fn is_departure(e: &Error) -> bool {
    matches!(e.etype(), ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::H2Error)
}

/// Pingora marks no write of trailers as the client's.
pub(super) fn is_failed_write(e: &Error) -> bool {
    *e.esource() == ErrorSource::Downstream || matches!(e.etype(), ErrorType::WriteError)
}

/// Whether an answer ends with one of `tasks`.
pub(super) fn ends(tasks: &[HttpTask]) -> bool {
    tasks.iter().any(HttpTask::is_end)
}

/// What stands in for the body until the filter replaces it.
const STAND_IN: Bytes = Bytes::from_static(b"body");

#[async_trait]
impl CustomSession for Client {
    fn req_header(&self) -> &RequestHeader {
        self.inner.req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.inner.req_header_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.inner.read_request_body().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.inner.drain_request_body().await
    }

    async fn write_response_header(&mut self, response: Box<ResponseHeader>, _: bool) -> Result<()> {
        if self.has_left() {
            return Ok(());
        }
        let result = self.inner.write_response_header(response).await;
        self.written(result)
    }

    async fn write_response_header_ref(&mut self, response: &ResponseHeader, _: bool) -> Result<()> {
        if self.has_left() {
            return Ok(());
        }
        let result = self.inner.write_response_header_ref(response).await;
        self.written(result)
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        if self.has_left() {
            return Ok(());
        }
        let result = self.inner.write_response_body(data, end).await;
        self.written(result)
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        if self.has_left() {
            return Ok(());
        }
        let result = self.inner.write_response_trailers(trailers).await;
        self.written(result)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let end = self.pass_on(tasks).await?;
        if end || !self.shared.cut.load(Ordering::Relaxed) {
            return Ok(end);
        }
        if !self.has_left() {
            let finished = self.inner.finish_body().await;
            self.written(finished)?;
        }
        Ok(true)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.inner.set_read_timeout(timeout);
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.inner.get_read_timeout()
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.inner.set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.inner.get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.inner.set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.inner.get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.inner.request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.inner.response_written()
    }

    async fn shutdown(&mut self, _: u32, _: &str) {
        if !self.has_left() {
            self.inner.shutdown().await;
        }
    }

    fn is_body_done(&mut self) -> bool {
        self.replays || self.inner.is_body_done()
    }

    async fn finish(&mut self) -> Result<()> {
        if self.has_left() {
            return Ok(());
        }
        let result = self.inner.finish_body().await;
        self.written(result)
    }

    fn is_body_empty(&mut self) -> bool {
        !self.replays && self.inner.is_body_empty()
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if self.has_left() {
            return self.wait().await;
        }
        // A request that is not whole is worth nothing to the provider.
        let idle = no_body_expected || self.is_body_done();
        match self.inner.read_body_or_idle(no_body_expected).await {
            Err(e) if idle && self.on_leave != OnLeave::Cancel && is_departure(&e) => {
                self.leaves();
                self.wait().await
            }
            result => result,
        }
    }

    fn body_bytes_sent(&self) -> usize {
        self.inner.body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.inner.body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.inner.digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.inner.digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.inner.client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.inner.server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.inner.to_h1_raw()
    }

    fn enable_retry_buffering(&mut self) {
        if !self.replays {
            self.inner.enable_retry_buffering();
        }
    }

    fn retry_buffer_truncated(&self) -> bool {
        !self.replays && self.inner.retry_buffer_truncated()
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        if self.replays { Some(STAND_IN) } else { self.inner.get_retry_buffer() }
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _: Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Err(no_messages())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> Result<()> {
        Err(no_messages())
    }
}

/// Pingora asks only where it was given one before.
fn no_messages() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "a wrapped session has no custom messages")
}
