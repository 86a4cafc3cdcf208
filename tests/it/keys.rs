//! Who is let in: gateway keys in the store and in the configuration, open gateways, own provider keys.

use serde_json::{Value, json};

use crate::support::gateway::{cli, command, free_port};
use crate::support::{Answer, Gateway, Provider, Reply};

const BODY: &[u8] = br#"{"model":"gpt-4o","messages":[]}"#;

fn start(conf: &str) -> (Provider, Gateway) {
    let provider =
        Provider::start(|_| Reply::json(200, r#"{"usage":{"prompt_tokens":1,"completion_tokens":1}}"#));
    let gateway = Gateway::start(&format!("{conf}{}", provider.table("openai")));
    (provider, gateway)
}

fn ask(gateway: &Gateway, header: &str, value: &str) -> Answer {
    gateway.client().call(
        "POST",
        "/v1/chat/completions",
        &[("content-type", "application/json"), (header, value)],
        BODY,
    )
}

fn stdout(output: std::process::Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_key_is_made_once_works_everywhere_and_is_refused_when_revoked() {
    let (provider, gateway) = start("auth = 'keys'\n");
    assert_eq!(ask(&gateway, "x-none", "").status, 401);
    let key = stdout(gateway.cli(&["keys", "create", "--name", "app", "--org", "acme", "--user", "ann"]));
    assert!(key.starts_with("tg-") && key.len() == 3 + 43, "256 bits in base64url: {key}");
    for (header, value) in [
        ("authorization", format!("Bearer {key}")),
        ("x-api-key", key.clone()),
        ("x-goog-api-key", key.clone()),
        ("x-tollgate-key", key.clone()),
    ] {
        let answer = ask(&gateway, header, &value);
        assert_eq!(answer.status, 200, "{header}");
        let row = &gateway.rows_of(answer.id(), 1)[0];
        assert_eq!((&row["key"], &row["org"], &row["user"]), (&json!("app"), &json!("acme"), &json!("ann")));
    }
    let in_query =
        gateway.client().post(&format!("/v1/chat/completions?key={key}"), std::str::from_utf8(BODY).unwrap());
    assert_eq!(in_query.status, 200);
    for seen in provider.seen() {
        assert!(!format!("{seen:?}").contains(&key), "the gateway's key never goes up");
    }
    let asked = provider.seen().len();
    assert!(stdout(gateway.cli(&["keys", "revoke", "app"])).contains("revoked app"));
    let answer = ask(&gateway, "authorization", &format!("Bearer {key}"));
    assert_eq!(answer.status, 401, "revoked is revoked at once");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    assert_eq!(provider.seen().len(), asked, "a stranger costs the provider nothing");
}

#[test]
fn the_store_keeps_no_key_and_the_list_shows_none() {
    let (_provider, gateway) = start("");
    let key = stdout(gateway.cli(&["keys", "create", "--name", "app"]));
    let list = stdout(gateway.cli(&["keys", "list", "--json"]));
    let listed: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(listed["prefix"], json!(&key[..11]));
    for file in std::fs::read_dir(gateway.data()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let found = bytes.windows(key.len()).any(|window| window == key.as_bytes());
        assert!(!found, "the key itself is nowhere on disk");
    }
}

#[test]
fn an_open_gateway_closes_with_its_first_key_and_does_not_open_again() {
    let (_provider, gateway) = start("");
    assert_eq!(ask(&gateway, "x-none", "").status, 200);
    assert!(gateway.stderr().contains("open: nobody is asked for a key"));
    let key = stdout(gateway.cli(&["keys", "create", "--name", "app"]));
    assert_eq!(ask(&gateway, "x-none", "").status, 401);
    assert_eq!(ask(&gateway, "x-api-key", &key).status, 200);
    stdout(gateway.cli(&["keys", "revoke", &key[..11]]));
    assert_eq!(ask(&gateway, "x-none", "").status, 401);
}

#[test]
fn a_key_expires() {
    let (_provider, gateway) = start("auth = 'keys'\n");
    let key = stdout(gateway.cli(&["keys", "create", "--name", "short", "--expires", "2s"]));
    assert_eq!(ask(&gateway, "x-api-key", &key).status, 200);
    crate::support::eventually("the key to expire", || {
        (ask(&gateway, "x-api-key", &key).status == 401).then_some(())
    });
    assert!(stdout(gateway.cli(&["keys", "list"])).contains("expired"));
}

#[test]
fn a_key_may_use_its_models_and_no_others() {
    let (_provider, gateway) = start("[models.fast]\ntargets=[{provider='openai',model='gpt-4o-mini'}]\n");
    let key = stdout(gateway.cli(&["keys", "create", "--name", "app", "--models", "fast", "openai/gpt-4o"]));
    let ask = |path: &str, model: &str| {
        let body = format!(r#"{{"model":"{model}"}}"#);
        gateway.client().call(
            "POST",
            path,
            &[("content-type", "application/json"), ("x-api-key", &key)],
            body.as_bytes(),
        )
    };
    for model in ["fast", "gpt-4o", "openai/gpt-4o"] {
        assert_eq!(ask("/v1/chat/completions", model).status, 200, "{model}");
    }
    assert_eq!(ask("/openai/v1/chat/completions", "gpt-4o").status, 200);
    for (path, model) in [
        ("/v1/chat/completions", "gpt-4o-mini"),
        ("/openai/v1/chat/completions", "fast"),
        ("/v1/chat/completions", "openai/o3"),
    ] {
        let answer = ask(path, model);
        assert_eq!(answer.status, 403, "{path} {model}: {}", answer.text());
        assert!(answer.text().contains("`app` does not permit"), "{}", answer.text());
    }
    let files = gateway.client().call("GET", "/v1/files", &[("x-api-key", &key)], b"");
    assert_eq!(files.status, 403, "an operation that names no model could use any");
    assert_eq!(gateway.client().call("GET", "/v1/models", &[("x-api-key", &key)], b"").status, 200);
}

#[test]
fn two_live_keys_do_not_share_a_name() {
    let folder = tempfile::tempdir().unwrap();
    stdout(cli(folder.path(), &["keys", "create", "--name", "app"]));
    let again = cli(folder.path(), &["keys", "create", "--name", "app"]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("already"));
    assert!(!cli(folder.path(), &["keys", "revoke", "nobody"]).status.success());
}

#[test]
fn a_client_may_bring_its_own_provider_key() {
    let provider = Provider::start(|_| Reply::json(200, "{}"));
    let table = format!("[providers.openai]\nbase_url='{}'\nauth='passthrough'\n", provider.url());
    let gateway = Gateway::start(&format!("[[keys]]\nname='app'\nkey='tg-0123456789abcdef'\n{table}"));
    let call = |headers: &[(&str, &str)]| {
        let headers = [&[("content-type", "application/json")], headers].concat();
        gateway.client().call("POST", "/v1/chat/completions", &headers, BODY)
    };
    let both = call(&[("x-tollgate-key", "tg-0123456789abcdef"), ("authorization", "Bearer sk-mine")]);
    assert_eq!(both.status, 200);
    assert_eq!(provider.last().header("authorization"), Some("Bearer sk-mine"));
    let only_ours = call(&[("authorization", "Bearer tg-0123456789abcdef")]);
    assert_eq!(only_ours.status, 401);
    assert!(only_ours.text().contains("your own key"), "{}", only_ours.text());
    assert_eq!(call(&[("authorization", "Bearer sk-mine")]).status, 401);
    assert_eq!(provider.seen().len(), 1);
}

#[test]
fn a_redirect_to_itself_does_not_let_strangers_in() {
    let address = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let known = address.clone();
    let provider = Provider::start(move |seen| {
        if seen.target.ends_with('/') {
            let to = format!("{}/v1/chat/completions", known.get().unwrap());
            return Reply::full(307, &[("location", &to)], b"");
        }
        Reply::json(200, "{}")
    });
    address.set(provider.url()).unwrap();
    let gateway = Gateway::start(&format!(
        "[[keys]]\nname='app'\nkey='tg-0123456789abcdef'\n[providers.own]\nbase_url='{}'\n",
        provider.url()
    ));
    let mut client = gateway.client();
    let headers = [("content-type", "application/json"), ("x-api-key", "tg-0123456789abcdef")];
    let redirect = client.call("POST", "/own/v1/chat/completions/", &headers, BODY);
    assert_eq!(redirect.header("location"), Some("http://gateway.test/own/v1/chat/completions"));
    let stranger = client.call("POST", "/own/v1/chat/completions", &headers[..1], BODY);
    assert_eq!(stranger.status, 401);
}

#[test]
fn an_address_that_others_reach_needs_keys_or_a_word_of_consent() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port().port();
    let start = |listen: &str, conf: &str| {
        let file = folder.path().join("c.toml");
        std::fs::write(&file, format!("[server]\nlisten=['{listen}']\nadmin=''\n{conf}")).unwrap();
        let mut child = command();
        child.arg("--config").arg(&file).arg("--data").arg(folder.path().join("data"));
        child.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let refused = start(&format!("0.0.0.0:{port}"), "").wait_with_output().unwrap();
    assert!(!refused.status.success());
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(message.contains("tollgate keys create") && message.contains("auth = \"none\""), "{message}");
    for conf in ["auth='none'\n", "[[keys]]\nname='a'\nkey='tg-0123456789abcdef'\n"] {
        let mut child = start(&format!("0.0.0.0:{port}"), conf);
        crate::support::eventually("it to listen", || {
            assert!(child.try_wait().unwrap().is_none(), "{conf}");
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn no_secret_is_ever_told() {
    let provider = Provider::start(|_| Reply::json(401, r#"{"error":{"message":"bad key"}}"#));
    let gateway = Gateway::start_with_env(
        &format!(
            "[[keys]]\nname='app'\nkey='tg-planted-0123456789'\n[providers.openai]\nbase_url='{}'\napi_key='env:PLANTED'\n[providers.gone]\nbase_url='http://{}'\napi_key='sk-planted-gone'\n",
            provider.url(),
            free_port()
        ),
        &[("PLANTED", "sk-planted-openai"), ("RUST_LOG", "trace")],
    );
    let mut answers = Vec::new();
    for model in ["gpt-4o", "gone/x", "nobody"] {
        let body = format!(r#"{{"model":"{model}"}}"#);
        let headers =
            [("content-type", "application/json"), ("authorization", "Bearer tg-planted-0123456789")];
        answers.push(gateway.client().call("POST", "/v1/chat/completions", &headers, body.as_bytes()));
    }
    answers.push(gateway.client().post("/v1/files?key=tg-planted-0123456789", "{}"));
    let log =
        crate::support::eventually("the log", || Some(gateway.access_log()).filter(|log| log.len() >= 4));
    let told = format!("{answers:?}{log:?}{}{}{:?}", gateway.metrics(), own_log(&gateway), gateway.rows());
    assert!(
        !told.contains("planted"),
        "{}",
        told.split("planted")
            .next()
            .unwrap_or_default()
            .chars()
            .rev()
            .take(200)
            .collect::<String>()
            .chars()
            .rev()
            .collect::<String>()
    );
}

/// The gateway's own log lines; at `trace`, libraries print the bytes on their sockets, which is what `trace` is for.
fn own_log(gateway: &Gateway) -> String {
    gateway.stderr().lines().filter(|line| line.contains("\"target\":\"tollgate")).collect()
}
