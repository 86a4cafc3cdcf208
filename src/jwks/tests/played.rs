//! An issuer as far as keys go: a server on a real socket that answers as it is told, and counts.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, RwLock, RwLockWriteGuard};
use std::thread;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(super) struct Played {
    address: SocketAddr,
    scheme: &'static str,
    stage: Arc<Stage>,
}

/// Answers are held back while this is.
pub(super) struct Held<'a>(#[expect(dead_code, reason = "it is held")] RwLockWriteGuard<'a, ()>);

#[derive(Default)]
struct Stage {
    answers: Mutex<HashMap<String, String>>,
    requests: Mutex<Vec<String>>,
    /// Written to while answers are held back.
    gate: RwLock<()>,
}

impl Played {
    pub(super) fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap())
    }

    pub(super) fn at(address: SocketAddr) -> Self {
        Self::serve(address, None)
    }

    pub(super) fn tls(authority: &Authority) -> Self {
        Self::serve("127.0.0.1:0".parse().unwrap(), Some(authority.server()))
    }

    /// Where nobody listens.
    pub(super) fn nowhere() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    fn serve(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let stage = Arc::new(Stage::default());
        let played =
            Self { address, scheme: if tls.is_some() { "https" } else { "http" }, stage: stage.clone() };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (stage, tls) = (stage.clone(), tls.clone());
                thread::spawn(move || {
                    if let Some(tls) = tls {
                        stage.exchange(StreamOwned::new(ServerConnection::new(tls).unwrap(), stream));
                    } else {
                        stage.exchange(stream);
                    }
                });
            }
        });
        played
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    pub(super) fn answer(&self, path: &str, status: u16, body: &str) {
        self.put(path, format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    }

    pub(super) fn redirect(&self, path: &str, to: &str) {
        self.put(path, format!("HTTP/1.1 302 X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"));
    }

    fn put(&self, path: &str, answer: String) {
        self.stage.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Nothing is answered until what this returns is dropped.
    pub(super) fn hold(&self) -> Held<'_> {
        Held(self.stage.gate.write().unwrap())
    }

    pub(super) fn requests(&self) -> usize {
        self.stage.requests.lock().unwrap().len()
    }

    pub(super) fn requested(&self, path: &str) -> usize {
        self.stage.requests.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }
}

impl Stage {
    /// One request for each connection.
    fn exchange(&self, mut stream: impl Read + Write + Closing) {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        let path = String::from_utf8(head).unwrap().split(' ').nth(1).unwrap().to_owned();
        self.requests.lock().unwrap().push(path.clone());
        drop(self.gate.read());
        let answer = self.answers.lock().unwrap().get(&path).cloned();
        let none = "HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n".to_owned();
        let answer = answer.unwrap_or(none).replacen("\r\n", "\r\nconnection: close\r\n", 1);
        let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
        stream.close();
    }
}

trait Closing {
    fn close(self);
}

impl Closing for TcpStream {
    fn close(self) {}
}

impl Closing for StreamOwned<ServerConnection, TcpStream> {
    fn close(mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
    }
}

/// Who signs the certificate of an issuer that is served by TLS.
pub(super) struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: rcgen::Issuer::new(params, key) }
    }

    pub(super) fn root(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    fn server(&self) -> Arc<ServerConfig> {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).unwrap());
        Arc::new(server.unwrap())
    }
}
