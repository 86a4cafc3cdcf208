//! Secrets stay where they belong, whatever happens, and each attack on the gateway's defences leaves a line in the log.

use std::path::Path;

use serde_json::json;

use crate::support::gateway::command;
use crate::support::policy::{DOLLAR_A_TOKEN, MODELS, events, eventually_events};
use crate::support::{Client, Gateway, Provider, Reply, eventually};

const STATIC: &str = "tg-planted-static-key-0123456789";
const STATIC_ENV: &str = "tg-planted-key-by-environment-0123";
const EXPIRED: &str = "tg-planted-expired-key-0123456789";
const UNKNOWN: &str = "tg-planted-unknown-key-0123456789";
const LITERAL: &str = "sk-planted-literal-of-a-provider";
const BY_ENV: &str = "sk-planted-environment-of-a-provider";
const BY_FILE: &str = "sk-planted-file-of-a-provider";
const CLIENTS_OWN: &str = "sk-planted-clients-own-provider-key";
const BEARER: &str = "eyJplanted.token.of-nobody";
const COOKIE: &str = "planted-cookie-value";

const PLANTED: [&str; 10] =
    [STATIC, STATIC_ENV, EXPIRED, UNKNOWN, LITERAL, BY_ENV, BY_FILE, CLIENTS_OWN, BEARER, COOKIE];

const CHAT: &str = r#"{"model":"openai/m-1","max_tokens":5,"messages":[]}"#;

fn ask(gateway: &Gateway, path: &str, key: &str, more: &[(&str, &str)], body: &str) -> Option<(u16, String)> {
    let mut client = gateway.client();
    let mut headers = vec![("content-type", "application/json"), ("x-tollgate-key", key), ("cookie", COOKIE)];
    headers.extend(more);
    client.send("POST", path, &headers, body.as_bytes()).ok()?;
    let answer = client.answer().ok()?;
    Some((answer.status, format!("{:?} {}", answer.headers, answer.text())))
}

/// Fails where one of `secrets` stands in `text`.
fn check(wherever: &str, text: &[u8], secrets: &[&str]) {
    for secret in secrets {
        let found = text.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(
            !found,
            "{secret} stands in {wherever}:\n{}",
            String::from_utf8_lossy(&text[..text.len().min(4000)])
        );
    }
}

fn check_folder(folder: &Path, secrets: &[&str], files: &mut usize) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            check_folder(&path, secrets, files);
        } else {
            *files += 1;
            check(&path.display().to_string(), &std::fs::read(&path).unwrap(), secrets);
        }
    }
}

