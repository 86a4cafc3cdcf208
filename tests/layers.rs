//! Which part of the source may know which: the order that `docs/architecture.md` describes, enforced.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::{fs, io};

/// Files by the beginnings of their paths, what no path in their code may go through, and why.
/// A crate stands for those too whose names begin with its own (`pingora_proxy`).
type Rule = (&'static [&'static str], &'static [&'static str], &'static str);

const RULES: &[Rule] = &[
    (
        &["filters/"],
        &["pingora", "sqlx", "tokio", "tollgate"],
        "policies know no transport, no store, no runtime, and not the gateway they serve",
    ),
    (
        &["src/dialect/"],
        &["tokio", "std::fs", "std::net", "std::io", "sqlx", "pingora"],
        "dialects are functions over bytes and do no IO",
    ),
    (&["src/store/"], &["http", "pingora", "crate::proxy", "crate::dialect"], "the store sees no exchange"),
    (&["src/telemetry/"], &["pingora", "crate::proxy"], "telemetry is told what happened; it does not look"),
    (&["src/proxy/"], &["sqlx", "std::fs"], "nothing on an exchange's path waits for a disk"),
    (
        &["src/conf/", "src/conf.rs"],
        &["crate::proxy", "crate::store", "crate::telemetry"],
        "the configuration is made before they are",
    ),
    (&["src/", "filters/"], &["ProxyHttp"], "Pingora's phases are implemented in src/proxy/mod.rs alone"),
];
const PHASES: &str = "src/proxy/mod.rs";

/// What the wire formats are made from.
const DIALECT_IMPORTS: &[&str] = &[
    "base64",
    "bpe_openai",
    "bytes",
    "http",
    "humantime",
    "memchr",
    "rust_decimal",
    "serde",
    "serde_json",
    "std",
    "super",
    "tollgate_filters",
];

#[test]
fn every_part_knows_only_what_it_may_and_every_file_says_what_it_is_for() -> io::Result<()> {
    let (mut files, mut broken) = (Vec::new(), Vec::new());
    for folder in ["src", "filters"] {
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), folder, &mut files)?;
    }
    assert!(files.iter().any(|(file, _)| file == PHASES), "the source is not where it was");
    for (file, text) in &files {
        if !text.starts_with("//!") && !file.ends_with("/tests.rs") && !file.ends_with("_tests.rs") {
            broken.push(format!("{file}:1: a file begins with `//!` and what it is for"));
        }
        let meant = |of: &[&str]| of.iter().any(|start| file.starts_with(start));
        for (line, path, imported) in paths(text) {
            for (_, never, why) in RULES.iter().filter(|(of, ..)| meant(of)) {
                let excepted = |word: &str| match word {
                    "ProxyHttp" => file == PHASES,
                    // Writing into memory reaches nothing outside.
                    "std::io" => path == "std::io::Write",
                    _ => false,
                };
                if never.iter().any(|word| has(&path, word) && !excepted(word)) {
                    broken.push(format!("{file}:{line}: `{path}`: {why}"));
                }
            }
            let first = path.split("::").next().unwrap_or_default();
            let own = first == "self"
                || path.starts_with("crate::dialect::")
                || text.contains(&format!("mod {first};"));
            let known = own || DIALECT_IMPORTS.contains(&first);
            if imported && !known && file.starts_with("src/dialect/") {
                broken.push(format!("{file}:{line}: `{path}`: dialects import only {DIALECT_IMPORTS:?}"));
            }
        }
    }
    assert!(broken.is_empty(), "{} places break a rule:\n{}", broken.len(), broken.join("\n"));
    Ok(())
}

fn has(path: &str, word: &str) -> bool {
    format!("::{path}::").contains(&format!("::{word}::")) || path.starts_with(&format!("{word}_"))
}

fn read(folder: &Path, name: &str, files: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = format!("{name}/{}", path.file_name().unwrap_or_default().display());
        if path.is_dir() {
            read(&path, &name, files)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push((name, fs::read_to_string(path)?));
        }
    }
    Ok(())
}

/// A line without its strings and comments.
fn code(line: &str) -> String {
    let bare: String = line.replace("'\"'", "").replace("\\\"", "").split('"').step_by(2).collect();
    bare.split("//").next().unwrap_or_default().to_owned() + "\n"
}

/// The paths in the code, groups taken apart: the line, the path, and whether it is imported. What is a
/// single word counts where it is imported and no type.
fn paths(text: &str) -> Vec<(usize, String, bool)> {
    let (mut found, mut open, mut path) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut imported) = (1, false);
    for c in text.lines().map(code).collect::<String>().chars() {
        if c.is_alphanumeric() || c == '_' || c == ':' {
            path.push(c);
            continue;
        }
        let whole = open.concat() + path.as_str();
        match c {
            '{' => open.push(if path.ends_with("::") { path.clone() } else { String::new() }),
            '}' => drop(open.pop()),
            _ => {}
        }
        let import = imported && path != "as" && whole.starts_with(char::is_lowercase);
        if !path.is_empty() && c != '{' && (import || whole.contains("::")) {
            found.push((line, whole, import));
        }
        imported = (imported || path == "use") && c != ';';
        line += usize::from(c == '\n');
        path.clear();
    }
    found
}
