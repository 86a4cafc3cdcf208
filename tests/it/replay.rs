//! Every recorded provider exchange goes through a running gateway: what goes up is what the client sent,
//! what comes down is what the provider sent, and the ledger's tokens are the recorded usage.
//!
//! The recordings lie beside the checkout; where they are not, the test says so. The project's own
//! fixtures in the other files cover each shape as well.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::support::{Answer, Gateway, Provider, Reply, Seen};

const PROVIDERS: [&str; 6] = ["openai", "anthropic", "gemini", "groq", "mistral", "openrouter"];

/// Sizes of the pieces that answers are cut into; `usize::MAX` is the whole.
const CUTS: [usize; 4] = [usize::MAX, 1000, 7, 1];

#[derive(Deserialize)]
struct Recording {
    id: String,
    provider: String,
    api: String,
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
    query: String,
    headers: HashMap<String, String>,
    body: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    headers: HashMap<String, String>,
    body: Option<Box<RawValue>>,
}

/// A body as the corpus keeps it: JSON, an SSE text, or base64.
fn bytes(body: Option<&RawValue>) -> Vec<u8> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "lowercase")]
    enum Special {
        Sse(String),
        Base64(String),
    }
    let Some(body) = body else { return Vec::new() };
    match serde_json::from_str(body.get()) {
        Ok(Special::Sse(text)) => text.into_bytes(),
        Ok(Special::Base64(text)) => STANDARD.decode(text).unwrap(),
        Err(_) => body.get().as_bytes().to_vec(),
    }
}

fn corpus() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    folder.join("README.md").exists().then_some(folder)
}

fn recordings(folder: &Path) -> Vec<Recording> {
    let mut files = Vec::new();
    for provider in PROVIDERS {
        for api in std::fs::read_dir(folder.join(provider)).unwrap() {
            for file in std::fs::read_dir(api.unwrap().path()).unwrap() {
                files.push(file.unwrap().path());
            }
        }
    }
    files.sort();
    files.iter().map(|file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()).collect()
}

#[test]
fn every_recorded_exchange_passes_byte_for_byte_and_is_counted() {
    let Some(folder) = corpus() else {
        eprintln!("SKIPPED: the recorded exchanges are not beside this checkout");
        return;
    };
    let recordings: Arc<Vec<Recording>> = Arc::new(recordings(&folder));
    assert!(recordings.len() > 3000, "the corpus is whole");
    let played = recordings.clone();
    let provider = Provider::start(move |seen| play(&played, seen));
    let tables: String = PROVIDERS.iter().map(|name| provider.table(name)).collect();
    let gateway = Gateway::start(&tables);

    let next = AtomicUsize::new(0);
    let run = || {
        let mut client = gateway.client();
        let mut done = Vec::new();
        while let Some(recording) = recordings.get(next.fetch_add(1, Ordering::SeqCst)) {
            for cut in CUTS {
                let answer = send(&mut client, recording, next.load(Ordering::SeqCst), cut);
                check_answer(recording, cut, &answer);
                done.push((answer.id().to_owned(), recording, cut));
                if answer.header("connection") == Some("close") {
                    client = gateway.client();
                }
            }
        }
        done
    };
    let done: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });

    check_requests(&provider, &recordings);
    let rows = crate::support::eventually("all rows", || {
        Some(gateway.rows()).filter(|rows| rows.len() >= done.len())
    });
    let rows: HashMap<&str, &Value> =
        rows.iter().map(|row| (row["request_id"].as_str().unwrap(), row)).collect();
    let mut table: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    for (id, recording, cut) in &done {
        let counted = check_row(recording, *cut, rows[id.as_str()]);
        let entry = table.entry((&recording.provider, &recording.api)).or_default();
        entry.0 += 1;
        entry.1 += usize::from(counted);
    }
    eprintln!("provider     api                      runs  with usage");
    for ((provider, api), (runs, counted)) in &table {
        eprintln!("{provider:<12} {api:<22} {runs:>6} {counted:>11}");
    }
    eprintln!(
        "{} recordings, {} runs (each whole and cut into 1, 7 and 1,000 bytes); left out: none",
        recordings.len(),
        done.len()
    );
    assert_eq!(done.len(), recordings.len() * CUTS.len());
}

