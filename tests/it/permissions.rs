//! What each tier permits: organisation, user, bridge, key and role, and that a denial names the one that denied.

use serde_json::json;

use crate::support::dialect::ALL;
use crate::support::policy::{MODELS, eventually_events, key, post, provider, request};
use crate::support::{Answer, Gateway};

const TIERS: [&str; 4] = ["org", "user", "bridge", "key"];

/// A kind of restriction, as it is written; what it keeps out, and what it lets through.
struct Restriction {
    name: &'static str,
    conf: &'static str,
    denied: Ask,
    permitted: Ask,
}

#[derive(Clone, Copy)]
struct Ask {
    path: &'static str,
    model: &'static str,
    from: &'static str,
}

const CHAT: Ask = Ask { path: "/v1/chat/completions", model: "m-1", from: "10.1.2.3" };

const RESTRICTIONS: [Restriction; 5] = [
    Restriction {
        name: "models",
        conf: "models = ['openai/m-1']",
        denied: Ask { model: "m-2", ..CHAT },
        permitted: CHAT,
    },
    Restriction {
        name: "providers",
        conf: "providers = ['open*']",
        denied: Ask { model: "second/m-1", ..CHAT },
        permitted: CHAT,
    },
    Restriction {
        name: "operations",
        conf: "operations = ['chat', 'messages']",
        denied: Ask { path: "/v1/embeddings", ..CHAT },
        permitted: CHAT,
    },
    Restriction {
        name: "networks",
        conf: "networks = ['10.0.0.0/8', '2001:db8::/32']",
        denied: Ask { from: "11.1.2.3", ..CHAT },
        permitted: Ask { from: "2001:db8:5::1", ..CHAT },
    },
    Restriction { name: "expires", conf: "expires = '2020-01-01T00:00:00Z'", denied: CHAT, permitted: CHAT },
];

/// A configuration in which `tier` of an organisation of its own has the restriction.
fn tables(tier: &str, name: &str, conf: &str) -> String {
    let org = format!("{tier}-{name}");
    let on = |of: &str| if of == tier { conf } else { "" };
    let mut text = key(&org, &format!("org = '{org}'\nuser = 'ann'\n{}", on("key")));
    text.push_str(&format!("[orgs.{org}]\n{}\n", on("org")));
    text.push_str(&format!("[orgs.{org}.users.ann]\n{}\n", on("user")));
    text.push_str(&format!("[orgs.{org}.bridges.b]\n{}\n", on("bridge")));
    text
}

fn tier_name(tier: &str, org: &str) -> String {
    match tier {
        "org" => format!("organisation `{org}`"),
        "user" => "user `ann`".to_owned(),
        "bridge" => "bridge `b`".to_owned(),
        _ => format!("key `{org}`"),
    }
}

fn check_denied(answer: &Answer, tier: &str) {
    assert_eq!(answer.status, 403, "{tier}: {}", answer.text());
    assert_eq!(answer.header("x-tollgate-rule"), Some(tier), "{}", answer.text());
    assert!(answer.text().contains(tier), "the message names the tier: {}", answer.text());
}

