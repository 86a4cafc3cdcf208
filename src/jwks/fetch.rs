//! One look at what an issuer publishes: bounded in size and time, by TLS, and nowhere else than where it was sent.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use tollgate_filters::authenticate::jwt::{Remote, Source};
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// No document is longer. Real ones have a few KiB.
const MAX_DOCUMENT: u64 = 1 << 20;
/// How long one request may take from the name's resolution to the body's end.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The certificates that this machine trusts: those that providers are checked against, too.
pub(super) fn trusted() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().unwrap_or_default()
}

/// Who asks. It follows no redirect: what an issuer's name stands for is settled in the configuration.
pub(super) fn agent(trusted: &[CertificateDer<'static>], patience: Duration) -> Agent {
    let roots = trusted.iter().map(|root| Certificate::from_der(root).to_owned());
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::from(roots))
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(patience))
        .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
        .accept("application/json")
        .build()
        .into()
}

/// The JWK set that the issuer publishes, as it came.
pub(super) fn document(agent: &Agent, remote: &Remote) -> Result<Vec<u8>, String> {
    let address = address(&remote.source);
    permitted(address, true, remote.allow_http)?;
    match &remote.source {
        Source::Jwks(url) => get(agent, url),
        Source::Discovery(issuer) => {
            let found =
                get(agent, &format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')))?;
            let url = keys_of(&found, issuer)?;
            // What came by TLS does not lead to anything that does not.
            permitted(&url, !address.starts_with("https"), remote.allow_http)?;
            get(agent, &url)
        }
    }
}

pub(super) fn address(source: &Source) -> &str {
    match source {
        Source::Jwks(url) | Source::Discovery(url) => url,
    }
}

/// Where the keys are, by a discovery document that is the issuer's own (OIDC Discovery 1.0, section 4.3).
fn keys_of(document: &[u8], issuer: &str) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Discovered {
        issuer: String,
        jwks_uri: String,
    }
    let found: Discovered = serde_json::from_slice(document)
        .map_err(|_| "its discovery document has no `issuer` and `jwks_uri`".to_owned())?;
    if found.issuer != issuer {
        return Err(format!("its discovery document is of {:?}, not of {issuer:?}", found.issuer));
    }
    Ok(found.jwks_uri)
}

/// Whether keys may come from `url`: by TLS; from this machine (`local`) or where it is said to be right (`anywhere`)
/// also without.
pub(super) fn permitted(url: &str, local: bool, anywhere: bool) -> Result<(), String> {
    let uri: Uri = url.parse().map_err(|_| format!("{url:?} is no URL"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(format!("{url:?} is no URL with a host"));
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match scheme {
        _ if authority.as_str().contains('@') => Err("a URL for keys has no user in it".to_owned()),
        "https" => Ok(()),
        "http" if anywhere || local && loopback => Ok(()),
        "http" => Err(format!(
            "{url:?}: keys that come without TLS can be anybody's; write https, or `allow_http = true`"
        )),
        _ => Err(format!("{url:?} begins neither with https nor with http")),
    }
}

fn get(agent: &Agent, url: &str) -> Result<Vec<u8>, String> {
    let answer = agent.get(url).call().map_err(|e| format!("{url}: {e}"))?;
    match answer.status().as_u16() {
        200 => {}
        status @ 300..400 => {
            return Err(format!("{url} answers {status}, which is not followed: write where it leads to"));
        }
        status => return Err(format!("{url} answers {status}")),
    }
    let body = answer.into_body().into_with_config().limit(MAX_DOCUMENT);
    body.read_to_vec().map_err(|e| format!("{url}: {e}"))
}
