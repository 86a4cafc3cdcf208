//! What a request asks for, who asks, and where it goes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, Method};
use pingora_proxy::Session;
use serde_json::Value;
use tollgate_filters::authenticate::jwt::Issuers;
use tollgate_filters::authenticate::{Credential, KEY_PREFIX};
use tollgate_filters::authorize::{Asked as Wish, Network, Tiers};
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::exchange::{Caller, Dialect, Operation, Via};
use tollgate_filters::facts::Facts;
use tollgate_filters::ports::Ended;
use tollgate_filters::route::{Plan, Target};

use super::body;
use super::ctx::{Body, Ctx, Path};
use super::{guard, local, quota, shield, state, translate};
use crate::dialect::path::{Asked, Sdk, classify, is_disguise, is_plain, percent_decode};
use crate::front;
use crate::gateway::Gateway;
use crate::provider::Provider;
use crate::telemetry::{Event, Security};

/// The gateway's own credential where `Authorization` and its kin carry the provider's.
const OWN_KEY: &str = "x-tollgate-key";
/// Names the provider of a request that names no model.
const PROVIDER: &str = "x-tollgate-provider";
/// The bridge and the thread that a request belongs to.
const BRIDGE: &str = "x-tollgate-bridge";
const THREAD: &str = "x-tollgate-thread";
/// Whom a proxy in front asks for.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// What is kept of an id that a client sends, for the log.
const MAX_ID: usize = 256;

/// A request has come: notes what the log will want to know, and sets the client's time-outs.
pub(super) fn arrive(gateway: &Gateway, session: &mut Session, ctx: &mut Ctx) {
    front::header_is_read();
    let headers = &session.req_header().headers;
    let peer = session.client_addr().and_then(|a| a.as_inet()).map(SocketAddr::ip);
    ctx.client = peer.map(|peer| client_address(peer, headers, &gateway.server.trusted_proxies));
    let id =
        |name| headers.get(name).and_then(|v| v.to_str().ok()).map(|v| v[..v.len().min(MAX_ID)].to_owned());
    ctx.bridge = id(BRIDGE).map(Arc::from);
    ctx.thread = id(THREAD).map(Arc::from);
    ctx.client_request_id = id("x-request-id");
    ctx.traceparent = id("traceparent");
    ctx.strict = translate::asks_for_strictness(session.req_header());
    ctx.method = session.req_header().method.clone();
    session.set_read_timeout(Some(gateway.server.body_timeout));
    session.set_write_timeout(Some(gateway.server.write_timeout));
}

/// Everything that is decided before the request goes up. Strangers are turned away before their
/// body is read. What the gateway answers by itself is given back.
pub(super) async fn decide(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut Ctx,
) -> Result<Option<Value>, Error> {
    gateway.shield.request(ctx.client)?;
    let provider = understand(gateway, session, ctx)?;
    let (dialect, operation) = ctx.asked.ok_or_else(|| no_such_path(&ctx.path.text))?;
    admit(gateway, session, ctx).await?;
    enter(gateway, ctx, operation)?;
    if session
        .req_header()
        .headers
        .get(UPGRADE)
        .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"websocket"))
    {
        return Err(Error::invalid("WebSockets are not served: their tokens could not be counted yet."));
    }
    if let Some(answer) = local::without_body(gateway, ctx, provider.is_some()).await? {
        return Ok(Some(answer));
    }
    read_body(gateway, session, ctx, operation).await?;
    let in_path = ctx.path.model.as_deref().map(|model| percent_decode(model).into_owned());
    let named = in_path.or_else(|| ctx.facts.as_ref().and_then(|f| f.model.as_ref()).map(|m| m.name.clone()));
    ctx.plan = plan(gateway, ctx, provider, named.as_deref(), dialect, operation)?;
    ctx.model_asked = named.map(Arc::from);
    let takes_it =
        |target: &Target| gateway.providers.get(target.provider).is_some_and(Provider::takes_the_clients_key);
    if let Some(first) = ctx.plan.targets.iter().find(|target| takes_it(target)).map(|t| t.provider) {
        // The client's key is one provider's; nobody else is to see it.
        ctx.plan.targets.retain(|target| target.provider == first || !takes_it(target));
    }
    state::prepare(gateway, ctx).await?;
    if ctx.thread.is_none() {
        ctx.thread = ctx.facts.as_mut().and_then(|facts| facts.conversation.take()).map(Arc::from);
    }
    quota::reserve(gateway, ctx).await?;
    guard::check(gateway, ctx)?;
    translate::count_here(gateway, ctx).await
}

