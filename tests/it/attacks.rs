//! What an attacker tries: each test is one attempt to get past a rule, into another tenant, or through to the provider.

mod credentials;
mod floods;
mod paths;
mod smuggling;
mod tenants;

use crate::support::dialect::ALL;
use crate::support::policy::{MODELS, secret};
use crate::support::{Gateway, Provider};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const CHAT: &str = r#"{"model":"m-1","messages":[]}"#;

fn start(provider: &Provider, conf: &str) -> Gateway {
    Gateway::start(&format!("auth = 'keys'\n{conf}\n{}{ALL}{MODELS}", provider.table("openai")))
}

/// Sends bytes as they are, and gives back all that comes until the gateway closes or says nothing more.
fn raw(gateway: &Gateway, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    stream.write_all(bytes).unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn post_raw(target: &str, who: &str, body: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nhost: gateway.test\r\nx-tollgate-key: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        secret(who),
        body.len()
    )
}
