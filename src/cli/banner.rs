//! What a starting gateway says: where it listens, who is behind it, and a line to try.

use std::fmt::Write as _;

use tollgate_filters::exchange::Dialect;

use crate::conf::{Conf, DEMO};

pub(super) struct Banner {
    listen: Vec<String>,
    scheme: &'static str,
    admin: Option<String>,
    data: String,
    on: Vec<(String, String, Vec<Dialect>)>,
    off: Vec<(String, String)>,
    notes: Vec<String>,
}

impl Banner {
    pub(super) fn new(conf: &Conf) -> Self {
        let on = conf.providers.iter().map(|p| (p.name.clone(), p.base_url.clone(), p.dialects.clone()));
        Self {
            listen: conf.server.listen.clone(),
            scheme: if conf.server.tls.is_some() { "https" } else { "http" },
            admin: conf.server.admin.clone(),
            data: conf.server.data.display().to_string(),
            on: on.collect(),
            off: conf.off.iter().map(|(name, why)| (name.clone(), why.clone())).collect(),
            notes: conf.notes.clone(),
        }
    }

    /// Which providers are on, and which are not and why.
    pub(super) fn providers(&self) -> String {
        let mut out = String::new();
        for (name, url, _) in &self.on {
            let place =
                if url.is_empty() { "built in: answers without a key and without a network" } else { url };
            let _ = writeln!(out, "  on   {name:<12} {place}");
        }
        for (name, why) in &self.off {
            let _ = writeln!(out, "  off  {name:<12} {why}");
        }
        for note in &self.notes {
            let _ = writeln!(out, "  note {note}");
        }
        out
    }

    pub(super) fn text(&self, open: bool) -> String {
        let mut out = format!("Tollgate {}\n", env!("CARGO_PKG_VERSION"));
        for address in &self.listen {
            let _ = writeln!(out, "  listening on {}://{address}, data in {}", self.scheme, self.data);
        }
        if let Some(admin) = &self.admin {
            let _ = writeln!(out, "  health and metrics on http://{admin}/healthz, /readyz and /metrics");
        }
        out.push_str(&self.providers());
        out.push_str(if open {
            "  open: nobody is asked for a key until one is made with `tollgate keys create --name NAME`\n"
        } else {
            "  a gateway key is asked for\n"
        });
        out.push_str(&self.example(open));
        out
    }

    /// curl lines that work as printed, for the first provider that is on.
    fn example(&self, open: bool) -> String {
        let (Some((provider, _, dialects)), Some(address)) = (self.on.first(), self.listen.first()) else {
            return "No provider is on. Set OPENAI_API_KEY or another provider's key, or write a [providers.NAME] table.\n".to_owned();
        };
        let model = match provider.as_str() {
            DEMO => "demo",
            "openai" => "gpt-5-mini",
            "anthropic" => "claude-haiku-4-5",
            "gemini" => "gemini-2.5-flash",
            "groq" => "groq/openai/gpt-oss-120b",
            "mistral" => "mistral-small-latest",
            "openrouter" => "openrouter/openrouter/auto",
            _ => return String::new(),
        };
        let base = format!("{}://{address}", self.scheme);
        let key = if open { "" } else { " -H \"authorization: Bearer $TOLLGATE_KEY\"" };
        let body = |more: &str| match dialects.first() {
            Some(Dialect::Gemini) => r#"{"contents":[{"parts":[{"text":"Hello"}]}]}"#.to_owned(),
            Some(Dialect::Anthropic) => {
                format!(
                    r#"{{"model":"{model}","max_tokens":100,{more}"messages":[{{"role":"user","content":"Hello"}}]}}"#
                )
            }
            _ => format!(r#"{{"model":"{model}",{more}"messages":[{{"role":"user","content":"Hello"}}]}}"#),
        };
        let (plain, stream, header) = match dialects.first() {
            Some(Dialect::Anthropic) => {
                ("/v1/messages".to_owned(), "/v1/messages".to_owned(), " -H 'anthropic-version: 2023-06-01'")
            }
            Some(Dialect::Gemini) => (
                format!("/v1beta/models/{model}:generateContent"),
                format!("'/v1beta/models/{model}:streamGenerateContent?alt=sse'"),
                "",
            ),
            _ => ("/v1/chat/completions".to_owned(), "/v1/chat/completions".to_owned(), ""),
        };
        let json = "-H 'content-type: application/json'";
        format!(
            "Try it:\n  curl {base}{plain} {json}{header}{key} -d '{}'\n  curl -N {base}{stream} {json}{header}{key} -d '{}'\n",
            body(""),
            body(r#""stream":true,"#),
        )
    }
}