/// Reads path and headers. Returns the provider that they address, if they do.
fn understand(gateway: &Gateway, session: &Session, ctx: &mut Ctx) -> Result<Option<usize>, Error> {
    let request = session.req_header();
    let headers = &request.headers;
    let raw = std::str::from_utf8(request.raw_path())
        .map_err(|_| Error::invalid("The request path is not UTF-8."))?;
    let (path, query) = raw.split_once('?').unwrap_or((raw, ""));
    path.clone_into(&mut ctx.path.text);
    let (query, key_in_query) = without_key(query);
    let mut sdk = if headers.contains_key("anthropic-version") {
        Sdk::Anthropic
    } else if headers.contains_key("x-goog-api-key") || key_in_query.is_some() {
        Sdk::Gemini
    } else {
        Sdk::Unknown
    };
    let (mut provider, mut native, mut rest) = (None, false, path);
    if let Some((name, _)) = path.strip_prefix('/').and_then(|p| p.split_once('/'))
        && gateway.chain.routes.is_provider(name)
    {
        rest = &path[1 + name.len()..];
        sdk = gateway.chain.routes.only_dialect(name).map_or(sdk, |dialect| match dialect {
            Dialect::Anthropic => Sdk::Anthropic,
            Dialect::Gemini => Sdk::Gemini,
            Dialect::OpenaiChat | Dialect::OpenaiResponses => Sdk::Unknown,
        });
        // The dialect first, so that even the refusal is in it.
        ctx.asked = classify(&request.method, rest, sdk).map(|asked| (asked.dialect, asked.operation));
        provider = Some(gateway.chain.routes.provider(name)?);
        native = true;
    }
    let asked = classify(&request.method, rest, sdk);
    ctx.asked = asked.as_ref().map(|a| (a.dialect, a.operation));
    if !is_plain(path) || is_disguise(&request.method, rest, sdk) {
        return Err(Error::invalid(
            "The request path has empty or dot segments, escapes that need not be there, or is another one in disguise; write it plainly.",
        ));
    }
    let asked = match asked {
        Some(asked) => asked,
        None if native => without_version(&request.method, rest, sdk),
        None => return Err(no_such_path(path)),
    };
    ctx.asked = Some((asked.dialect, asked.operation));
    if let Some(name) = headers.get(PROVIDER).filter(|_| provider.is_none()) {
        provider = Some(gateway.chain.routes.provider(name.to_str().unwrap_or_default())?);
    }
    ctx.path = Path { text: rest.to_owned(), query, native, model: asked.model.map(str::to_owned) };
    ctx.provider_key = credential(headers, key_in_query);
    Ok(provider)
}

/// Finds out who asks. Afterwards `provider_key` is the client's own provider key or nothing: the
/// gateway's credential never goes up.
async fn admit(gateway: &Gateway, session: &Session, ctx: &mut Ctx) -> Result<(), Error> {
    let own = session.get_header(OWN_KEY).and_then(|v| v.to_str().ok()).map(Credential::new);
    let provider_key = ctx.provider_key.take();
    // The SDKs send no key with an upload link.
    let linked = || {
        let none = own.is_none() && provider_key.is_none();
        let link = std::str::from_utf8(session.req_header().raw_path()).ok();
        link.filter(|_| none).and_then(|link| gateway.links.key(link))
    };
    let linked = linked();
    let credential = own.as_ref().or(provider_key.as_ref()).or(linked.as_ref());
    let caller = match authenticate(gateway, ctx, credential).await {
        Ok(caller) => caller,
        Err(refusal) => {
            tell(gateway, ctx, credential);
            return Err(gateway.shield.bad_credential(ctx.client, refusal));
        }
    };
    if own.is_none() && caller.via != Via::Nobody {
        ctx.key = provider_key.or(linked);
    } else {
        ctx.provider_key = provider_key.filter(|key| !key.expose().starts_with(KEY_PREFIX));
        ctx.key = own;
    }
    ctx.caller = Some(caller);
    Ok(())
}

