"""The `openai` SDK's two ways to hold a conversation: chat completions and responses."""

from typing import Any

import openai

from conversation import INSTRUCTIONS, TOOLS, Answer, Conversation, Media, describe, parameters, parsed


class Openai(Conversation):
    failures = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
    }
    broken = openai.APIError

    def connect(self) -> None:
        self.client = openai.OpenAI(
            base_url=f"{self.url}/v1", api_key=self.key, max_retries=0, timeout=20, default_headers=self.headers
        )


class Chat(Openai):
    dialect = "chat"
    limited = "length"
    finish = ("stop", "tool_calls")

    def connect(self) -> None:
        super().connect()
        self.messages: list[Any] = [{"role": "system", "content": INSTRUCTIONS}]

    def ask(self, text: str, *media: Media) -> Answer:
        parts: list[Any] = [self.part(one) for one in media]
        self.messages.append({"role": "user", "content": [{"type": "text", "text": text}, *parts] if parts else text})
        return self.turn()

    @staticmethod
    def part(media: Media) -> dict[str, Any]:
        if media.mime.startswith("image/"):
            return {"type": "image_url", "image_url": {"url": media.url}}
        return {"type": "file", "file": {"filename": "a.pdf", "file_data": media.url}}

    def reply(self, *results: str) -> Answer:
        calls = zip(self.last.tool_calls or [], results, strict=True)
        self.messages += [{"role": "tool", "tool_call_id": call.id, "content": result} for call, result in calls]
        return self.turn()

    def turn(self) -> Answer:
        asked: dict[str, Any] = {"model": self.model, "messages": self.messages, "extra_body": self.extra}
        if self.tools:
            functions = [
                {"name": name, "description": describe(name), "parameters": parameters(TOOLS[name]), "strict": True}
                for name in self.tools
            ]
            asked["tools"] = [{"type": "function", "function": one} for one in functions]
        if self.thinks:
            asked["reasoning_effort"] = "medium"
        if self.schema:
            asked["response_format"] = self.schema
        pieces: list[str] = []
        final: Any
        if self.streamed:
            options: Any = {"include_usage": True}
            with self.client.chat.completions.stream(**asked, stream_options=options) as stream:
                pieces = self.heard(event.delta for event in stream if event.type == "content.delta" and event.delta)
                final = stream.get_final_completion()
        elif self.schema:
            final = self.client.chat.completions.parse(**asked)
        else:
            final = self.client.chat.completions.create(**asked)
        message = self.last = final.choices[0].message
        self.messages.append(self.kept(message) if self.forgetful else message)
        calls = [(call.function.name, parsed(call.function.arguments)) for call in message.tool_calls or []]
        thoughts = getattr(message, "reasoning_content", None) or ""
        tokens = (final.usage.prompt_tokens, final.usage.completion_tokens)
        found = getattr(message, "parsed", None)
        return Answer(message.content or "", calls, thoughts, final.choices[0].finish_reason, tokens, found, pieces)

    @staticmethod
    def kept(message: Any) -> dict[str, Any]:
        """As everybody writes it who does not append the SDK's own object."""
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
            for call in message.tool_calls or []
        ]
        return {"role": "assistant", "content": message.content, **({"tool_calls": calls} if calls else {})}


class Responses(Openai):
    dialect = "responses"
    limited = "incomplete"
    finish = ("completed", "completed")

    def connect(self) -> None:
        super().connect()
        self.input: list[Any] = []

    def ask(self, text: str, *media: Media) -> Answer:
        parts: list[Any] = [self.part(one) for one in media]
        content: Any = [{"type": "input_text", "text": text}, *parts] if parts else text
        self.input.append({"role": "user", "content": content})
        return self.turn()

    @staticmethod
    def part(media: Media) -> dict[str, Any]:
        if media.mime.startswith("image/"):
            return {"type": "input_image", "image_url": media.url, "detail": "auto"}
        return {"type": "input_file", "filename": "a.pdf", "file_data": media.url}

    def reply(self, *results: str) -> Answer:
        calls = [item for item in self.last.output if item.type == "function_call"]
        for call, result in zip(calls, results, strict=True):
            self.input.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
        return self.turn()

    def asked(self) -> dict[str, Any]:
        asked: dict[str, Any] = {"model": self.model, "input": self.input, "instructions": INSTRUCTIONS}
        asked |= {"store": False, "extra_body": self.extra}
        if self.tools:
            asked["tools"] = [
                {
                    "type": "function",
                    "name": name,
                    "description": describe(name),
                    "parameters": parameters(TOOLS[name]),
                    "strict": True,
                }
                for name in self.tools
            ]
        if self.thinks:
            asked["reasoning"] = {"effort": "medium", "summary": "auto"}
            asked["include"] = ["reasoning.encrypted_content"]
        return asked

    def turn(self) -> Answer:
        asked = self.asked()
        pieces: list[str] = []
        final: Any
        if self.schema:
            asked["text_format"] = self.schema
        if self.streamed:
            with self.client.responses.stream(**asked) as stream:
                pieces = self.heard(event.delta for event in stream if event.type == "response.output_text.delta")
                final = stream.get_final_response()
        elif self.schema:
            final = self.client.responses.parse(**asked)
        else:
            final = self.client.responses.create(**asked)
        self.last = final
        self.input += [item for item in final.output if not (self.forgetful and item.type == "reasoning")]
        calls = [(item.name, parsed(item.arguments)) for item in final.output if item.type == "function_call"]
        reasoning = [item for item in final.output if item.type == "reasoning"]
        thoughts = "".join(part.text for item in reasoning for part in [*item.summary, *(item.content or [])])
        tokens = (final.usage.input_tokens, final.usage.output_tokens)
        found = getattr(final, "output_parsed", None)
        return Answer(final.output_text, calls, thoughts, final.status, tokens, found, pieces)
