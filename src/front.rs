//! The front door: Pingora's proxy app with a deadline for request headers.
//!
//! Pingora's time-out for reading a header starts anew with every byte, so a client could hold a connection
//! for days by sending one now and then. Here a connection that has not brought a whole header in time is
//! closed; that includes one that is kept open and idle.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::server::ShutdownWatch;
use pingora_proxy::HttpProxy;

use crate::proxy::Proxy;

tokio::task_local! {
    static HEADER_READ: Cell<bool>;
}

/// Called when a request's header has been read: the deadline is met.
pub(crate) fn header_is_read() {
    // An embedding server may have no front door of ours, and so no deadline.
    let _ = HEADER_READ.try_with(|read| read.set(true));
}

/// Serves HTTP/1.1, HTTP/2 and h2c on the listeners it is given.
pub struct Front {
    proxy: Arc<HttpProxy<Proxy>>,
    header_timeout: Duration,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").field("header_timeout", &self.header_timeout).finish_non_exhaustive()
    }
}

impl Front {
    pub(crate) fn new(proxy: HttpProxy<Proxy>, header_timeout: Duration) -> Self {
        Self { proxy: Arc::new(proxy), header_timeout }
    }
}

#[async_trait]
impl ServerApp for Front {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let connection = Arc::new(Connection { front: self.clone(), has_begun: AtomicBool::new(false) });
        let serve = connection.process_new(stream, shutdown);
        tokio::pin!(serve);
        tokio::select! {
            biased;
            stream = &mut serve => return stream,
            () = pingora::time::sleep(self.header_timeout) => {}
        }
        // Pingora first waits for as many bytes as HTTP/2 begins with, however long that takes.
        if connection.has_begun.load(Ordering::Relaxed) { serve.await } else { None }
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

/// One connection of a client.
struct Connection {
    front: Arc<Front>,
    /// A request is being read.
    has_begun: AtomicBool,
}

#[async_trait]
impl HttpServerApp for Connection {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.has_begun.store(true, Ordering::Relaxed);
        let exchange = HEADER_READ.scope(Cell::new(false), async {
            let exchange = self.front.proxy.process_new_http(session, shutdown);
            tokio::pin!(exchange);
            tokio::select! {
                biased;
                stream = &mut exchange => return stream,
                () = pingora::time::sleep(self.front.header_timeout) => {}
            }
            if HEADER_READ.with(Cell::get) { exchange.await } else { None }
        });
        exchange.await
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.front.proxy.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.front.proxy.server_options()
    }
}
