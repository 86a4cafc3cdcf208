//! Functions under names that the target takes, and back under those that the client gave them.

use std::borrow::Cow;
use std::collections::HashMap;

use tollgate_filters::chat::{
    Content, Event, Losses, Opening, Part, Pointer, Quirks, ReasoningField, Request, Response, ToolChoice,
    ToolKind,
};
use tollgate_filters::exchange::Dialect;

use super::gemini::function_name;
use super::names::fitting;

/// The functions of one request that had to be called otherwise: their new names, and the client's own.
#[derive(Debug, Clone, Default)]
pub struct Renames(HashMap<String, String>);

impl Renames {
    /// Gives the functions of `request` names that a provider of `dialect` takes. Each that changed is reported.
    pub fn fit(request: &mut Request, dialect: Dialect, quirks: &Quirks, losses: &mut Losses) -> Self {
        let mut renames = Self::default();
        if request.source == dialect {
            return renames;
        }
        for tool in &mut request.tools {
            if let ToolKind::Function { name, .. } | ToolKind::Custom { name, .. } = &mut tool.kind {
                renames.fit_one(name, dialect, quirks, &tool.at.key("name"), losses);
            }
        }
        if renames.0.is_empty() {
            return renames;
        }
        // What follows refers to these tools, and is no further loss.
        let mut quiet = Losses::default();
        let mut again = |name: &mut String| {
            let at = Pointer::ROOT;
            renames.fit_one(name, dialect, quirks, &at, &mut quiet);
        };
        match request.tool_choice.as_mut().map(|choice| &mut choice.value) {
            Some(ToolChoice::Function(name)) => again(name),
            Some(ToolChoice::Allowed { names, .. }) => names.iter_mut().for_each(&mut again),
            _ => {}
        }
        for part in request.messages.iter_mut().flat_map(|message| &mut message.parts) {
            match &mut part.content {
                Content::ToolCall(call) => again(&mut call.name),
                Content::ToolResult(result) => result.name.iter_mut().for_each(&mut again),
                _ => {}
            }
        }
        renames
    }

    fn fit_one(
        &mut self,
        name: &mut String,
        dialect: Dialect,
        quirks: &Quirks,
        at: &Pointer,
        losses: &mut Losses,
    ) {
        let fitted: Cow<'_, str> = match dialect {
            Dialect::OpenaiChat if quirks.reasoning == ReasoningField::Details => fitting(name, 128),
            Dialect::OpenaiChat | Dialect::OpenaiResponses => fitting(name, 64),
            Dialect::Anthropic => fitting(name, 128),
            Dialect::Gemini => Cow::Owned(function_name(name)),
        };
        if *fitted != **name {
            let fitted = fitted.into_owned();
            losses.approximated(at);
            self.0.insert(fitted.clone(), std::mem::replace(name, fitted));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A call in a stream, under the client's name of the function.
    pub(super) fn undo_event(&self, event: &mut Event) {
        if let Event::Open { opening: Opening::ToolCall(call), .. } = event {
            self.undo(&mut call.name);
        }
    }

    /// The calls of an answer, under the client's names.
    pub(super) fn undo_response(&self, response: &mut Response) {
        let parts = response.choices.iter_mut().flat_map(|choice| &mut choice.parts);
        for Part { content, .. } in parts {
            if let Content::ToolCall(call) = content {
                self.undo(&mut call.name);
            }
        }
    }

    fn undo(&self, name: &mut String) {
        if let Some(own) = self.0.get(name) {
            name.clone_from(own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::translate::{parse_request, parse_response};

    #[test]
    fn a_function_is_called_back_by_the_name_that_the_client_gave_it() {
        let body = br#"{"messages":[{"role":"user","content":"x"},
            {"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"files.read","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"1","content":"y"}],
            "tools":[{"type":"function","function":{"name":"files.read"}},{"type":"function","function":{"name":"plain"}}],
            "tool_choice":{"type":"function","function":{"name":"files.read"}}}"#;
        let mut request = parse_request(Dialect::OpenaiChat, body).unwrap();
        let mut losses = Losses::default();
        let renames = Renames::fit(&mut request, Dialect::Anthropic, &Quirks::default(), &mut losses);
        assert_eq!(losses.list(), "/tools/0/name");
        let ToolKind::Function { name, .. } = &request.tools[0].kind else { panic!() };
        assert!(name.starts_with("files_read_"), "{name}");
        assert_eq!(request.tool_choice.unwrap().value, ToolChoice::Function(name.clone()));
        let Content::ToolCall(call) = &request.messages[1].parts[0].content else { panic!() };
        assert_eq!(&call.name, name);
        let answer = serde_json::json!({ "type": "message", "content": [
            { "type": "tool_use", "id": "2", "name": name, "input": {} },
            { "type": "tool_use", "id": "3", "name": "plain", "input": {} },
        ]});
        let mut response = parse_response(Dialect::Anthropic, answer).unwrap();
        renames.undo_response(&mut response);
        let name = |part: &Part| match &part.content {
            Content::ToolCall(call) => call.name.clone(),
            _ => String::new(),
        };
        let names: Vec<_> = response.choices[0].parts.iter().map(name).collect();
        assert_eq!(names, ["files.read", "plain"]);
    }
}
