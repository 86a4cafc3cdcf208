//! Keeps the table in `docs/translation.md` true.

use std::path::{Path, PathBuf};

const START: &str = "<!-- generated: UPDATE_DOCS=1 cargo test --test translation -->\n";
const END: &str = "<!-- end of what is generated -->\n";

/// With `UPDATE_DOCS=1`, writes what was computed between the markers.
pub fn update(computed: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let (head, _, tail) = parts();
        std::fs::write(path(), format!("{head}{START}{}{END}{tail}", framed(computed))).unwrap();
    }
}

/// What stands between the markers is what was computed.
pub fn check(computed: &str) {
    let (_, written, _) = parts();
    assert!(written == framed(computed), "docs/translation.md is out of date: UPDATE_DOCS=1 writes it again");
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/translation.md")
}

fn framed(computed: &str) -> String {
    format!("\n{}\n\n", computed.trim())
}

/// What stands before, between and behind the markers.
fn parts() -> (String, String, String) {
    let text = std::fs::read_to_string(path()).unwrap();
    let (head, rest) = text.split_once(START).expect("docs/translation.md has the first marker");
    let (written, tail) = rest.split_once(END).expect("docs/translation.md has the last marker");
    (head.to_owned(), written.to_owned(), tail.to_owned())
}
