//! What every dialect's request is reduced to, and the one place where the demo model decides what to say.

use super::{count, items, sample};
use serde_json::Value;

const ABOUT: &str = "I am Tollgate's built-in demo model; set OPENAI_API_KEY or another provider's key \
                     to talk to a real one.";
/// How many characters of what was said are said back.
const ECHO: usize = 200;

/// One conversation, as far as the demo model listens to it.
#[derive(Debug, Default)]
pub(super) struct Prompt {
    /// The tokens of all text that was added.
    pub(super) input: u64,
    last_user: String,
    /// What tools returned since the user last spoke.
    results: Vec<String>,
    tools: Vec<Tool>,
    choice: Choice,
    /// The schema that the answer has to follow.
    format: Option<Value>,
    limit: Option<u64>,
    stops: Vec<String>,
}

#[derive(Debug)]
struct Tool {
    name: String,
    schema: Value,
}

/// What the request says about calling tools.
#[derive(Debug, Default, Clone, Copy)]
pub(super) enum Choice {
    #[default]
    Auto,
    Never,
    Must,
}

/// What the demo model says.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) said: Said,
    pub(super) end: End,
    /// The tokens of what it says.
    pub(super) output: u64,
}

#[derive(Debug)]
pub(super) enum Said {
    Text(String),
    /// A tool call: the tool's name and the arguments as JSON.
    Call(String, Value),
}

/// Why the answer ends where it does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Natural,
    Length,
    /// The stop sequence that would have come next.
    Stop(String),
}

impl Prompt {
    /// Adds text that counts but is not answered: system prompts and the model's own earlier answers.
    pub(super) fn text(&mut self, text: &str) {
        self.input += count::tokens(text);
    }

    /// Adds what the user says.
    pub(super) fn user(&mut self, text: String) {
        self.text(&text);
        self.last_user = text;
        self.results.clear();
    }

    /// Adds a tool call of an earlier answer.
    pub(super) fn call(&mut self, name: &Value, arguments: &Value) {
        self.text(name.as_str().unwrap_or_default());
        self.text(&string_or_json(arguments));
    }

    /// Adds what a tool returned.
    pub(super) fn result(&mut self, text: String) {
        self.text(&text);
        self.results.push(text);
    }

    /// Adds a tool that may be called. One without a name is the provider's own (web search and the like),
    /// which the demo model does not have.
    pub(super) fn tool(&mut self, name: &Value, description: &Value, schema: &Value) {
        let Some(name) = name.as_str() else { return };
        self.text(name);
        self.text(description.as_str().unwrap_or_default());
        self.text(&string_or_json(schema));
        self.tools.push(Tool { name: name.to_owned(), schema: schema.clone() });
    }

    pub(super) fn choose(&mut self, choice: Choice) {
        self.choice = choice;
    }

    /// Leaves only these tools to be called.
    pub(super) fn allow(&mut self, names: &[&str]) {
        self.tools.retain(|tool| names.contains(&tool.name.as_str()));
    }

    pub(super) fn format(&mut self, schema: Option<&Value>) {
        self.format = schema.filter(|schema| schema.is_object()).cloned();
    }

    pub(super) fn limit(&mut self, limit: &Value) {
        self.limit = limit.as_u64().or(self.limit);
    }

    /// Takes the stop sequences, one or a list.
    pub(super) fn stop(&mut self, stops: &Value) {
        let one = std::slice::from_ref(stops);
        let all = stops.as_array().map_or(one, Vec::as_slice).iter();
        let texts = all.filter_map(Value::as_str).filter(|stop| !stop.is_empty());
        self.stops.extend(texts.map(str::to_owned));
    }

    /// What the demo model says to this.
    pub(super) fn reply(&self) -> Reply {
        if let Some(tool) = self.wanted() {
            let arguments = sample::object(&tool.schema);
            let output = count::tokens(&arguments.to_string());
            // A call that does not fit is not made: half of an object is of use to nobody.
            if self.limit.is_none_or(|limit| output <= limit) {
                let said = Said::Call(tool.name.clone(), arguments);
                let end = End::Natural;
                return Reply { said, end, output };
            }
        }
        let whole = self.words();
        let (text, end) = self.cut(&whole);
        Reply { output: count::tokens(text), said: Said::Text(text.to_owned()), end }
    }

    fn wanted(&self) -> Option<&Tool> {
        if !self.results.is_empty() {
            return None;
        }
        let said = spaced(&self.last_user);
        let named = self.tools.iter().find(|tool| said.contains(&spaced(&tool.name)));
        let forced = match self.choice {
            Choice::Never => return None,
            Choice::Must => true,
            Choice::Auto => said.contains(" tool ") || said.contains(" tools "),
        };
        named.or(if forced { self.tools.first() } else { None })
    }

