//! Items, read.

use serde_json::Value;
use tollgate_filters::chat::{Content, Part, Pointer, Role, ServerTool, ServerUse, Stage};
use tollgate_filters::error::Error;

use super::{Side, call, media, message};
use crate::dialect::fields::Fields;

/// Reads an item of the assistant's, or the result of a tool. What is not known becomes an opaque part.
pub fn parse(value: Value, at: Pointer, side: Side) -> Result<Vec<Part>, Error> {
    let Value::Object(_) = value else { return Ok(vec![Part::new(Content::Opaque(value), at)]) };
    let mut fields = Fields::new(value, at.clone())?;
    let kind = fields.word("type").unwrap_or("message").to_owned();
    let one = match kind.as_str() {
        // Some vendors leave out whose message it is: an answer has no other than the assistant's.
        "message" if fields.word("role").unwrap_or(said_by(side)) == "assistant" => {
            let filled = fields.peek("content").is_some_and(|content| {
                content.is_string() || content.as_array().is_some_and(|list| !list.is_empty())
            });
            if filled {
                fields.take("role");
                let (mut parts, _) = message::content(&mut fields, Role::Assistant, side)?;
                message::keep(&mut parts, &at, fields.rest(), side);
                return Ok(parts);
            }
            opaque(fields)
        }
        "function_call" => call::call(fields, false, side)?,
        "custom_tool_call" => call::call(fields, true, side)?,
        "function_call_output" => call::output(fields, false)?,
        "custom_tool_call_output" => call::output(fields, true)?,
        "reasoning" => call::reasoning(fields, side)?,
        "image_generation_call" if fields.word("result").is_some() => media::generated(fields)?,
        other => match hosted(other) {
            Some(tool) => server(fields, tool),
            None => opaque(fields),
        },
    };
    Ok(vec![one])
}

/// Whose a message is that does not say so.
fn said_by(side: Side) -> &'static str {
    if side == Side::Answer { "assistant" } else { "" }
}

fn opaque(fields: Fields) -> Part {
    let at = fields.here().clone();
    Part::new(Content::Opaque(Value::Object(fields.rest())), at)
}

/// The tool that an item of this type is a use of, where the provider runs it itself.
pub fn hosted(kind: &str) -> Option<ServerTool> {
    Some(match kind {
        "web_search_call" => ServerTool::WebSearch,
        "file_search_call" => ServerTool::FileSearch,
        "code_interpreter_call" => ServerTool::CodeExecution,
        "image_generation_call" => ServerTool::ImageGeneration,
        "mcp_call" => ServerTool::Mcp,
        _ => return None,
    })
}

fn server(fields: Fields, tool: ServerTool) -> Part {
    let at = fields.here().clone();
    let raw = Value::Object(fields.rest());
    let word = |pointer: &str| raw.pointer(pointer).and_then(Value::as_str);
    let input = match tool {
        ServerTool::WebSearch => {
            word("/action/query").or_else(|| word("/action/url")).unwrap_or_default().to_owned()
        }
        ServerTool::FileSearch => {
            let queries = raw.get("queries").and_then(Value::as_array);
            let queries = queries.into_iter().flatten().filter_map(Value::as_str);
            queries.collect::<Vec<_>>().join("\n")
        }
        ServerTool::CodeExecution => word("/code").unwrap_or_default().to_owned(),
        ServerTool::Mcp => word("/arguments").unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let output = match tool {
        ServerTool::CodeExecution => {
            let outputs = raw.get("outputs").and_then(Value::as_array);
            let logs = outputs.into_iter().flatten().filter_map(|o| o.get("logs").and_then(Value::as_str));
            let logs = logs.collect::<Vec<_>>().join("\n");
            (!logs.is_empty()).then_some(logs)
        }
        ServerTool::Mcp => word("/output").map(str::to_owned),
        _ => None,
    };
    let id = word("/id").map(str::to_owned);
    Part::new(Content::Server(ServerUse { tool, stage: Stage::Both, id, input, output, raw }), at)
}
