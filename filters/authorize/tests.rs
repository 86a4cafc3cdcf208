use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::*;
use crate::exchange::{Dialect, Dialects};
use crate::route::Upstream;

fn routes() -> Routes {
    let upstream = |name: &str| Upstream {
        name: Arc::from(name),
        dialects: [Dialect::OpenaiChat].into_iter().collect::<Dialects>(),
        models: vec!["*".to_owned()],
        catalogue: HashSet::new(),
    };
    let target = |provider, model: &str| Target { provider, model: Some(Arc::from(model)) };
    let aliases = HashMap::from([("fast".to_owned(), vec![target(0, "gpt-5"), target(1, "llama")])]);
    Routes::new(vec![upstream("openai"), upstream("groq")], aliases, HashMap::new())
}

fn orgs() -> Orgs {
    serde_json::from_value(serde_json::json!({
        "acme": {
            "providers": ["openai"],
            "networks": ["10.0.0.0/8", "2001:db8::/32"],
            "users": { "ann": { "models": ["gpt-5"], "operations": ["chat"] }, "*": { "bridges": ["none"] } },
            "bridges": { "support": { "models": ["gpt-5"], "expires": "2027-01-01T00:00:00Z" } },
        },
    }))
    .unwrap()
}

fn caller(org: &str, user: Option<&str>, grant: Grant) -> Caller {
    Caller {
        org: Arc::from(org),
        user: user.map(Arc::from),
        via: Via::Key(Arc::from("k")),
        grant,
        ..Caller::anonymous()
    }
}

fn enter(
    caller: &Caller,
    bridge: Option<&str>,
    address: &str,
    operation: Operation,
    now: u64,
) -> Result<(), Error> {
    let orgs = orgs();
    let asked = Asked { method: "POST", operation, path: "/v1/x" };
    Tiers::of(caller, &orgs, bridge)?.enter(caller.role, Some(address.parse().unwrap()), asked, now)
}

fn plan(caller: &Caller, model: &str) -> Result<Vec<usize>, String> {
    let (routes, orgs) = (routes(), orgs());
    let tiers = Tiers::of(caller, &orgs, None).unwrap();
    let plan = routes.resolve(model, Dialect::OpenaiChat, Operation::Chat).unwrap();
    let plan = tiers.model(model, plan, &routes).map_err(|e| e.to_string())?;
    Ok(plan.targets.iter().map(|target| target.provider).collect())
}

#[test]
fn what_is_permitted_is_what_every_tier_permits() {
    let anywhere = caller("other", None, Grant::default());
    assert_eq!(plan(&anywhere, "fast"), Ok(vec![0, 1]), "an organisation without a table has no limits");
    let acme = caller("acme", Some("bob"), Grant::default());
    assert_eq!(plan(&acme, "fast"), Ok(vec![0]), "the organisation permits one provider of two");
    let ann = caller("acme", Some("ann"), Grant { models: vec!["llama".to_owned()], ..Grant::default() });
    assert!(plan(&ann, "openai/gpt-5").unwrap_err().starts_with("The key `k` does not permit model"));
    let ann = caller("acme", Some("ann"), Grant::default());
    assert_eq!(plan(&ann, "openai/gpt-5"), Ok(vec![0]));
    assert!(plan(&ann, "openai/o3").unwrap_err().starts_with("The user `ann` does not permit model"));
    assert!(
        plan(&acme, "groq/llama")
            .unwrap_err()
            .starts_with("The organisation `acme` does not permit the provider `groq`")
    );
}

#[test]
fn a_denial_says_which_tier_denied() {
    let bob = caller("acme", Some("bob"), Grant::default());
    enter(&bob, None, "10.1.2.3", Operation::Chat, 0).unwrap();
    enter(&bob, None, "::ffff:10.1.2.3", Operation::Chat, 0).unwrap();
    let why = |e: Result<(), Error>| e.unwrap_err().rule.unwrap().into_owned();
    assert_eq!(why(enter(&bob, None, "192.168.0.1", Operation::Chat, 0)), "organisation `acme`");
    let ann = caller("acme", Some("ann"), Grant::default());
    assert_eq!(why(enter(&ann, None, "10.1.2.3", Operation::Embeddings, 0)), "user `ann`");
    let ended = caller("acme", Some("ann"), Grant { expires: Some(5), ..Grant::default() });
    enter(&ended, None, "10.1.2.3", Operation::Chat, 4).unwrap();
    assert_eq!(why(enter(&ended, None, "10.1.2.3", Operation::Chat, 5)), "key `k`");
    assert_eq!(why(enter(&bob, Some("support"), "10.1.2.3", Operation::Chat, 0)), "user `bob`");
    enter(&ann, Some("support"), "10.1.2.3", Operation::Chat, 0).unwrap();
    assert_eq!(
        why(enter(&ann, Some("support"), "10.1.2.3", Operation::Chat, 1_900_000_000)),
        "bridge `support`"
    );
    assert_eq!(enter(&ann, Some("sales"), "10.1.2.3", Operation::Chat, 0).unwrap_err().kind, Kind::NotFound);
    let elsewhere = caller("other", None, Grant::default());
    assert_eq!(
        enter(&elsewhere, Some("support"), "10.1.2.3", Operation::Chat, 0).unwrap_err().kind,
        Kind::NotFound
    );
}

#[test]
fn roles_permit_what_they_say() {
    for (role, method, operation, path, permitted) in [
        (Role::ReadOnly, "GET", Operation::Models, "/v1/models", true),
        (Role::ReadOnly, "POST", Operation::CountTokens, "/v1/messages/count_tokens", true),
        (Role::ReadOnly, "POST", Operation::Chat, "/v1/chat/completions", false),
        (Role::ReadOnly, "DELETE", Operation::Other, "/v1/files/x", false),
        (Role::Member, "POST", Operation::Chat, "/v1/chat/completions", true),
        (Role::Member, "GET", Operation::Other, "/v1/organization/admin_api_keys", false),
        (Role::Member, "GET", Operation::Other, "/v1/organizations/users", false),
        (Role::Admin, "POST", Operation::Other, "/v1/organization/projects", true),
    ] {
        assert_eq!(role.permits(method, operation, path), permitted, "{role:?} {method} {path}");
    }
}

#[test]
fn a_table_with_an_unknown_key_is_refused() {
    let bad = serde_json::json!({"acme": {"modles": ["x"]}});
    assert!(serde_json::from_value::<Orgs>(bad).unwrap_err().to_string().contains("modles"));
}