    fn words(&self) -> String {
        if let Some(schema) = &self.format {
            return sample::sample(schema).to_string();
        }
        let (speaker, heard) = match self.results.as_slice() {
            [] => ("You said", self.last_user.trim()),
            [.., last] => ("The tool answered", last.trim()),
        };
        match heard {
            "" => format!("Hello! {ABOUT}"),
            heard => format!("{speaker}: \"{}\". {ABOUT}", count::clip(heard, ECHO)),
        }
    }

    fn cut<'a>(&self, whole: &'a str) -> (&'a str, End) {
        let stops = self.stops.iter();
        let stopped = stops.filter_map(|stop| Some((whole.find(stop.as_str())?, stop))).min();
        let (text, end) = match stopped {
            Some((at, stop)) => (whole.get(..at).unwrap_or(whole), End::Stop(stop.clone())),
            None => (whole, End::Natural),
        };
        match self.limit {
            Some(limit) if count::tokens(text) > limit => (count::first(text, limit), End::Length),
            _ => (text, end),
        }
    }
}

/// The text of a message's content, which is a string or a list of parts of which some have text.
pub(super) fn text_of(content: &Value) -> String {
    if let Some(text) = content.as_str() {
        return text.to_owned();
    }
    let texts = items(content).iter().filter_map(|part| part["text"].as_str().or(part.as_str()));
    texts.collect::<Vec<_>>().join("\n")
}

/// A string as it is, nothing for null, the JSON of anything else.
pub(super) fn string_or_json(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The words of a text in lower case between single spaces, so that `get_weather`, `get-weather` and
/// "Get weather" are the same, and no name is found in the middle of a word.
fn spaced(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(" ".to_owned(), |line, word| line + &word.to_lowercase() + " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(reply: &Reply) -> String {
        match &reply.said {
            Said::Text(text) => text.clone(),
            Said::Call(name, arguments) => format!("{name}({arguments})"),
        }
    }

    fn with_tools(user: &str) -> Prompt {
        let mut prompt = Prompt::default();
        let schema =
            json!({"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}});
        prompt.tool(&json!("now"), &Value::Null, &json!({}));
        prompt.tool(&json!("get_weather"), &json!("The weather."), &schema);
        prompt.user(user.to_owned());
        prompt
    }

    #[test]
    fn a_tool_is_called_when_it_is_mentioned_or_forced() {
        let mut prompt = with_tools("Please get weather for me");
        assert_eq!(said(&prompt.reply()), "get_weather({\"city\":\"demo\"})");
        prompt.choose(Choice::Never);
        assert!(said(&prompt.reply()).starts_with("You said"));
        assert_eq!(said(&with_tools("use a tool").reply()), "now({})");
        assert!(said(&with_tools("I know nothing").reply()).starts_with("You said"));
        let mut prompt = with_tools("hello");
        prompt.choose(Choice::Must);
        prompt.allow(&["get_weather"]);
        assert_eq!(prompt.reply().output, 5);
        assert_eq!(said(&prompt.reply()), "get_weather({\"city\":\"demo\"})");
        prompt.result("21 degrees".to_owned());
        assert!(said(&prompt.reply()).starts_with("The tool answered: \"21 degrees\"."));
        prompt.user("and the tool again".to_owned());
        assert!(said(&prompt.reply()).starts_with("get_weather("));
    }

    #[test]
    fn limits_and_stop_sequences_cut() {
        let mut prompt = Prompt::default();
        prompt.user("hi".to_owned());
        prompt.stop(&json!(["demo", " model"]));
        let reply = prompt.reply();
        assert_eq!(reply.end, End::Stop("demo".to_owned()));
        assert!(said(&reply).ends_with("built-in "));
        prompt.limit(&json!(3));
        let reply = prompt.reply();
        assert_eq!((said(&reply).as_str(), reply.end, reply.output), ("You said:", End::Length, 3));
        let mut prompt = with_tools("the tool");
        prompt.choose(Choice::Must);
        prompt.allow(&["get_weather"]);
        prompt.limit(&json!(4));
        assert_eq!(said(&prompt.reply()), "You said: \"");
    }

    #[test]
    fn a_schema_is_followed_and_silence_is_greeted() {
        let mut prompt = Prompt::default();
        assert!(said(&prompt.reply()).starts_with("Hello!"));
        prompt.format(Some(&json!({"properties": {"a": {"type": "integer"}}, "required": ["a"]})));
        assert_eq!(said(&prompt.reply()), "{\"a\":1}");
    }
}
