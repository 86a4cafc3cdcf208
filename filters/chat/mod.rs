//! The neutral conversation: what a request, an answer and a stream say, whatever dialect they are written in.
//!
//! Each dialect is read into these types and written from them, never into another dialect directly. What only
//! one dialect knows stays beside the typed fields as [`Extra`], exactly as it came, so that writing the dialect
//! a thing was read from restores it, and writing any other can say by name what it left behind.

mod answer;
mod event;
mod loss;
mod part;
mod request;
mod target;

pub use answer::{Choice, Failure, Finish, FinishKind, Response, UsageReport};
pub use event::{Collector, Delta, Event, Opening, Start};
pub use loss::{At, ENVELOPE, ESCAPE, Extra, Loss, Losses, Pointer, Why};
pub use part::{
    Annotation, Cache, Content, Maker, Media, MediaKind, MediaSource, Part, Reasoning, Seal, ServerUse,
    Stage, Text, Thought, ToolCall, ToolResult,
};
pub use request::{
    Effort, Format, LogProbs, Message, Request, Role, Schema, ServerTool, State, Summary, Thinking,
    ThinkingMode, Tool, ToolChoice, ToolKind,
};
pub use target::{
    Client, MaxTokensField, Quirks, ReasoningField, ReasoningParam, Rules, Target, ThinkingStyle, ToolCallIds,
};
