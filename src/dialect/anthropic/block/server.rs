//! Tools that the provider runs itself: their calls and results as blocks.

use serde_json::{Value, json};
use tollgate_filters::chat::{Content, ServerTool, ServerUse, Stage};

/// Reads `server_tool_use` and `mcp_tool_use`.
pub fn call(raw: Value) -> Content {
    let word = |key: &str| raw.get(key).and_then(Value::as_str);
    let name = word("name").unwrap_or_default();
    let tool = if word("type") == Some("mcp_tool_use") { ServerTool::Mcp } else { tool_of(name) };
    let input = raw.get("input").cloned().unwrap_or_default();
    let said = ["query", "url", "code", "command"].into_iter().find_map(|key| input.get(key)?.as_str());
    let input = said.map_or_else(|| input.to_string(), str::to_owned);
    let id = word("id").map(str::to_owned);
    Content::Server(ServerUse { tool, stage: Stage::Call, id, input, output: None, raw })
}

/// Reads `web_search_tool_result`, `mcp_tool_result` and the like.
pub fn result(raw: Value) -> Content {
    let word = |key: &str| raw.get(key).and_then(Value::as_str);
    let name = word("type").and_then(|kind| kind.strip_suffix("_tool_result")).unwrap_or_default();
    let tool = if name == "mcp" { ServerTool::Mcp } else { tool_of(name) };
    let id = word("tool_use_id").map(str::to_owned);
    let output = raw.get("content").and_then(output);
    Content::Server(ServerUse { tool, stage: Stage::Result, id, input: String::new(), output, raw })
}

/// A tool by the name under which it is called. Newer code execution is called by the names of its two halves.
fn tool_of(name: &str) -> ServerTool {
    match name {
        "web_search" => ServerTool::WebSearch,
        "web_fetch" => ServerTool::WebFetch,
        "code_execution" | "bash_code_execution" | "text_editor_code_execution" => ServerTool::CodeExecution,
        other => ServerTool::Other(other.to_owned()),
    }
}

fn output(content: &Value) -> Option<String> {
    match content {
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|block| block.get("text")?.as_str()).collect();
            (!texts.is_empty()).then(|| texts.join("\n"))
        }
        Value::String(text) => Some(text.clone()),
        content => {
            let text = |key: &str| content.get(key).and_then(Value::as_str);
            match (text("stdout"), text("stderr")) {
                (Some(out), Some(err)) if !err.is_empty() => Some(format!("{out}{err}")),
                (Some(out), _) => Some(out.to_owned()),
                _ => text("text").or_else(|| text("content")).map(str::to_owned),
            }
        }
    }
}

/// The blocks that show an Anthropic client what tool of its own another provider used. Empty where there are none.
/// `count` is how many had no id so far: a call gets one with the gateway's id of the answer in it, and its result the
/// same.
pub fn shown(used: &ServerUse, answer: &str, count: &mut u32) -> Vec<Value> {
    let name = match used.tool {
        ServerTool::WebSearch => "web_search",
        ServerTool::WebFetch => "web_fetch",
        ServerTool::CodeExecution => "code_execution",
        _ => return Vec::new(),
    };
    let id = match used.id.as_deref() {
        Some(id) if !id.is_empty() => super::clean_id(id).replace('-', "_"),
        _ => {
            *count += u32::from(used.stage != Stage::Result);
            format!("tg_{}_{count}", answer.replace('-', "_"))
        }
    };
    let id = format!("srvtoolu_{id}");
    let mut blocks = Vec::new();
    if used.stage != Stage::Result {
        let key = match used.tool {
            ServerTool::WebSearch => "query",
            ServerTool::WebFetch => "url",
            _ => "code",
        };
        blocks.push(json!({"type": "server_tool_use", "id": id, "name": name, "input": {key: used.input}}));
    }
    let content = match used.tool {
        _ if used.stage == Stage::Call => return blocks,
        ServerTool::WebSearch => json!([]),
        ServerTool::CodeExecution => json!({
            "type": "code_execution_result",
            "stdout": used.output.as_deref().unwrap_or_default(),
            "stderr": "",
            "return_code": 0,
            "content": [],
        }),
        _ => return blocks, // of a fetched page other dialects say only the URL
    };
    blocks.push(json!({"type": format!("{name}_tool_result"), "tool_use_id": id, "content": content}));
    blocks
}