/// A gateway key is looked up; a token is verified, at a price that an address which showed many bad ones does not get.
async fn authenticate(
    gateway: &Gateway,
    ctx: &Ctx,
    credential: Option<&Credential>,
) -> Result<Arc<Caller>, Error> {
    let token = credential.map(Credential::expose).filter(|text| Issuers::looks_like(text));
    let (Some(jwks), Some(token)) = (&gateway.jwks, token) else { return gateway.chain.admit(credential) };
    if gateway.chain.keys.is_open() {
        return gateway.chain.admit(credential);
    }
    let identity = match jwks.remembered(token) {
        Some(identity) => identity,
        None if gateway.shield.distrusts(ctx.client) => return Err(shield::distrusted()),
        None => jwks.verify(token).await.map_err(|refused| Error::from(&refused))?,
    };
    identity.caller()
}

/// Says in the security log what kind of credential failed; the caller is not told whether it ever was one.
fn tell(gateway: &Gateway, ctx: &Ctx, credential: Option<&Credential>) {
    let was = credential.and_then(|credential| gateway.chain.keys.was(credential));
    let (what, caller) = match &was {
        Some((caller, Ended::Revoked)) => (Security::RevokedKeyUsed, Some(&**caller)),
        Some((caller, Ended::Expired)) => (Security::ExpiredKeyUsed, Some(&**caller)),
        None => (Security::AuthenticationFailed, None),
    };
    let detail = if credential.is_some() { "" } else { "no credential was sent" };
    let event = Event { request_id: &ctx.id, client: ctx.client, detail, ..Event::default() }.of(caller);
    gateway.metrics.security(what, &event);
}

/// What can be said from the headers alone of whether the caller may.
fn enter(gateway: &Gateway, ctx: &Ctx, operation: Operation) -> Result<(), Error> {
    let caller = caller(ctx)?;
    let asked = Wish { method: ctx.method.as_str(), operation, path: &ctx.path.text };
    tiers(gateway, ctx)?.enter(caller.role, ctx.client, asked, ctx.time / 1000)
}

/// The tiers of permission that have a say in the exchange.
pub(super) fn tiers<'a>(gateway: &'a Gateway, ctx: &'a Ctx) -> Result<Tiers<'a>, Error> {
    Tiers::of(caller(ctx)?, &gateway.chain.orgs, ctx.bridge.as_deref())
}

/// Who asks: the peer, or whom a trusted proxy in front asks for. What stands left of the first address that is no
/// trusted proxy's could have been written by anybody.
fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return peer.to_canonical();
    }
    let lines: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|v| v.to_str().ok()).collect();
    let mut client = peer;
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let hop = hop.trim();
        let hop = hop.parse::<IpAddr>().ok().or_else(|| Some(hop.parse::<SocketAddr>().ok()?.ip()));
        let Some(hop) = hop else { break };
        client = hop;
        if !is_trusted(hop) {
            break;
        }
    }
    client.to_canonical()
}

/// Reads the body where its facts are needed: it names a model, or is JSON and may name one.
async fn read_body(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut Ctx,
    operation: Operation,
) -> Result<(), Error> {
    let is_json = session.get_header(CONTENT_TYPE).is_some_and(|value| {
        let kind = value.as_bytes().to_ascii_lowercase();
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        kind.ends_with(b"/json") || kind.ends_with(b"+json")
    });
    // An upload is the file's own bytes, whatever it says of its type.
    let may_name_model =
        is_json && session.req_header().method == Method::POST && !ctx.path.text.starts_with("/upload/");
    if !(operation.names_model() || may_name_model) {
        body::check_declared_length(session, gateway.server.upload_limit)?;
        ctx.body = Body::Streamed(0);
        return Ok(());
    }
    let bytes = body::read(session, gateway.server.body_limit, gateway.server.body_timeout).await?;
    if !bytes.is_empty() || operation.names_model() {
        ctx.facts = Some(Facts::scan(&bytes, operation.names_model())?);
    }
    ctx.body = Body::Whole(bytes);
    Ok(())
}

/// What a provider's own path without a version asks for, such as `/chat/completions` behind its prefix: what it would
/// with one.
fn without_version(method: &Method, path: &str, sdk: Sdk) -> Asked<'static> {
    let with_one = format!("/v1{path}");
    let (dialect, operation) = classify(method, &with_one, sdk)
        .filter(|asked| asked.operation != Operation::Other)
        .map_or((Dialect::OpenaiChat, Operation::Other), |asked| (asked.dialect, asked.operation));
    Asked { dialect, operation, model: None }
}

