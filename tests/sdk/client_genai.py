"""The `google-genai` SDK's way to hold a conversation."""

from collections.abc import Iterator
from typing import Any

from google import genai
from google.genai import errors, types

from conversation import INSTRUCTIONS, TOOLS, Answer, Conversation, Media, describe, parameters


class Gemini(Conversation):
    dialect = "gemini"
    limited = "MAX_TOKENS"
    finish = ("STOP", "STOP")
    failures = {
        400: errors.ClientError,
        401: errors.ClientError,
        404: errors.ClientError,
        429: errors.ClientError,
        500: errors.ServerError,
    }
    broken = errors.APIError

    def connect(self) -> None:
        options = types.HttpOptions(base_url=self.url, timeout=20_000, headers=self.headers)
        self.client = genai.Client(api_key=self.key, vertexai=False, http_options=options)
        self.contents: list[Any] = []

    def ask(self, text: str, *media: Media) -> Answer:
        parts = [types.Part.from_bytes(data=one.data, mime_type=one.mime) for one in media]
        self.contents.append(types.Content(role="user", parts=[types.Part(text=text), *parts]))
        return self.turn()

    def reply(self, *results: str) -> Answer:
        calls = [part.function_call for part in self.last if part.function_call]
        parts = [
            types.Part(
                function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": result})
            )
            for call, result in zip(calls, results, strict=True)
        ]
        self.contents.append(types.Content(role="user", parts=parts))
        return self.turn()

    def turn(self) -> Answer:
        config = types.GenerateContentConfig(system_instruction=INSTRUCTIONS)
        config.http_options = types.HttpOptions(extra_body=self.extra)
        if self.tools:
            declared = [
                types.FunctionDeclaration(
                    name=name, description=describe(name), parameters_json_schema=parameters(TOOLS[name])
                )
                for name in self.tools
            ]
            config.tools = [types.Tool(function_declarations=declared)]
        if self.thinks:
            config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
        if self.schema:
            config.response_schema = self.schema
            config.response_mime_type = "application/json"
        asked: dict[str, Any] = {"model": self.model, "contents": self.contents, "config": config}
        if self.streamed:
            answers = []
            for answer in self.client.models.generate_content_stream(**asked):
                answers.append(answer)
                self.heard([answer.text or ""])
        else:
            answers = [self.client.models.generate_content(**asked)]
        self.last = list(self.parts(answers))
        kept = [self.bare(part) for part in self.last if not part.thought] if self.forgetful else self.last
        self.contents.append(types.Content(role="model", parts=kept))
        pieces = [part.text for part in self.last if part.text and not part.thought]
        calls = [(part.function_call.name, part.function_call.args) for part in self.last if part.function_call]
        thoughts = "".join(part.text for part in self.last if part.thought)
        last: Any = answers[-1]
        usage, finish = last.usage_metadata, last.candidates[0].finish_reason
        tokens = (usage.prompt_token_count, usage.candidates_token_count + (usage.thoughts_token_count or 0))
        found = answers[0].parsed
        if self.schema and self.streamed:
            found = self.schema.model_validate_json("".join(pieces))
        return Answer("".join(pieces), calls, thoughts, finish.value, tokens, found, pieces)

    @staticmethod
    def parts(answers: list[Any]) -> Iterator[Any]:
        for answer in answers:
            content = answer.candidates[0].content if answer.candidates else None
            yield from (content.parts or [] if content else [])

    @staticmethod
    def bare(part: Any) -> types.Part:
        return types.Part(text=part.text, function_call=part.function_call)