/// Sends the recorded request behind its provider's prefix.
fn send(client: &mut crate::support::Client, recording: &Recording, index: usize, cut: usize) -> Answer {
    let request = &recording.request;
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let path = format!("/{}{}{query}", recording.provider, request.path);
    let (index, cut) = ((index - 1).to_string(), cut.to_string());
    let mut headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    // The recordings leave out the headers that only say which SDK it was.
    headers.extend([("x-replay", recording.id.as_str()), ("x-replay-index", &index), ("x-replay-cut", &cut)]);
    let body = bytes(request.body.as_deref());
    if !body.is_empty() && !request.headers.contains_key("content-type") {
        let json = serde_json::from_slice::<Value>(&body).is_ok();
        headers.push(("content-type", if json { "application/json" } else { "application/octet-stream" }));
    }
    client.send(&request.method, &path, &headers, &body).unwrap();
    client.answer().unwrap_or_else(|e| panic!("{} {} cut {cut}: {e}", recording.api, recording.id))
}

fn play(recordings: &[Recording], seen: &Seen) -> Reply {
    let id = seen.header("x-replay").unwrap();
    let recording = recordings.iter().find(|r| r.id == id).unwrap();
    let cut: usize = seen.header("x-replay-cut").unwrap().parse().unwrap();
    let response = &recording.response;
    let body = bytes(response.body.as_deref());
    let mut headers: Vec<(&str, &str)> =
        response.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    if !response.headers.contains_key("content-type") {
        headers.push((
            "content-type",
            if body.starts_with(b"data:") || body.starts_with(b"event:") {
                "text/event-stream"
            } else {
                "application/json"
            },
        ));
    }
    if cut == usize::MAX {
        Reply::full(response.status, &headers, &body)
    } else {
        Reply::chunked(response.status, &headers, body.chunks(cut))
    }
}

/// Whether the gateway asks for usage on the client's behalf, and so has a chunk to take out.
fn asks_for_usage(recording: &Recording) -> bool {
    let Some(body) = recording.request.body.as_deref() else { return false };
    let body: Value = serde_json::from_str(body.get()).unwrap_or_default();
    recording.provider == "openai"
        && recording.request.method == "POST"
        && recording.request.path.ends_with("/chat/completions")
        && body["stream"] == json!(true)
        && body["stream_options"]["include_usage"] != json!(true)
}

/// What the client is to see.
fn expected_answer(recording: &Recording) -> Vec<u8> {
    let body = bytes(recording.response.body.as_deref());
    if !asks_for_usage(recording) {
        return body;
    }
    let text = String::from_utf8(body).unwrap();
    let is_usage_chunk = |event: &&str| {
        let data = event.trim().strip_prefix("data:").unwrap_or_default();
        let data: Value = serde_json::from_str(data).unwrap_or_default();
        data["choices"] == json!([]) && data["usage"].is_object()
    };
    text.split_inclusive("\n\n").filter(|event| !is_usage_chunk(event)).collect::<String>().into_bytes()
}

fn check_answer(recording: &Recording, cut: usize, answer: &Answer) {
    let what = format!("{} {} {} cut {cut}", recording.provider, recording.api, recording.id);
    assert_eq!(answer.status, recording.response.status, "{what}: {}", answer.text());
    let expected = expected_answer(recording);
    assert!(answer.complete, "{what}: the answer did not end as it should");
    assert!(
        answer.body == expected,
        "{what}: the client saw {:?} instead of {:?}",
        answer.text(),
        String::from_utf8_lossy(&expected)
    );
    for (name, value) in &recording.response.headers {
        assert_eq!(answer.header(name), Some(value.as_str()), "{what}: header {name}");
    }
}

