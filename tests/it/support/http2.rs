//! An h2c client.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        h2::client::Builder::new().initial_window_size(1 << 20).handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// One POST on a connection of its own; status, headers and body of its answer.
pub fn post(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    with_length: bool,
) -> (u16, http::HeaderMap, Vec<u8>) {
    block_on(async {
        let mut sender = connect(address).await.ready().await.unwrap();
        let mut request = Request::post(format!("http://gateway.test{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if with_length {
            request = request.header("content-length", body.len());
        }
        let (response, mut stream) = sender.send_request(request.body(()).unwrap(), false).unwrap();
        let mut rest = Bytes::copy_from_slice(body);
        while !rest.is_empty() {
            stream.reserve_capacity(rest.len().min(16_000));
            let Some(Ok(capacity)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { break };
            let piece = rest.split_to(capacity.min(rest.len()));
            if stream.send_data(piece, false).is_err() {
                break;
            }
        }
        let _ = stream.send_data(Bytes::new(), true);
        let (head, mut body) = response.await.unwrap().into_parts();
        let mut bytes = Vec::new();
        while let Some(Ok(chunk)) = body.data().await {
            let _ = body.flow_control().release_capacity(chunk.len());
            bytes.extend_from_slice(&chunk);
        }
        (head.status.as_u16(), head.headers, bytes)
    })
}

/// A POST on a connection of its own, up to the header of its answer. The connection lives as long as
/// the runtime.
pub async fn begin(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(SendRequest<Bytes>, http::response::Parts, RecvStream), h2::Error> {
    let mut sender = connect(address).await.ready().await.unwrap();
    let mut request = Request::post(format!("http://gateway.test{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (response, mut stream) = sender.send_request(request.body(()).unwrap(), false).unwrap();
    stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
    let (head, body) = response.await?.into_parts();
    Ok((sender, head, body))
}

/// What comes of a body, and whether it ends as it should.
pub async fn read(body: &mut RecvStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    loop {
        match body.data().await {
            Some(Ok(chunk)) => {
                let _ = body.flow_control().release_capacity(chunk.len());
                bytes.extend_from_slice(&chunk);
            }
            Some(Err(_)) => return (bytes, false),
            None => return (bytes, body.is_end_stream()),
        }
    }
}
