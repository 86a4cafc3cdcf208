//! The recorded exchanges of the generation APIs, as the translation meets them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use tollgate_filters::exchange::Dialect;

const APIS: [(&str, Dialect); 5] = [
    ("chat", Dialect::OpenaiChat),
    ("responses", Dialect::OpenaiResponses),
    ("messages", Dialect::Anthropic),
    ("generateContent", Dialect::Gemini),
    ("streamGenerateContent", Dialect::Gemini),
];

/// One exchange.
pub struct Recording {
    pub id: String,
    pub provider: String,
    pub dialect: Dialect,
    /// Whether the answer is asked for as a stream.
    pub stream: bool,
    pub request: Value,
    pub status: u16,
    pub answer: Answer,
}

/// An answer's body.
pub enum Answer {
    Whole(Value),
    Sse(Vec<u8>),
    /// A stream in the form of a JSON array.
    Array(Vec<u8>),
    Other(Vec<u8>),
}

impl Answer {
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Whole(value) => value.to_string().into_bytes(),
            Self::Sse(bytes) | Self::Array(bytes) | Self::Other(bytes) => bytes.clone(),
        }
    }
}

#[derive(Deserialize)]
struct File {
    id: String,
    provider: String,
    api: String,
    stream: bool,
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
    body: Value,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    body: Value,
}

/// All of them, or `None` where the corpus is not beside the checkout.
pub fn recordings() -> Option<Vec<Recording>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    if !folder.join("README.md").exists() {
        return None;
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for provider in ["anthropic", "gemini", "groq", "mistral", "openai", "openrouter"] {
        for (api, _) in APIS {
            let Ok(entries) = std::fs::read_dir(folder.join(provider).join(api)) else { continue };
            files.extend(entries.map(|file| file.unwrap().path()));
        }
    }
    files.sort();
    Some(each(&files, |file| read(file)).into_iter().flatten().collect())
}

fn read(file: &Path) -> Option<Recording> {
    let file: File = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let generates = file.request.method == "POST" && !file.request.path.ends_with("/compact");
    if !generates || !file.request.body.is_object() {
        return None;
    }
    let dialect = APIS.iter().find(|(api, _)| *api == file.api)?.1;
    let text = |name: &str| file.response.body.get(name).and_then(Value::as_str);
    let alone = file.response.body.as_object().is_some_and(|body| body.len() == 1);
    let answer = match (text("sse"), text("base64"), &file.response.body) {
        (Some(sse), _, _) if alone => Answer::Sse(sse.as_bytes().to_vec()),
        (_, Some(other), _) if alone => Answer::Other(STANDARD.decode(other).unwrap()),
        (_, _, Value::Array(_)) if file.response.status == 200 => {
            Answer::Array(file.response.body.to_string().into_bytes())
        }
        _ => Answer::Whole(file.response.body),
    };
    Some(Recording {
        id: file.id,
        provider: file.provider,
        dialect,
        stream: file.stream,
        request: file.request.body,
        status: file.response.status,
        answer,
    })
}

/// Does `work` for each item over two threads; the results are in the order of the items.
pub fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return done };
            done.push((at, work(item)));
        }
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(run)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
