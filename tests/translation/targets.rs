//! Whom things are rendered for: the providers behind each dialect, and a client.

use std::sync::LazyLock;

use tollgate_filters::chat::{Client, Quirks, Request, Target};
use tollgate_filters::exchange::Dialect;

pub const DIALECTS: [Dialect; 4] =
    [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::Anthropic, Dialect::Gemini];

/// Whom a request is rendered for: a dialect, the provider that speaks it, and what the table calls both.
pub const TARGETS: [(Dialect, &str, &str); 7] = [
    (Dialect::OpenaiChat, "openai", "openai_chat"),
    (Dialect::OpenaiChat, "groq", "openai_chat at Groq"),
    (Dialect::OpenaiChat, "mistral", "openai_chat at Mistral"),
    (Dialect::OpenaiChat, "openrouter", "openai_chat at OpenRouter"),
    (Dialect::OpenaiResponses, "openai", "openai_responses"),
    (Dialect::Anthropic, "anthropic", "anthropic"),
    (Dialect::Gemini, "gemini", "gemini"),
];

/// The provider that a dialect is named after.
pub fn home(dialect: Dialect) -> &'static str {
    TARGETS.iter().find(|(of, ..)| *of == dialect).map_or("", |(_, provider, _)| provider)
}

/// What `conf/providers.toml` says of a provider.
pub fn quirks(provider: &str) -> Quirks {
    static PROVIDERS: LazyLock<toml::Table> =
        LazyLock::new(|| toml::from_str(include_str!("../../conf/providers.toml")).unwrap());
    let quirks = PROVIDERS["providers"].get(provider).and_then(|table| table.get("quirks"));
    quirks.map_or_else(Quirks::default, |quirks| quirks.clone().try_into().unwrap())
}

/// The target of `request` at `provider`.
pub fn target(request: &Request, provider: &str) -> Target {
    Target {
        model: request.model.clone().unwrap_or_else(|| "the-model".to_owned()),
        stream: request.stream,
        quirks: quirks(provider),
        ..Target::default()
    }
}

/// A client that wants to hear everything.
pub fn client() -> Client {
    Client {
        id: "0198c0ffee00700080000123456789ab".to_owned(),
        request_id: "0198c0ff-ee00-7000-8000-0123456789ab".to_owned(),
        model: "the-model".to_owned(),
        created: 1_760_000_000,
        stream_usage: true,
        sse: true,
        ..Client::default()
    }
}