/// A provider that fails in a way that the request names.
fn failing() -> Provider {
    Provider::start(|seen| {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        let how = |word: &str| body.contains(word);
        match () {
            () if how("close") => Reply::Close,
            () if how("reset") => Reply::ThenReset(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99\r\n\r\ndata: {"
                    .to_vec(),
            ),
            () if how("garbage") => Reply::ThenClose(b"\x00\x01garbage\r\n\r\n".to_vec()),
            () if how("status") => Reply::json(500, r#"{"error":{"message":"it broke"}}"#),
            () if how("unauthorized") => Reply::json(401, r#"{"error":{"message":"bad key"}}"#),
            () => Reply::json(
                200,
                r#"{"model":"m-1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":5,"total_tokens":6}}"#,
            ),
        }
    })
}

fn conf(provider: &Provider, key_file: &Path) -> String {
    let table = |name: &str, secret: &str| {
        format!("[providers.{name}]\nbase_url = '{}'\napi_key = '{secret}'\n{MODELS}", provider.url())
    };
    [
        "auth = 'keys'\ntrusted_proxies = ['127.0.0.0/8']\n[shield]\nbad_credentials = 8\n".to_owned(),
        format!("[[keys]]\nname = 'static'\nkey = '{STATIC}'\norg = 'acme'\nuser = 'ann'\nmodels = ['openai/*', 'byenv/*', 'byfile/*', 'dead/*', 'pass/*']\n"),
        "[[keys]]\nname = 'env'\nkey = 'env:PLANTED_KEY'\norg = 'env'\n".to_owned(),
        format!("[[keys]]\nname = 'expired'\nkey = '{EXPIRED}'\nexpires = '2020-01-01T00:00:00Z'\n"),
        table("openai", LITERAL),
        table("byenv", "env:PLANTED_PROVIDER"),
        table("byfile", &format!("file:{}", key_file.display())),
        format!("[providers.dead]\nbase_url = 'http://127.0.0.1:1'\napi_key = '{LITERAL}'\n"),
        format!("[providers.pass]\nbase_url = '{}'\nauth = 'passthrough'\n", provider.url()),
        "[[limits]]\nname = 'eight'\nscope = ['thread']\nrequests = '1/day'\n".to_owned(),
        "[[budgets]]\nname = 'ten'\nscope = ['org']\nmatch = 'env'\namount = '10'\nperiod = 'day'\n".to_owned(),
        DOLLAR_A_TOKEN.to_owned(),
    ]
    .concat()
}

#[test]
#[allow(clippy::too_many_lines)] // one story: everything that can go wrong, in a row
fn planted_secrets_are_found_nowhere_and_every_security_event_is_told() {
    let provider = failing();
    let keys = tempfile::tempdir().unwrap();
    let key_file = keys.path().join("provider.key");
    std::fs::write(&key_file, format!("{BY_FILE}\n")).unwrap();
    let conf = conf(&provider, &key_file);
    let env = [("PLANTED_KEY", STATIC_ENV), ("PLANTED_PROVIDER", BY_ENV), ("RUST_LOG", "debug")];
    let gateway = Gateway::start_with_env(&conf, &env);
    let create = |name: &str, more: &[&str]| {
        let output = gateway.cli(&[&["keys", "create", "--name", name], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (created, short, revoked) =
        (create("made", &[]), create("short", &["--expires", "1s"]), create("gone", &[]));
    assert!(gateway.cli(&["keys", "revoke", "gone"]).status.success());
    let mut secrets = PLANTED.to_vec();
    secrets.extend([&*created, &*short, &*revoked]);

    let mut said = Vec::new();
    let mut tell = |answer: Option<(u16, String)>, status: u16| {
        let Some((seen, text)) = answer else { return assert_eq!(status, 0) };
        assert!(status == seen || status == 0, "{seen}: {text}");
        said.push(text);
    };
    let chat = "/v1/chat/completions";
    // All is well, with each key of each provider.
    for provider in ["openai", "byenv", "byfile"] {
        tell(ask(&gateway, chat, STATIC, &[], &CHAT.replace("openai", provider)), 200);
    }
    tell(
        ask(
            &gateway,
            chat,
            &created,
            &[("authorization", &format!("Bearer {CLIENTS_OWN}"))],
            &CHAT.replace("openai", "pass"),
        ),
        200,
    );
    // Every kind of failure.
    for (how, status) in
        [("close", 502), ("reset", 0), ("garbage", 502), ("status", 500), ("unauthorized", 401)]
    {
        for stream in ["", r#""stream":true,"#] {
            tell(
                ask(
                    &gateway,
                    chat,
                    STATIC,
                    &[],
                    &CHAT.replace("\"messages\"", &format!("{stream}\"user\":\"{how}\",\"messages\"")),
                ),
                status,
            );
        }
    }
    tell(ask(&gateway, chat, STATIC, &[], &CHAT.replace("openai", "dead")), 502);
    tell(ask(&gateway, chat, STATIC, &[], "{not json"), 400);
    tell(ask(&gateway, "/v1//chat", STATIC, &[], CHAT), 400);
    tell(ask(&gateway, &format!("/v1/nowhere?key={CLIENTS_OWN}"), STATIC, &[], "{}"), 0);
    tell(ask(&gateway, chat, STATIC, &[], &CHAT.replace("openai", "nobody")), 0);
    // Every kind of refusal.
    tell(ask(&gateway, chat, EXPIRED, &[], CHAT), 0);
    tell(ask(&gateway, chat, &revoked, &[], CHAT), 401);
    eventually("the key to expire", || (ask(&gateway, chat, &short, &[], CHAT)?.0 == 401).then_some(()));
    tell(ask(&gateway, chat, STATIC, &[("x-tollgate-bridge", "none")], CHAT), 404);
    tell(ask(&gateway, "/v1/files", STATIC, &[("x-tollgate-provider", "openai")], "{}"), 403);
    for status in [200, 429] {
        tell(ask(&gateway, chat, STATIC, &[("x-tollgate-thread", "t")], CHAT), status);
    }
    for status in [200, 200, 429] {
        tell(ask(&gateway, chat, STATIC_ENV, &[], CHAT), status);
        gateway.idle();
    }
    tell(ask(&gateway, chat, STATIC, &[("x-forwarded-for", "203.0.113.9")], CHAT), 200);
    for _ in 0..40 {
        tell(
            ask(
                &gateway,
                &format!("{chat}?key={UNKNOWN}"),
                UNKNOWN,
                &[("authorization", &format!("Bearer {BEARER}"))],
                CHAT,
            ),
            0,
        );
    }
    let raw =
        format!("GET /v1/models HTTP/1.1\r\nbad header {STATIC}\r\nauthorization: Bearer {STATIC}\r\n\r\n");
    let mut client = gateway.client();
    let _ = std::io::Write::write_all(client.stream(), raw.as_bytes());
    tell(client.answer().ok().map(|answer| (answer.status, answer.text())), 0);

    check_events(&gateway);
    let admin = |path| Client::connect(gateway.admin).call("GET", path, &[], b"").body;
    for path in ["/metrics", "/readyz", "/healthz"] {
        check(path, &admin(path), &secrets);
    }
    for text in &said {
        check("an answer", text.as_bytes(), &secrets);
    }
    let list = [&["keys", "list"][..], &["keys", "list", "--json"], &["usage", "--rows", "--json"]];
    for arguments in list {
        let output = gateway.cli(arguments);
        check(&format!("{arguments:?}"), &[output.stdout, output.stderr].concat(), &secrets);
    }
    let file = gateway.folder().join("tollgate.toml");
    let output = command().arg("check").arg(&file).envs(env).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    check("tollgate check", &[output.stdout, output.stderr].concat(), &secrets);
    // All is written when the process has ended; its own configuration is where secrets may stand.
    let folder = gateway.stop();
    std::fs::remove_file(folder.path().join("tollgate.toml")).unwrap();
    let mut files = 0;
    check_folder(folder.path(), &secrets, &mut files);
    assert!(files >= 4, "stdout, stderr, keys and usage were looked at: {files}");
    let log = std::fs::read(folder.path().join("stdout")).unwrap();
    assert!(log.len() > 1000, "there was something to find");
}

fn check_events(gateway: &Gateway) {
    for what in [
        "authentication_failed",
        "revoked_key_used",
        "expired_key_used",
        "permission_denied",
        "limit_hit",
        "budget_exhausted",
        "budget_threshold",
        "flood",
        "new_network",
    ] {
        let events = eventually_events(gateway, what, 1);
        let metric = format!("tollgate_security_events_total{{event=\"{what}\"}}");
        let counted = gateway.metric(&metric);
        assert!(counted >= 1.0 && !events.is_empty(), "{what}: {counted}\n{}", gateway.metrics());
    }
    let hit = &events(gateway, "limit_hit")[0];
    assert_eq!(
        (&hit["org"], &hit["user"], &hit["key"], &hit["rule"]),
        (&json!("acme"), &json!("ann"), &json!("static"), &json!("eight"))
    );
    let event = &events(gateway, "new_network")[0];
    assert_eq!((&event["client"], &event["key"]), (&json!("203.0.113.9"), &json!("static")));
}

#[test]
fn the_password_of_the_counters_and_the_secret_of_an_issuer_are_found_nowhere() {
    const PASSWORD: &str = "planted-password-of-redis";
    const JWT: &str = "planted-secret-of-an-issuer-0123456789abcdef";
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.cGxhbnRlZA.cGxhbnRlZHNpZ25hdHVyZQ";
    let provider = failing();
    let closed = crate::support::gateway::free_port();
    let conf = format!(
        "auth = 'keys'\n[auth.jwt.main]\nsecret = '{JWT}'\norg = 'acme'\n[stores]\ncounters = 'redis://user:{PASSWORD}@{closed}'\n\
         [[keys]]\nname = 'static'\nkey = '{STATIC}'\n[[limits]]\nname = 'r'\nscope = ['key']\nrequests = '100/s'\n\
         [providers.openai]\nbase_url = '{}'\napi_key = '{LITERAL}'\n{MODELS}",
        provider.url()
    );
    let gateway = Gateway::start_with_env(&conf, &[("RUST_LOG", "debug")]);
    let secrets = [PASSWORD, JWT, TOKEN, STATIC, LITERAL];
    let mut said = Vec::new();
    // Redis is not there, and the token is nobody's.
    for key in [STATIC, TOKEN] {
        let (_, text) = ask(&gateway, "/v1/chat/completions", key, &[], CHAT).unwrap();
        said.push(text);
    }
    eventually_events(&gateway, "authentication_failed", 1);
    for text in said {
        check("an answer", text.as_bytes(), &secrets);
    }
    for path in ["/metrics", "/readyz"] {
        check(path, &Client::connect(gateway.admin).call("GET", path, &[], b"").body, &secrets);
    }
    let output = command().arg("check").arg(gateway.folder().join("tollgate.toml")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    check("tollgate check", &[output.stdout, output.stderr].concat(), &secrets);
    let folder = gateway.stop();
    std::fs::remove_file(folder.path().join("tollgate.toml")).unwrap();
    check_folder(folder.path(), &secrets, &mut 0);
}

/// A configuration that is wrong around a secret is told of without it.
#[test]
fn a_mistake_next_to_a_secret_does_not_show_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tollgate.toml");
    for conf in [
        format!("[[keys]]\nname = 'a'\nkey = '{STATIC}'\nkye = 'x'\n"),
        format!("[[keys]]\nname = 'a'\nkey = '{STATIC}'\n[[keys]]\nname = 'b'\nkey = '{STATIC}'\n"),
        format!("[providers.x]\nbase_url = 'nowhere'\napi_key = '{LITERAL}'\nauth = 'none-such'\n"),
        format!("[stores]\ncounters = 'redis://u:{UNKNOWN}@'\n"),
        format!("[stores]\ncounters = 'postgres://u:{UNKNOWN}@host'\n"),
        format!("[[keys]]\nname = 'a'\nkey = ['{STATIC}']\n"),
    ] {
        std::fs::write(&file, &conf).unwrap();
        let output = command().arg("check").arg(&file).output().unwrap();
        check(&conf, &[output.stdout, output.stderr].concat(), &[STATIC, LITERAL, UNKNOWN]);
    }
}
