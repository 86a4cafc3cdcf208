//! The vocabularies that texts are counted with: OpenAI's, which are public.
//!
//! Each is unpacked when it is first needed and then kept. Both work in time that is linear in the text.

use bpe_openai::{Tokenizer, cl100k_base, o200k_base};

/// A vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// GPT-4 and GPT-3.5, and OpenAI's embeddings.
    Cl100k,
    /// OpenAI's models from GPT-4o on. It stands in for the vocabularies of all others, which are like it in size.
    O200k,
}

impl Tokens {
    pub fn of(model: &str) -> Self {
        let name = bare(model);
        let newer = name.starts_with("gpt-4o") || name.starts_with("gpt-4.");
        let older = ["gpt-4", "gpt-3.5", "gpt-35", "text-embedding-3", "text-embedding-ada", "davinci-002"];
        if !newer && older.iter().any(|start| name.starts_with(start)) { Self::Cl100k } else { Self::O200k }
    }

    pub fn count(self, text: &str) -> u64 {
        self.tokenizer().count(text) as u64
    }

    fn tokenizer(self) -> &'static Tokenizer {
        match self {
            Self::Cl100k => cl100k_base(),
            Self::O200k => o200k_base(),
        }
    }
}

/// A model's name without its vendor (`openai/gpt-5`), `models/`, or what marks it as fine-tuned (`ft:gpt-4o:…`).
pub(super) fn bare(model: &str) -> &str {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.strip_prefix("ft:").unwrap_or(name)
}

/// The text that `ids` stand for; `None` where one is unknown, or they do not make up whole characters.
pub fn decode_tokens(tokens: Tokens, ids: &[u64]) -> Option<String> {
    let tokenizer = tokens.tokenizer();
    let known = tokenizer.bpe.num_tokens() as u64;
    let ids: Option<Vec<u32>> =
        ids.iter().map(|id| u32::try_from(*id).ok().filter(|_| *id < known)).collect();
    tokenizer.decode(&ids?)
}
