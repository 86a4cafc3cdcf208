//! HTTP/2 and TLS, from clients and to providers.

use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;

use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::gateway::{Gateway, free_port};
use crate::support::{Provider, Reply, http2};

const BODY: &str = r#"{"model":"gpt-4o","messages":[]}"#;
const ANSWER: &str = r#"{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2}}"#;

#[test]
fn an_h2c_client_is_served_like_any_other() {
    let provider = Provider::start(|_| Reply::json(200, ANSWER));
    let gateway = Gateway::start(&provider.table("openai"));
    let (status, headers, body) = http2::post(
        gateway.address,
        "/v1/chat/completions",
        &[("content-type", "application/json")],
        BODY.as_bytes(),
        true,
    );
    assert_eq!((status, body.as_slice()), (200, ANSWER.as_bytes()));
    let id = headers["x-tollgate-request-id"].to_str().unwrap();
    assert_eq!(gateway.rows_of(id, 1)[0]["input_tokens"], json!(4));
}

#[test]
fn an_h2c_stream_from_which_usage_is_taken_out_ends_as_it_should() {
    let provider = Provider::start(|_| {
        let body = b"data: {\"choices\":[{}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n";
        Reply::full(200, &[("content-type", "text/event-stream")], body)
    });
    let gateway = Gateway::start(&provider.table("openai"));
    let body = br#"{"model":"gpt-4o","stream":true}"#;
    let (status, _, seen) = http2::post(
        gateway.address,
        "/v1/chat/completions",
        &[("content-type", "application/json")],
        body,
        true,
    );
    assert_eq!((status, seen.as_slice()), (200, &b"data: {\"choices\":[{}]}\n\ndata: [DONE]\n\n"[..]));
}

/// A provider that speaks HTTP/2, with TLS or without; answers `ANSWER` and says what it was asked.
fn h2_provider(
    tls: Option<Arc<ServerConfig>>,
) -> (std::net::SocketAddr, std::sync::mpsc::Receiver<(http::request::Parts, Vec<u8>)>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let (ready, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        http2::block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            ready.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                match &tls {
                    None => h2_serve(h2::server::handshake(stream).await.unwrap(), &sender).await,
                    Some(conf) => {
                        let stream = TlsAcceptor::from(conf.clone()).accept(stream).await.unwrap();
                        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                        h2_serve(h2::server::handshake(stream).await.unwrap(), &sender).await;
                    }
                }
            }
        });
    });
    (address.recv().unwrap(), receiver)
}

async fn h2_serve<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    mut connection: h2::server::Connection<S, bytes::Bytes>,
    asked: &std::sync::mpsc::Sender<(http::request::Parts, Vec<u8>)>,
) {
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let asked = asked.clone();
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            let mut bytes = Vec::new();
            while let Some(Ok(chunk)) = body.data().await {
                let _ = body.flow_control().release_capacity(chunk.len());
                bytes.extend_from_slice(&chunk);
            }
            asked.send((head, bytes)).unwrap();
            let response =
                http::Response::builder().header("content-type", "application/json").body(()).unwrap();
            respond.send_response(response, false).unwrap().send_data(ANSWER.into(), true).unwrap();
        });
    }
}

#[test]
fn a_provider_is_asked_over_h2c_where_it_is_said_to_speak_it() {
    let (address, asked) = h2_provider(None);
    let gateway = Gateway::start(&format!(
        "[providers.openai]\nbase_url='http://{address}'\napi_key='sk-1'\nhttp='2'\n"
    ));
    let big = format!(r#"{{"model":"gpt-4o","pad":"{}"}}"#, "x".repeat(300_000));
    for body in [BODY, &big] {
        let answer = gateway.client().post("/v1/chat/completions", body);
        assert_eq!((answer.status, answer.text().as_str()), (200, ANSWER));
        let (head, seen) = asked.recv().unwrap();
        assert!(seen == body.as_bytes());
        assert_eq!(head.uri.authority().unwrap().as_str(), address.to_string());
        assert_eq!(head.headers["authorization"], "Bearer sk-1");
    }
}

#[test]
fn tls_is_spoken_to_clients_and_to_providers() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path.display().to_string()
    };
    let cert = file("cert.pem", &certificate.cert.pem());
    let key = file("key.pem", &certificate.signing_key.serialize_pem());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.cert.der().clone()],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der())),
        )
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let (address, asked) = h2_provider(Some(Arc::new(tls)));
    let gateway = Gateway::start_with_env(
        &format!(
            "tls = {{ cert = '{cert}', key = '{key}' }}\n[providers.openai]\nbase_url='https://localhost:{}'\napi_key='sk-1'\n",
            address.port()
        ),
        &[("SSL_CERT_FILE", &cert)],
    );
    for (version, expected) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let url = format!("https://localhost:{}/v1/chat/completions", gateway.address.port());
        let output = Command::new("curl")
            .args([
                "-sS",
                version,
                "--cacert",
                &cert,
                &url,
                "-H",
                "content-type: application/json",
                "-d",
                BODY,
                "-w",
                "\n%{http_code} %{http_version}",
            ])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, format!("{ANSWER}\n200 {expected}"), "{}", String::from_utf8_lossy(&output.stderr));
        let (head, body) = asked.recv().unwrap();
        assert_eq!((head.version, body.as_slice()), (http::Version::HTTP_2, BODY.as_bytes()));
    }
}

#[test]
fn a_provider_that_shows_a_strangers_certificate_is_not_believed() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let address = free_port();
    std::thread::spawn(move || {
        http2::block_on(async {
            let listener = TcpListener::bind(address).await.unwrap();
            let acceptor = TlsAcceptor::from(Arc::new(tls));
            while let Ok((stream, _)) = listener.accept().await {
                assert!(acceptor.accept(stream).await.is_err(), "nothing is sent to a stranger");
            }
        });
    });
    let gateway = Gateway::start(&format!(
        "[providers.openai]\nbase_url='https://localhost:{}'\napi_key='sk-1'\n",
        address.port()
    ));
    let answer = gateway.client().post("/v1/chat/completions", BODY);
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("TLS handshake"), "{}", answer.text());
}