fn check_requests(provider: &Provider, recordings: &[Recording]) {
    let by_id: HashMap<&str, &Recording> = recordings.iter().map(|r| (r.id.as_str(), r)).collect();
    let seen = provider.seen();
    assert_eq!(seen.len(), recordings.len() * CUTS.len());
    for request in seen {
        let recording = by_id[request.header("x-replay").unwrap()];
        let what = format!("{} {} {}", recording.provider, recording.api, recording.id);
        let body = bytes(recording.request.body.as_deref());
        if asks_for_usage(recording) {
            let asked = request.json();
            assert_eq!(asked["stream_options"]["include_usage"], json!(true), "{what}");
            let text = String::from_utf8(request.body.clone()).unwrap();
            let plain = text.replacen(r#""stream_options":{"include_usage":true},"#, "", 1);
            assert_eq!(plain.as_bytes(), body, "{what}: more than the usage request was changed");
        } else {
            assert!(
                request.body == body,
                "{what}: the provider saw {:?}",
                String::from_utf8_lossy(&request.body)
            );
        }
        let query = if recording.request.query.is_empty() {
            String::new()
        } else {
            format!("?{}", recording.request.query)
        };
        assert_eq!(request.target, format!("{}{query}", recording.request.path), "{what}");
        assert_eq!(request.method, recording.request.method, "{what}");
        for (name, value) in &recording.request.headers {
            assert_eq!(request.header(name), Some(value.as_str()), "{what}: header {name}");
        }
    }
}

/// Compares a row with the recorded usage, read here in another way than the gateway does. Returns
/// whether there was usage to compare.
fn check_row(recording: &Recording, cut: usize, row: &Value) -> bool {
    let what = format!("{} {} {} cut {cut}: {row}", recording.provider, recording.api, recording.id);
    assert_eq!(row["status"], json!(recording.response.status), "{what}");
    assert_eq!(row["provider"], json!(recording.provider), "{what}");
    let usage = recorded_usage(recording);
    let zero = BTreeMap::new();
    let expected = usage.as_ref().unwrap_or(&zero);
    let estimated = row["measured"] == json!(false);
    assert_eq!(estimated, usage.is_none() && generates(recording), "{what}: measured or estimated");
    if estimated {
        return false;
    }
    for kind in [
        "input_tokens",
        "cached_input_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
        "audio_input_tokens",
        "image_input_tokens",
        "tool_input_tokens",
        "output_tokens",
        "reasoning_tokens",
        "audio_output_tokens",
        "image_output_tokens",
    ] {
        assert_eq!(row[kind], json!(expected.get(kind).copied().unwrap_or_default()), "{what}: {kind}");
    }
    usage.is_some()
}

fn is_post(recording: &Recording) -> bool {
    recording.request.method == "POST"
        && !recording.request.path.contains("/batches")
        && recording.api != "count_tokens"
        && !recording.request.path.ends_with("input_tokens")
}

/// Whether an answer without usage is estimated: a successful one of an operation that uses tokens for certain.
fn generates(recording: &Recording) -> bool {
    let path = recording.request.path.trim_end_matches('/');
    let chat = [
        "/completions",
        "/responses",
        "/v1/messages",
        ":generateContent",
        ":streamGenerateContent",
        "/embeddings",
        ":embedContent",
        ":batchEmbedContents",
    ];
    is_post(recording) && recording.response.status < 300 && chat.iter().any(|end| path.ends_with(end))
}

/// The documents of an answer: one, an array's elements, or an event stream's.
fn documents(recording: &Recording) -> Vec<Value> {
    let body = bytes(recording.response.body.as_deref());
    let text = String::from_utf8_lossy(&body);
    match serde_json::from_str(&text) {
        Ok(Value::Array(elements)) => elements,
        Ok(document) => vec![document],
        Err(_) => text.lines().filter_map(|l| serde_json::from_str(l.strip_prefix("data:")?).ok()).collect(),
    }
}

/// Tokens by kind as the recording has them; `None` where it has none.
fn recorded_usage(recording: &Recording) -> Option<BTreeMap<&'static str, u64>> {
    if !is_post(recording) || recording.response.status >= 300 {
        return None;
    }
    let documents = documents(recording);
    let blocks: Vec<&Value> = documents
        .iter()
        .flat_map(|d| {
            [
                &d["usage"],
                &d["usageMetadata"],
                &d["response"]["usage"],
                &d["message"]["usage"],
                &d["x_groq"]["usage"],
                &d["interaction"]["usage"],
            ]
        })
        .filter(|block| block.is_object())
        .collect();
    let (first, last) = (*blocks.first()?, *blocks.last()?);
    let number = |pointer: &str| last.pointer(pointer).and_then(Value::as_u64);
    let any = |pointers: &[&str]| pointers.iter().find_map(|p| number(p)).unwrap_or_default();
    let mut usage = BTreeMap::new();
    if recording.request.path.ends_with("/v1/messages") {
        let either = |pointer: &str| {
            last.pointer(pointer).or(first.pointer(pointer)).and_then(Value::as_u64).unwrap_or_default()
        };
        let (read, written) = (either("/cache_read_input_tokens"), either("/cache_creation_input_tokens"));
        let hour = either("/cache_creation/ephemeral_1h_input_tokens");
        usage.insert("input_tokens", either("/input_tokens") + read + written);
        usage.insert("cached_input_tokens", read);
        usage.insert("cache_write_5m_tokens", written - hour);
        usage.insert("cache_write_1h_tokens", hour);
        usage.insert("output_tokens", either("/output_tokens"));
        usage.insert("reasoning_tokens", either("/output_tokens_details/thinking_tokens"));
    } else if recording.provider == "gemini" && !recording.request.path.contains("/openai/") {
        let modality = |list: &str, wanted: &str| -> u64 {
            let list = last[list].as_array().cloned().unwrap_or_default();
            let fits = |m: &&Value| m["modality"].as_str().is_some_and(|m| m.eq_ignore_ascii_case(wanted));
            list.iter()
                .filter(fits)
                .map(|m| m["tokenCount"].as_u64().or(m["tokens"].as_u64()).unwrap_or_default())
                .sum()
        };
        let prompt = |wanted| {
            modality("promptTokensDetails", wanted)
                + modality("promptTokenDetails", wanted)
                + modality("toolUsePromptTokensDetails", wanted)
                + modality("input_tokens_by_modality", wanted)
        };
        let tool = any(&["/toolUsePromptTokenCount", "/total_tool_use_tokens"]);
        let thoughts = any(&["/thoughtsTokenCount", "/total_thought_tokens"]);
        let only_total = number("/promptTokenCount").or(number("/total_input_tokens")).is_none();
        let total = if only_total { any(&["/totalTokenCount"]) } else { 0 };
        usage.insert("input_tokens", any(&["/promptTokenCount", "/total_input_tokens"]) + tool + total);
        usage.insert("tool_input_tokens", tool);
        usage.insert("cached_input_tokens", any(&["/cachedContentTokenCount", "/total_cached_tokens"]));
        usage.insert("audio_input_tokens", prompt("audio"));
        usage.insert("image_input_tokens", prompt("image"));
        usage.insert("output_tokens", any(&["/candidatesTokenCount", "/total_output_tokens"]) + thoughts);
        usage.insert("reasoning_tokens", thoughts);
        usage.insert("audio_output_tokens", modality("candidatesTokensDetails", "audio"));
        usage.insert("image_output_tokens", modality("candidatesTokensDetails", "image"));
    } else {
        let details = |kind: &str| {
            ["prompt_tokens_details", "prompt_token_details", "input_tokens_details", "input_token_details"]
                .map(|d| format!("/{d}/{kind}"))
        };
        let input = |kind: &str| details(kind).iter().find_map(|p| number(p));
        let output = |kind: &str| {
            any(&[&format!("/completion_tokens_details/{kind}"), &format!("/output_tokens_details/{kind}")])
        };
        let only_total = number("/prompt_tokens").or(number("/input_tokens")).is_none();
        usage.insert(
            "input_tokens",
            if only_total { any(&["/total_tokens"]) } else { any(&["/prompt_tokens", "/input_tokens"]) },
        );
        usage.insert(
            "cached_input_tokens",
            input("cached_tokens").or(number("/num_cached_tokens")).unwrap_or_default(),
        );
        usage.insert("cache_write_5m_tokens", input("cache_write_tokens").unwrap_or_default());
        usage.insert("audio_input_tokens", input("audio_tokens").unwrap_or_default());
        usage.insert("image_input_tokens", input("image_tokens").unwrap_or_default());
        usage.insert("output_tokens", any(&["/completion_tokens", "/output_tokens"]));
        usage.insert("reasoning_tokens", output("reasoning_tokens"));
        usage.insert("audio_output_tokens", output("audio_tokens"));
        usage.insert("image_output_tokens", output("image_tokens"));
    }
    Some(usage)
}
