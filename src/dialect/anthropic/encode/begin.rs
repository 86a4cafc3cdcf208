//! How parts begin on the wire.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Losses, Opening, Pointer, ServerUse, ToolCall, Why};

use super::write::{block_stop, delta, is_own, words, write};
use super::{Encoder, Form, Open};
use crate::dialect::anthropic::block::server;

impl Encoder {
    pub(super) fn opening(
        &mut self,
        part: u32,
        opening: &Opening,
        at: &Pointer,
        out: &mut Vec<u8>,
        losses: &mut Losses,
    ) {
        let form = match opening {
            Opening::Text if is_own(at) => Form::Text(Some(self.block_start(at, words(), out))),
            Opening::Text => Form::Text(None),
            Opening::Refusal => {
                self.seen.refusal = true;
                losses.approximated(at);
                Form::Text(None)
            }
            Opening::Reasoning { .. } => Form::Unsaid,
            Opening::ToolCall(call) => self.call(call, at, out, losses),
            Opening::Server(used) => {
                self.server(used, at, out, losses);
                Form::Done
            }
            Opening::Opaque(raw) if is_own(at) => {
                let index = self.block_start(at, raw.clone(), out);
                block_stop(index, out);
                Form::Done
            }
            Opening::Opaque(_) | Opening::Media(_) => {
                losses.unsupported(at);
                Form::Done
            }
        };
        self.open.push(Open { part, form });
    }

    pub(super) fn block_start(&mut self, at: &Pointer, mut block: Value, out: &mut Vec<u8>) -> u32 {
        self.pause(out);
        let index = self.next;
        self.next += 1;
        if let (Some(extra), Value::Object(block)) = (self.of_part.take_if(|of| of.at == *at), &mut block) {
            block.extend(extra.value);
        }
        write(
            out,
            "content_block_start",
            &json!({"type": "content_block_start", "index": index, "content_block": block}),
        );
        index
    }

    fn call(&mut self, call: &ToolCall, at: &Pointer, out: &mut Vec<u8>, losses: &mut Losses) -> Form {
        self.seen.calls = true;
        let id = if call.id.is_empty() {
            self.nameless += 1;
            format!("call_tg_{}_{}", self.client.id, self.nameless - 1)
        } else {
            call.id.clone()
        };
        let mut block = Map::new();
        block.insert("type".into(), "tool_use".into());
        block.insert("id".into(), id.into());
        block.insert("name".into(), call.name.as_str().into());
        block.insert("input".into(), Map::new().into());
        let index = self.block_start(at, Value::Object(block), out);
        if call.custom {
            losses.approximated(at);
            delta(index, "input_json_delta", "partial_json", "{\"input\":\"", out);
        }
        Form::Call { index, custom: call.custom }
    }

    /// A server tool's call has its input in a delta, its result is whole.
    fn server(&mut self, used: &ServerUse, at: &Pointer, out: &mut Vec<u8>, losses: &mut Losses) {
        let blocks = if is_own(at) {
            vec![used.raw.clone()]
        } else {
            let shown = server::shown(used, &self.client.id, &mut self.servers);
            let why = if shown.is_empty() { Why::Unsupported } else { Why::Approximated };
            losses.push(at, why);
            shown
        };
        for mut block in blocks {
            let input = block.get_mut("input").map(|input| std::mem::replace(input, json!({})));
            let index = self.block_start(at, block, out);
            if let Some(input) = input {
                delta(index, "input_json_delta", "partial_json", &input.to_string(), out);
            }
            block_stop(index, out);
        }
    }
}
