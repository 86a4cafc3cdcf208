//! The parts of a content: the same in requests and in answers.

mod media;
pub mod name;
pub mod pieces;
pub mod read;
pub mod write;

use tollgate_filters::chat::{Pointer, ServerTool};

/// The ids that this gateway makes for calls that came without one.
pub const MADE: &str = "call_tg_";

/// Where it is noted that the result at `at` came without an id.
pub fn nameless(at: &Pointer) -> Pointer {
    at.key("functionResponse").key("id")
}

/// What a tool or `toolType` of Google's is called by everybody.
pub fn server_tool(word: &str) -> ServerTool {
    match word {
        "googleSearch" | "googleSearchRetrieval" | "enterpriseWebSearch" | "GOOGLE_SEARCH_WEB" => {
            ServerTool::WebSearch
        }
        "urlContext" | "URL_CONTEXT" => ServerTool::WebFetch,
        "codeExecution" => ServerTool::CodeExecution,
        "fileSearch" | "FILE_SEARCH" => ServerTool::FileSearch,
        "computerUse" => ServerTool::Computer,
        "mcpServers" => ServerTool::Mcp,
        other => ServerTool::Other(other.to_owned()),
    }
}