fn plan(
    gateway: &Gateway,
    ctx: &Ctx,
    provider: Option<usize>,
    model: Option<&str>,
    dialect: Dialect,
    operation: Operation,
) -> Result<Plan, Error> {
    let chain = &gateway.chain;
    let caller = &tiers(gateway, ctx)?;
    match (provider, model) {
        (Some(provider), model) => {
            chain.decide_for_provider(caller, provider, model, operation == Operation::Models)
        }
        (None, Some(model)) => chain.decide(caller, model, dialect, operation),
        (None, None) if operation.names_model() => {
            Err(Error::invalid("`model` is missing: name the model to ask.")
                .param("model")
                .code("missing_model"))
        }
        (None, None) => {
            let provider = chain.routes.default_provider(dialect)?;
            chain.decide_for_provider(caller, provider, None, operation == Operation::Models)
        }
    }
}

fn caller(ctx: &Ctx) -> Result<&Caller, Error> {
    ctx.caller.as_deref().ok_or_else(|| Error::new(Kind::Internal, "The exchange has no caller."))
}

fn no_such_path(path: &str) -> Error {
    Error::new(
        Kind::NotFound,
        format!(
            "`{path}` is no path of this gateway. It serves /v1/…, /v1beta/… and /PROVIDER/…, such as /v1/chat/completions."
        ),
    )
}

/// The credential, wherever an SDK puts it.
fn credential(headers: &HeaderMap, in_query: Option<String>) -> Option<Credential> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    bearer
        .or_else(|| text("x-api-key"))
        .or_else(|| text("x-goog-api-key"))
        .map(str::to_owned)
        .or(in_query)
        .map(Credential::new)
}

/// The query with its `?` but without `key=…`, and that key. Other parameters stay byte for byte.
fn without_key(query: &str) -> (String, Option<String>) {
    if query.is_empty() {
        return (String::new(), None);
    }
    let (keys, others): (Vec<&str>, Vec<&str>) = query.split('&').partition(|p| p.starts_with("key="));
    let key = keys.first().map(|p| percent_decode(&p["key=".len()..]).into_owned());
    let query = if others.is_empty() { String::new() } else { format!("?{}", others.join("&")) };
    (query, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_found_where_an_sdk_puts_it() {
        for (name, value) in [
            ("authorization", "Bearer k1"),
            ("authorization", "bearer  k1"),
            ("x-api-key", "k1"),
            ("x-goog-api-key", "k1"),
        ] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            assert_eq!(credential(&headers, None), Some(Credential::new("k1")), "{name}");
        }
        assert_eq!(credential(&HeaderMap::new(), Some("k1".to_owned())), Some(Credential::new("k1")));
        let basic = HeaderMap::from_iter([(AUTHORIZATION, "Basic eDp5".parse().unwrap())]);
        assert_eq!(credential(&basic, None), None);
    }

    #[test]
    fn only_a_trusted_proxy_says_whom_it_asks_for() {
        let client = |peer: &str, forwarded: &[&str]| {
            let headers =
                forwarded.iter().map(|v| (FORWARDED_FOR.parse().unwrap(), v.parse().unwrap())).collect();
            client_address(peer.parse().unwrap(), &headers, &["10.0.0.0/8".parse().unwrap()]).to_string()
        };
        assert_eq!(client("192.0.2.1", &["198.51.100.9"]), "192.0.2.1", "anybody can write a header");
        assert_eq!(client("10.0.0.1", &["198.51.100.9"]), "198.51.100.9");
        assert_eq!(client("10.0.0.1", &["1.2.3.4, 198.51.100.9, 10.0.0.7"]), "198.51.100.9");
        assert_eq!(client("10.0.0.1", &["1.2.3.4", "198.51.100.9:4711"]), "198.51.100.9");
        assert_eq!(client("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", &["2001:db8::1"]), "2001:db8::1");
    }

    #[test]
    fn the_key_leaves_the_query_and_nothing_else_does() {
        assert_eq!(
            without_key("alt=sse&key=a%2Db&x=%20"),
            ("?alt=sse&x=%20".to_owned(), Some("a-b".to_owned()))
        );
        assert_eq!(without_key("key=a&key=b"), (String::new(), Some("a".to_owned())));
        assert_eq!(without_key("monkey=a"), ("?monkey=a".to_owned(), None));
    }
}
