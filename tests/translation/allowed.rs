//! What a translation may add, and why.

use tollgate_filters::exchange::Dialect;

use super::diff::Difference;

/// An addition: the target wants it, or says by itself what the source left open.
struct Addition {
    /// Starts what the difference says.
    what: &'static str,
    to: Option<Dialect>,
}

const fn to(what: &'static str, to: Dialect) -> Addition {
    Addition { what, to: Some(to) }
}

const fn anywhere(what: &'static str) -> Addition {
    Addition { what, to: None }
}

const ADDITIONS: &[Addition] = &[
    // A request without a limit is refused by Anthropic.
    to("added max_tokens", Dialect::Anthropic),
    // `disable_parallel_tool_use` is a member of the choice, which must then be there.
    to("added tool_choice", Dialect::Anthropic),
    // OpenAI wants a schema and a file to have a name.
    to("added format name", Dialect::OpenaiChat),
    to("added format name", Dialect::OpenaiResponses),
    to("added user media: media name", Dialect::OpenaiChat),
    to("added user media: media name", Dialect::OpenaiResponses),
    to("added result media: media name", Dialect::OpenaiResponses),
    // Gemini wants to be told what a URL leads to.
    to("added user media: media mime", Dialect::Gemini),
    to("added result media: media mime", Dialect::Gemini),
    // Anthropic shows thoughts unless told not to, OpenAI and Gemini only when told to.
    anywhere("added thinking summary"),
    // Gemini's results bear the name of their function.
    anywhere("added user result: result name"),
    // A citation of Anthropic's is about its whole block of text.
    anywhere("added choice text: annotation title"),
    anywhere("added choice text: annotation start"),
    anywhere("added choice text: annotation end"),
    anywhere("added assistant text: annotation start"),
    anywhere("added assistant text: annotation end"),
    // Names of the document and its parts, which every answer has.
    anywhere("added id"),
    anywhere("added model"),
    anywhere("added created"),
    anywhere("added choice call: call id"),
    anywhere("added choice server: server id"),
];

/// What need not be said, since it is so anyway: what is lost or added, its value (`None`: any), and where.
struct Usual {
    what: &'static str,
    value: Option<&'static str>,
    to: &'static [Dialect],
}

const fn usual(what: &'static str, value: &'static str, to: &'static [Dialect]) -> Usual {
    Usual { what, value: Some(value), to }
}

const ANY: &[Dialect] = &[Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::Anthropic, Dialect::Gemini];
const ANTHROPIC: &[Dialect] = &[Dialect::Anthropic];
const CHAT: &[Dialect] = &[Dialect::OpenaiChat];
const RESPONSES: &[Dialect] = &[Dialect::OpenaiResponses];
/// Where an answer's shape is given, they always hold to it, and it has no name.
const SHAPELY: &[Dialect] = &[Dialect::Anthropic, Dialect::Gemini];

const USUAL: &[Usual] = &[
    Usual { what: "lost format name", value: None, to: SHAPELY },
    Usual { what: "lost format strict", value: None, to: SHAPELY },
    // It only names the document, and only OpenAI's have it.
    Usual { what: "lost created", value: None, to: SHAPELY },
    usual("lost temperature", "1.0", ANTHROPIC),
    usual("lost temperature", "1", ANTHROPIC),
    usual("lost top_p", "1.0", ANTHROPIC),
    usual("lost top_p", "1", ANTHROPIC),
    usual("lost n", "1", ANY),
    usual("lost modalities", "[\"text\"]", ANY),
    usual("lost thinking summary", "\"hidden\"", ANY),
    // A chat provider that has a place for thoughts shows them unasked; one that has none, says so.
    usual("lost thinking summary", "\"shown\"", CHAT),
    usual("lost frequency_penalty", "0.0", ANY),
    usual("lost frequency_penalty", "0", ANY),
    usual("lost presence_penalty", "0.0", ANY),
    usual("lost presence_penalty", "0", ANY),
    usual("lost tool_choice", "\"auto\"", ANY),
    usual("lost format", "\"text\"", ANY),
    // Gemini wants to be told the function of a result whose call is not there; it comes back without.
    usual("lost user result: result name", "\"unknown\"", ANY),
    // Where a provider wants a message to have words, a full stop stands for none.
    usual("added user text", "\".\"", SHAPELY),
    // Mistral wants an assistant's turn between a tool's and a user's.
    usual("added assistant text", "\"OK.\"", ANY),
    // An answer that does not say why it ends has ended.
    usual("added choice 0 finish", "\"Stop\"", ANY),
    // A Responses object always says a tier.
    usual("added service_tier", "\"auto\"", RESPONSES),
];

pub fn is_allowed(difference: &Difference, to: Dialect) -> bool {
    let what = difference.what.as_str();
    let listed = |a: &&Addition| what == a.what && a.to.is_none_or(|only| only == to);
    let value = if what.starts_with("added") { &difference.values.1 } else { &difference.values.0 };
    let value = value.to_string();
    // What is thought, said and called has each its own member there, and no order among them.
    if difference.moved && to == Dialect::OpenaiChat {
        return true;
    }
    ADDITIONS.iter().any(|a| listed(&a))
        || USUAL.iter().any(|u| what == u.what && u.value.is_none_or(|v| v == value) && u.to.contains(&to))
        || is_refusal(difference)
        || is_forced_call(difference)
}

/// OpenAI tells a refusal by its part, Anthropic by the reason of the end.
fn is_refusal(difference: &Difference) -> bool {
    let (one, other) = (difference.values.0.as_str(), difference.values.1.as_str());
    let both = matches!((one, other), (Some("Stop"), Some("Refusal")) | (Some("Refusal"), Some("Stop")));
    both && difference.what.ends_with("finish")
}

/// A call that the request forced ends with `stop` at OpenAI, and as any call elsewhere.
fn is_forced_call(difference: &Difference) -> bool {
    let (one, other) = (difference.values.0.as_str(), difference.values.1.as_str());
    difference.what.ends_with("finish") && (one, other) == (Some("Stop"), Some("ToolCalls"))
}