#[test]
fn each_restriction_holds_at_each_tier_and_a_denial_names_the_tier() {
    let provider = provider();
    let cases: Vec<_> = TIERS.iter().flat_map(|tier| RESTRICTIONS.iter().map(move |r| (*tier, r))).collect();
    let tables: String = cases.iter().map(|(tier, r)| tables(tier, r.name, r.conf)).collect();
    let gateway = Gateway::start(&format!(
        "auth = 'keys'\ntrusted_proxies = ['127.0.0.0/8']\n{tables}{}{ALL}{MODELS}{}{ALL}",
        provider.table("openai"),
        provider.table("second")
    ));
    for (tier, r) in cases {
        let org = format!("{tier}-{}", r.name);
        let ask = |ask: Ask| {
            let body = format!(r#"{{"model":"{}","messages":[],"input":"a"}}"#, ask.model);
            post(
                &gateway,
                &org,
                ask.path,
                &body,
                &[("x-forwarded-for", ask.from), ("x-tollgate-bridge", "b")],
            )
        };
        let asked = provider.seen().len();
        check_denied(&ask(r.denied), &tier_name(tier, &org));
        assert_eq!(provider.seen().len(), asked, "{org}");
        if r.name != "expires" {
            let answer = ask(r.permitted);
            assert_eq!(answer.status, 200, "{org}: {}", answer.text());
        }
    }
    let denials = eventually_events(&gateway, "permission_denied", TIERS.len() * RESTRICTIONS.len());
    for denial in &denials {
        assert!(denial["rule"].as_str().is_some_and(|rule| rule.contains('`')), "{denial}");
        assert_eq!((&denial["org"], &denial["user"]), (&denial["key"], &json!("ann")));
    }
}

#[test]
fn what_is_permitted_is_what_all_tiers_permit() {
    let provider = provider();
    let gateway = Gateway::start(&format!(
        "auth = 'keys'\n{}[orgs.acme]\nmodels = ['m-1', 'm-2']\n[orgs.acme.users.ann]\nmodels = ['m-2', 'm-3']\n{}",
        key("k", "org = 'acme'\nuser = 'ann'\nmodels = ['m-*']"),
        provider.table("openai") + MODELS
    ));
    let ask = |model: &str| {
        post(&gateway, "k", "/v1/chat/completions", &format!(r#"{{"model":"{model}","messages":[]}}"#), &[])
    };
    assert_eq!(ask("m-2").status, 200);
    check_denied(&ask("m-1"), "user `ann`");
    check_denied(&ask("m-3"), "organisation `acme`");
    check_denied(&ask("x-1"), "key `k`");
}

#[test]
fn a_star_stands_for_those_that_have_no_table_of_their_own() {
    let provider = provider();
    let keys = [
        key("a", "org = 'acme'\nuser = 'ann'"),
        key("b", "org = 'acme'\nuser = 'bob'"),
        key("z", "org = 'zulu'"),
    ];
    let gateway = Gateway::start(&format!(
        "auth = 'keys'\n{}[orgs.acme.users.ann]\n[orgs.acme.users.'*']\nmodels = ['m-1']\n[orgs.'*']\nmodels = ['m-9']\n{}",
        keys.concat(),
        provider.table("openai") + MODELS
    ));
    let ask = |who: &str, model: &str| {
        post(&gateway, who, "/v1/chat/completions", &format!(r#"{{"model":"{model}","messages":[]}}"#), &[])
    };
    assert_eq!(ask("a", "m-2").status, 200);
    check_denied(&ask("b", "m-2"), "user `bob`");
    assert_eq!(ask("b", "m-1").status, 200);
    check_denied(&ask("z", "m-1"), "organisation `zulu`");
}

#[test]
fn a_bridge_has_to_be_the_organisations_own_and_permitted_to_whoever_names_it() {
    let provider = provider();
    let keys = [
        key("ann", "org = 'acme'\nuser = 'ann'\nbridges = ['b*']"),
        key("bob", "org = 'acme'\nuser = 'bob'"),
        key("zoe", "org = 'zulu'"),
    ];
    let orgs = "[orgs.acme.bridges.b1]\n[orgs.acme.bridges.c1]\n[orgs.acme.users.bob]\nbridges = ['c1']\n[orgs.zulu.bridges.z1]\n";
    let gateway = Gateway::start(&format!(
        "auth = 'keys'\n{}{orgs}{}",
        keys.concat(),
        provider.table("openai") + MODELS
    ));
    let ask = |who: &str, bridge: &str| {
        let body = r#"{"model":"m-1","messages":[]}"#;
        post(&gateway, who, "/v1/chat/completions", body, &[("x-tollgate-bridge", bridge)])
    };
    let answer = ask("ann", "b1");
    assert_eq!(answer.status, 200);
    assert_eq!(gateway.rows_of(answer.id(), 1)[0]["bridge"], json!("b1"));
    check_denied(&ask("ann", "c1"), "key `ann`");
    check_denied(&ask("bob", "b1"), "user `bob`");
    assert_eq!(ask("bob", "c1").status, 200);
    for (who, bridge) in [("ann", "z1"), ("zoe", "b1"), ("zoe", "nowhere")] {
        let answer = ask(who, bridge);
        assert_eq!(answer.status, 404, "{who} {bridge}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "bridge_not_found");
    }
    assert_eq!(provider.seen().len(), 2);
    assert!(provider.seen().iter().all(|seen| seen.header("x-tollgate-bridge").is_none()));
}

#[test]
fn a_role_limits_what_may_be_done() {
    let provider = provider();
    let keys = [key("adm", "role = 'admin'"), key("mem", ""), key("ro", "role = 'read_only'")];
    let gateway =
        Gateway::start(&format!("auth = 'keys'\n{}{}{ALL}{MODELS}", keys.concat(), provider.table("openai")));
    let chat = r#"{"model":"m-1","messages":[]}"#;
    // Method, path, body, and whether admin, member and read-only may.
    for (method, path, body, may) in [
        ("GET", "/v1/models", "", [true, true, true]),
        ("GET", "/v1/files/f-1", "", [true, true, true]),
        ("POST", "/v1/chat/completions", chat, [true, true, false]),
        ("POST", "/openai/v1/chat/completions", chat, [true, true, false]),
        ("POST", "/v1/messages/count_tokens", chat, [true, true, true]),
        ("DELETE", "/v1/files/f-1", "", [true, true, false]),
        ("GET", "/v1/organization/costs", "", [true, false, false]),
        ("GET", "/openai/v1/organization/costs", "", [true, false, false]),
        ("POST", "/v1/organization/admin_api_keys", "{}", [true, false, false]),
    ] {
        for (who, may) in ["adm", "mem", "ro"].into_iter().zip(may) {
            let answer = request(
                &gateway,
                who,
                method,
                path,
                body,
                &[("anthropic-version", "2023-06-01")][..usize::from(path.contains("count_tokens"))],
            );
            if may {
                assert_ne!(answer.status, 403, "{who} {method} {path}: {}", answer.text());
            } else {
                let role = if who == "mem" { "role `member`" } else { "role `read_only`" };
                check_denied(&answer, role);
            }
        }
    }
}

#[test]
fn a_key_made_on_the_command_line_has_what_its_flags_say() {
    let provider = provider();
    let gateway = Gateway::start(&format!(
        "auth = 'keys'\n[orgs.acme.bridges.b1]\n[orgs.acme.bridges.b2]\n{}{MODELS}{}",
        provider.table("openai"),
        provider.table("second")
    ));
    let create = |name: &str, flags: &[&str]| {
        let output = gateway.cli(&[&["keys", "create", "--name", name, "--org", "acme"], flags].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let ask = |key: &str, path: &str, model: &str, bridge: Option<&str>| {
        let body = format!(r#"{{"model":"{model}","messages":[],"input":"a"}}"#);
        let mut headers = vec![("content-type", "application/json"), ("x-tollgate-key", key)];
        headers.extend(bridge.map(|bridge| ("x-tollgate-bridge", bridge)));
        gateway.client().call("POST", path, &headers, body.as_bytes())
    };
    let chat = "/v1/chat/completions";
    let key = create("p", &["--providers", "openai"]);
    assert_eq!(ask(&key, chat, "m-1", None).status, 200);
    check_denied(&ask(&key, chat, "second/m-1", None), "key `p`");
    let key = create("o", &["--operations", "chat,embeddings"]);
    assert_eq!(ask(&key, "/v1/embeddings", "m-1", None).status, 200);
    check_denied(&ask(&key, "/v1/completions", "m-1", None), "key `o`");
    let key = create("n", &["--networks", "10.0.0.0/8,192.168.0.1"]);
    check_denied(&ask(&key, chat, "m-1", None), "key `n`");
    let key = create("l", &["--networks", "127.0.0.0/8"]);
    assert_eq!(ask(&key, chat, "m-1", None).status, 200);
    let key = create("b", &["--bridges", "b1"]);
    assert_eq!(ask(&key, chat, "m-1", Some("b1")).status, 200);
    check_denied(&ask(&key, chat, "m-1", Some("b2")), "key `b`");
    let key = create("r", &["--role", "read_only"]);
    check_denied(&ask(&key, chat, "m-1", None), "role `read_only`");
    for flags in [["--role", "god"], ["--operations", "fly"], ["--networks", "10.0.0.0/99"]] {
        let output = gateway.cli(&[&["keys", "create", "--name", "x"], &flags[..]].concat());
        assert!(!output.status.success(), "{flags:?}");
    }
}

#[test]
fn a_revoked_key_is_told_apart_in_the_log_and_not_to_its_user() {
    let provider = provider();
    let gateway = Gateway::start(&format!("auth = 'keys'\n{}", provider.table("openai")));
    let output = gateway.cli(&["keys", "create", "--name", "k", "--org", "acme", "--user", "ann"]);
    let key = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(gateway.cli(&["keys", "revoke", "k"]).status.success());
    let ask = |key: &str| {
        let headers = [("content-type", "application/json"), ("x-api-key", key)];
        gateway.client().call("POST", "/v1/chat/completions", &headers, br#"{"model":"m-1","messages":[]}"#)
    };
    let (revoked, unknown) = (ask(&key), ask("tg-nobodys"));
    assert_eq!((revoked.status, unknown.status), (401, 401));
    assert_eq!(revoked.json()["error"]["message"], unknown.json()["error"]["message"]);
    let event = &eventually_events(&gateway, "revoked_key_used", 1)[0];
    assert_eq!((&event["org"], &event["user"], &event["key"]), (&json!("acme"), &json!("ann"), &json!("k")));
    eventually_events(&gateway, "authentication_failed", 1);
    assert_eq!(provider.seen().len(), 0);
}
