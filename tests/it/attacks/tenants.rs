//! Names and ids of one organisation in the mouth of another.

use crate::support::policy::{ask, key, post, provider, request};
use crate::support::{Dialect, Gateway, Provider, Reply, eventually};

use super::start;

/// Two organisations that share every other name.
fn tenants() -> String {
    [key("a", "org = 'acme'\nuser = 'u'"), key("z", "org = 'zulu'\nuser = 'u'")].concat()
}

#[test]
fn a_stored_response_is_there_for_its_own_organisation_only() {
    // A provider that keeps nothing itself, so that the gateway does.
    let provider = Provider::start(|_| Reply::json(200, Dialect::Chat.answer()));
    let gateway = Gateway::start(&format!("auth = 'keys'\n{}{}", tenants(), provider.table("own")));
    let answer =
        post(&gateway, "a", "/v1/responses", r#"{"model":"own/m-1","input":"the secret of acme"}"#, &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/responses/{id}");
    eventually("the response to be kept", || {
        (request(&gateway, "a", "GET", &path, "", &[]).status == 200).then_some(())
    });
    for path in [path.clone(), format!("{path}/input_items")] {
        for method in ["GET", "DELETE"] {
            let other = request(&gateway, "z", method, &path, "", &[]);
            assert_ne!(other.status, 200, "{method} {path}: {}", other.text());
            assert!(!other.text().contains("secret of acme"));
        }
    }
    let asked = provider.seen().len();
    let body = format!(r#"{{"model":"own/m-1","input":"go on","previous_response_id":"{id}"}}"#);
    let other = post(&gateway, "z", "/v1/responses", &body, &[]);
    assert!((400..500).contains(&other.status), "{}", other.text());
    assert_eq!(provider.seen().len(), asked, "nothing of it goes up");
    let missing = post(&gateway, "z", "/v1/responses", &body.replace(&id, "resp_never_there"), &[]);
    assert_eq!(missing.status, other.status, "whether an id exists elsewhere cannot be told");
    assert_eq!(post(&gateway, "a", "/v1/responses", &body, &[]).status, 200, "acme itself goes on");
    assert!(String::from_utf8_lossy(&provider.last().body).contains("the secret of acme"));
}

#[test]
fn what_one_organisation_uses_up_is_not_anothers_under_the_same_names() {
    let provider = provider();
    for scope in ["user", "thread", "model", "provider", "address", "bridge", "org"] {
        let limit = format!(
            "[[limits]]\nname = 'one'\nscope = ['{scope}']\nrequests = '1/day'\nconcurrent = 5\n[orgs.acme.bridges.b]\n[orgs.zulu.bridges.b]\n"
        );
        let gateway = start(&provider, &format!("{}{limit}", tenants()));
        let more = [("x-tollgate-thread", "t"), ("x-tollgate-bridge", "b")];
        let ask = |who: &str| ask(&gateway, who, Dialect::Chat, "m-1", &more).status;
        assert_eq!((ask("a"), ask("a")), (200, 429), "{scope}");
        assert_eq!((ask("z"), ask("z")), (200, 429), "{scope}: zulu has its own");
    }
}

#[test]
fn names_with_separators_in_them_are_no_other_names() {
    let provider = provider();
    let limit = "[[limits]]\nname = 'one'\nscope = ['user', 'thread']\nrequests = '1/day'\n";
    let keys = [
        key("a", "org = 'a'\nuser = 'b:c'"),
        key("b", "org = 'a'\nuser = 'b'"),
        key("c", "org = 'a:b'\nuser = 'c'"),
        key("d", "org = 'a}b'\nuser = '{c'"),
    ];
    let gateway = start(&provider, &format!("{}{limit}", keys.concat()));
    for (who, thread) in [
        ("a", "d"),
        ("b", "c:d"),
        ("c", "d"),
        ("d", "d"),
        ("b", "c"),
        ("b", "c d"),
        ("b", "c|d"),
        ("b", "c\td"),
    ] {
        let answer = ask(&gateway, who, Dialect::Chat, "m-1", &[("x-tollgate-thread", thread)]);
        assert_eq!(answer.status, 200, "{who} {thread:?}: {}", answer.text());
    }
}

#[test]
fn a_thread_of_any_length_is_one_thread() {
    let provider = provider();
    let gateway =
        start(&provider, &format!("{}[[limits]]\nscope = ['thread']\nrequests = '1/day'\n", key("ann", "")));
    let long = "t".repeat(8000);
    let ask =
        |thread: &str| ask(&gateway, "ann", Dialect::Chat, "m-1", &[("x-tollgate-thread", thread)]).status;
    assert_eq!((ask(&long), ask(&long)), (200, 429));
    assert_eq!(ask("short"), 200);
}
