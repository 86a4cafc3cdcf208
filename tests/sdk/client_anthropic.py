"""The `anthropic` SDK's way to hold a conversation."""

from typing import Any

import anthropic

from conversation import INSTRUCTIONS, TOOLS, Answer, Conversation, Media, describe, parameters


class Messages(Conversation):
    dialect = "messages"
    limited = "max_tokens"
    finish = ("end_turn", "tool_use")
    failures = {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
    }
    broken = anthropic.APIStatusError

    def connect(self) -> None:
        self.client = anthropic.Anthropic(
            base_url=self.url, api_key=self.key, max_retries=0, timeout=20, default_headers=self.headers
        )
        self.messages: list[Any] = []

    def ask(self, text: str, *media: Media) -> Answer:
        blocks = [self.block(one) for one in media]
        self.messages.append({"role": "user", "content": [*blocks, {"type": "text", "text": text}] if blocks else text})
        return self.turn()

    @staticmethod
    def block(media: Media) -> dict[str, Any]:
        kind = "image" if media.mime.startswith("image/") else "document"
        return {"type": kind, "source": {"type": "base64", "media_type": media.mime, "data": media.base64}}

    def reply(self, *results: str) -> Answer:
        calls = [block for block in self.last.content if block.type == "tool_use"]
        blocks = [
            {"type": "tool_result", "tool_use_id": call.id, "content": result}
            for call, result in zip(calls, results, strict=True)
        ]
        self.messages.append({"role": "user", "content": blocks})
        return self.turn()

    def turn(self) -> Answer:
        asked: dict[str, Any] = {
            "model": self.model,
            "max_tokens": 4096,
            "system": INSTRUCTIONS,
            "messages": self.messages,
            "extra_body": self.extra,
        }
        if self.tools:
            asked["tools"] = [
                {"name": name, "description": describe(name), "input_schema": parameters(TOOLS[name])}
                for name in self.tools
            ]
        if self.thinks:
            asked["thinking"] = {"type": "enabled", "budget_tokens": 2048}
        if self.schema:
            asked["output_format"] = self.schema
        pieces: list[str] = []
        final: Any
        if self.streamed:
            with self.client.messages.stream(**asked) as stream:
                pieces = self.heard(event.text for event in stream if event.type == "text")
                final = stream.get_final_message()
        elif self.schema:
            final = self.client.messages.parse(**asked)
        else:
            final = self.client.messages.create(**asked)
        self.last = final
        kept = [block for block in final.content if not (self.forgetful and "thinking" in block.type)]
        self.messages.append({"role": "assistant", "content": kept})
        text = "".join(block.text for block in final.content if block.type == "text")
        calls = [(block.name, block.input) for block in final.content if block.type == "tool_use"]
        thoughts = "".join(block.thinking for block in final.content if block.type == "thinking")
        usage = final.usage
        cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        tokens = (usage.input_tokens + cached, usage.output_tokens)
        found = getattr(final, "parsed_output", None)
        return Answer(text, calls, thoughts, final.stop_reason, tokens, found, pieces)
