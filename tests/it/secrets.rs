//! Provider keys in the store: set, used, changed under a running gateway, wrapped again, and never in the clear.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use crate::support::gateway::command;
use crate::support::{Dialect, Gateway, Provider, Reply, eventually};

/// Runs `tollgate secrets` on a folder with these master keys; `input` goes to its standard input.
fn secrets(data: &Path, env: &[(&str, &str)], arguments: &[&str], input: &str) -> String {
    let conf = data.join("secrets.toml");
    let previous = if env.iter().any(|(name, _)| *name == "OLD") { "['env:OLD']" } else { "[]" };
    std::fs::create_dir_all(data).unwrap();
    std::fs::write(&conf, format!("[secrets]\nprevious_master_keys = {previous}\n")).unwrap();
    let mut child = command()
        .args([
            "--config".as_ref(),
            conf.as_os_str(),
            "--data".as_ref(),
            data.as_os_str(),
            "secrets".as_ref(),
        ])
        .args(arguments)
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_stored_key_is_used_changed_and_wrapped_again_under_a_running_gateway() {
    let provider = Provider::start(|_| Reply::json(200, Dialect::Chat.answer()));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let master = secrets(&data, &[], &["keygen"], "");
    let env = [("TOLLGATE_MASTER_KEY", &*master)];
    secrets(&data, &env, &["set", "openai"], "sk-first-of-the-store");
    let conf = format!("[providers.openai]\nbase_url = '{}'\napi_key = 'store:openai'\n", provider.url());
    let gateway = Gateway::start_in(folder, &conf, &env);
    let key = || {
        let answer = gateway.client().post("/v1/chat/completions", r#"{"model":"openai/m-1","messages":[]}"#);
        assert_eq!(answer.status, 200, "{}", answer.text());
        provider.last().header("authorization").unwrap().to_owned()
    };
    assert_eq!(key(), "Bearer sk-first-of-the-store");
    secrets(&data, &env, &["set", "openai"], "sk-second-of-the-store");
    eventually("the new key to be used", || (key() == "Bearer sk-second-of-the-store").then_some(()));
    let next = secrets(&data, &[], &["keygen"], "");
    let rotated = [("TOLLGATE_MASTER_KEY", &*next), ("OLD", &*master)];
    secrets(&data, &rotated, &["rotate"], "");
    assert_eq!(key(), "Bearer sk-second-of-the-store", "a running gateway goes on");
    let listed = secrets(&data, &[("TOLLGATE_MASTER_KEY", &*next)], &["list", "--json"], "");
    assert!(listed.contains("openai") && !listed.contains("sk-"), "{listed}");
    for file in std::fs::read_dir(&data).unwrap() {
        let file = file.unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        assert!(memchr::memmem::find(&bytes, b"of-the-store").is_none(), "{}", file.display());
    }
    let again = Gateway::start_in(gateway.stop(), &conf, &[("TOLLGATE_MASTER_KEY", &*next)]);
    let answer = again.client().post("/v1/chat/completions", r#"{"model":"openai/m-1","messages":[]}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(provider.last().header("authorization"), Some("Bearer sk-second-of-the-store"));
}
