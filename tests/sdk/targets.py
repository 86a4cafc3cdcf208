"""One played provider for each dialect, for clients of the other dialects.

What one answers depends on what it was asked: the question chooses among `fixtures/translation/<dialect>/`, and the
number of tool results that are already there chooses the turn. It answers a request that its original would refuse
with a 400 that says why. What was asked is kept, with the conversation that it comes to.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import quirks
from harness import KEY
from provider import KEYS, Handler, Providers, Seen, authorized, document, error, fixture
from wire import READERS, Malformed, Piece, read

# What is asked, and which answers it gets.
QUESTIONS = {
    "text": "What is the capital of France? \u00c7a va, \U0001f5fc?",
    "calls": "Please retrieve the secrets associated with each of these passwords: mellon, radiance",
    "object": "Which city is the capital of France? Answer with an object.",
    "think": "Which of Paris and Rome is warmer today?",
    "length": "What is the capital of France? Take one word.",
    "broken": "What is the capital of France? (An error comes in between.)",
    "cut": "What is the capital of France? (The line breaks in between.)",
}
OTHER_KEY = "tg-test-key-of-another-organisation"
# One organisation each: what the gateway remembers for one test is not there for the next.
FRESH_KEYS = [f"tg-test-key-of-organisation-{number}" for number in range(4000)]
EMBEDDINGS = {"openai": "openai/embeddings.json", "gemini": "gemini/batchEmbedContents.json"}


@dataclass(frozen=True)
class Target:
    """A model, as a client of the gateway names it: `provider/model`."""

    dialect: str
    provider: str
    model: str
    path: str
    refusal: str  # the error event of its streams
    tokens: tuple[tuple[int, int], tuple[int, int]]  # in and out of its texts, everything counted: plain, streamed
    table: str = ""
    reader: Callable[[dict[str, Any]], Iterator[Piece]] | None = None
    rewrite: Callable[[dict[str, Any]], dict[str, Any]] | None = None

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"

    def failing(self, status: int) -> str:
        return f"{self.provider}/fail-{status}"

    def fixture(self, name: str) -> Any:
        return document(f"translation/{self.dialect}/{name}.json")

    def seals(self) -> list[str]:
        """What only this provider can read of its thinking, in the order of the turns."""
        texts = [fixture(f"translation/{self.dialect}/think-{turn}.json") for turn in (1, 2)]
        found = [re.search(r'"(?:signature|encrypted_content|thoughtSignature)": "(.+?)"', text) for text in texts]
        return [match[1] for match in found if match]


TARGETS = {
    target.dialect: target
    for target in [
        Target(
            "chat",
            "openrouter",
            "anthropic/claude-haiku-4.5",
            "/api/v1/chat/completions",
            'data: {"id":"gen-1762179802","object":"chat.completion.chunk","created":1762179802,"model":"x",'
            '"error":{"code":502,"message":"The provider broke off"},'
            '"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}',
            ((762, 34), (754, 28)),
            'dialects = ["openai_chat"]\n',
        ),
        Target(
            "responses",
            "openai",
            "gpt-5-mini",
            "/v1/responses",
            'event: error\ndata: {"type":"error","sequence_number":9,"error":{"type":"server_error",'
            '"code":"server_error","message":"The provider broke off","param":null}}',
            ((36, 87), (1437, 211)),
            'dialects = ["openai_responses"]\n',
        ),
        Target(
            "messages",
            "anthropic",
            "claude-sonnet-5",
            "/v1/messages",
            'event: error\ndata: {"type":"error","error":{"type":"overloaded_error",'
            '"message":"The provider broke off"}}',
            ((2014, 12), (1333, 15)),
        ),
        Target(
            "gemini",
            "gemini",
            "gemini-3-flash-preview",
            "/v1beta/models/gemini-3-flash-preview",
            'data: {"error":{"code":503,"message":"The provider broke off","status":"UNAVAILABLE"}}',
            ((12, 34), (1100, 39)),
        ),
    ]
}
# Chat providers with rules of their own.
QUIRKS = {
    "mistral": replace(
        TARGETS["chat"],
        provider="mistral",
        model="magistral-medium-latest",
        path="/v1/chat/completions",
        table="",
        reader=quirks.read_mistral,
        rewrite=quirks.mistral,
    ),
    "groq": replace(
        TARGETS["chat"],
        provider="groq",
        model="openai/gpt-oss-120b",
        path="/openai/v1/chat/completions",
        table="",
        reader=quirks.read_groq,
        rewrite=quirks.groq,
    ),
}
BY_PROVIDER = {target.provider: target for target in [*TARGETS.values(), *QUIRKS.values()]}


class Targets(Providers):
    names = tuple(BY_PROVIDER)

    def handler(self) -> type[Handler]:
        return Played

    def configuration(self) -> str:
        tables = [
            f'[[keys]]\nname = "sdk"\nkey = "{KEY}"\norg = "acme"\n',
            f'[[keys]]\nname = "other"\nkey = "{OTHER_KEY}"\norg = "other"\n',
        ]
        tables += [
            f'[[keys]]\nname = "org-{number}"\nkey = "{key}"\norg = "org-{number}"\n'
            for number, key in enumerate(FRESH_KEYS)
        ]
        for target in BY_PROVIDER.values():
            root = "/api/v1" if target.provider == "openrouter" else ""
            tables.append(
                f'[providers.{target.provider}]\nbase_url = "{self.origin(target.provider)}{root}"\n'
                f'api_key = "{KEYS[target.provider]}"\n{target.table}'
            )
        for target in TARGETS.values():
            first = ", ".join(
                f'{{ provider = "{one.provider}", model = "fail-500" }}' for one in TARGETS.values() if one != target
            )
            last = f'{{ provider = "{target.provider}", model = "{target.model}" }}'
            tables.append(f'[models."at-last-{target.dialect}"]\ntargets = [{first}, {last}]\n')
        return "\n".join(tables)

    def heard(self, target: Target) -> list[Seen]:
        """What was asked since the last reset, all of it of this target."""
        assert {seen.provider for seen in self.requests} <= {target.provider}, self.requests
        return self.requests

    def last(self, target: Target) -> list[dict[str, Any]]:
        """The conversation of the last request."""
        conversation = self.heard(target)[-1].conversation
        assert conversation is not None, self.requests[-1]
        return conversation


class Played(Handler):
    def answer(self, seen: Seen) -> None:
        target = BY_PROVIDER[seen.provider]
        if not authorized(seen):
            return self.fail(seen, 401)
        operation, seen.model, streamed = locate(target, seen)
        if failure := re.fullmatch(r"fail-(\d+)", seen.model or ""):
            return self.fail(seen, int(failure[1]))
        match operation:
            case "generate":
                return self.generate(seen, target, streamed)
            case "count":
                return self.count(seen, target)
            case "embed":
                seen.status = 200
                return self.send_json(200, embeddings(seen))
        self.fail(seen, 404)

    def fail(self, seen: Seen, status: int, why: str | None = None) -> None:
        seen.status = status
        answer = error(seen.provider, status)
        if why:
            answer["error"]["message"] = why
        self.send_json(status, answer)

    def generate(self, seen: Seen, target: Target, streamed: bool) -> None:
        try:
            seen.conversation = read(target.reader or READERS[target.dialect], seen.body)
        except Malformed as why:
            return self.fail(seen, 400, str(why))
        scenario, name = choose(seen.conversation)
        form = "sse" if streamed else "json"
        seen.fixture, seen.status = f"translation/{target.dialect}/{name}.{form}", 200
        if not streamed:
            answer = document(seen.fixture)
            if scenario == "length":
                answer = json.loads(cut_short(json.dumps(answer)))
            return self.send_json(200, target.rewrite(answer) if target.rewrite else answer)
        newline = "\r\n" if target.dialect == "gemini" else "\n"
        text = fixture(seen.fixture).removesuffix("\n\n")
        text = cut_short(text) if scenario == "length" else text
        text = quirks.in_its_words(target.rewrite, text) if target.rewrite else text
        blocks = [f"{block}\n\n".replace("\n", newline).encode() for block in text.split("\n\n")]
        if scenario in ("broken", "cut"):
            blocks = blocks[: len(blocks) // 2 + 1]
            blocks += [f"{target.refusal}\n\n".replace("\n", newline).encode()] if scenario == "broken" else []
        if scenario == "cut":
            self.close_connection = True
            self.send_stream(blocks, whole=False)
        else:
            self.send_stream(blocks)

    def count(self, seen: Seen, target: Target) -> None:
        """Counts are of what generating would be asked."""
        body = seen.body
        if target.dialect == "messages":
            body = {**body, "max_tokens": 1}
        if target.dialect == "gemini":
            body = body.get("generateContentRequest", body)
        try:
            seen.conversation = read(READERS[target.dialect], body)
        except Malformed as why:
            return self.fail(seen, 400, str(why))
        seen.status = 200
        answers = {
            "messages": {"input_tokens": 17},
            "gemini": {"totalTokens": 8, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 8}]},
            "responses": {"object": "response.input_tokens", "input_tokens": 11},
        }
        self.send_json(200, answers[target.dialect])


def locate(target: Target, seen: Seen) -> tuple[str, str | None, bool]:
    """What is wanted of which model, and whether as a stream."""
    body = seen.body if isinstance(seen.body, dict) else {}
    if target.dialect == "gemini" and (found := re.fullmatch(r"/v1(?:beta)?/models/([^:]+):(\w+)", seen.path)):
        names = {
            "generateContent": "generate",
            "streamGenerateContent": "generate" if seen.query.get("alt") == ["sse"] else "",
            "countTokens": "count",
            "batchEmbedContents": "embed",
            "embedContent": "embed",
        }
        return names.get(found[2], ""), found[1], found[2].startswith("stream")
    counts = {"/v1/messages/count_tokens", "/v1/responses/input_tokens"}
    if seen.path == target.path:
        return "generate", body.get("model"), body.get("stream") is True
    if seen.path in counts:
        return "count", body.get("model"), False
    return ("embed" if seen.path == "/v1/embeddings" else ""), body.get("model"), False


def choose(conversation: list[dict[str, Any]]) -> tuple[str, str]:
    """The scenario, by the last question that is one of ours, and the answer in it, by the results since."""
    said = [(at, one["text"]) for at, one in enumerate(conversation) if one["kind"] == "text" and one["role"] == "user"]
    known = [(at, name) for at, text in said for name, question in QUESTIONS.items() if question == text]
    at, scenario = known[-1] if known else (0, "text")
    results = sum(one["kind"] == "result" for one in conversation[at:])
    match scenario:
        case "calls":
            return scenario, "text" if results else "calls"
        case "think":
            return scenario, "text" if results >= 2 else f"think-{results + 1}"
        case "object":
            return scenario, "object"
    return scenario, "text"


def cut_short(text: str) -> str:
    """The same answer, ended by the limit on its length."""
    for whole, short in SHORT:
        text = re.sub(whole, short, text)
    return text


SHORT = [
    (r'"finish_reason":( ?)"stop"', r'"finish_reason":\1"length"'),
    (r'"native_finish_reason":( ?)"end_turn"', r'"native_finish_reason":\1"max_tokens"'),
    (r'"stop_reason":( ?)"end_turn"', r'"stop_reason":\1"max_tokens"'),
    (r'"finishReason":( ?)"STOP"', r'"finishReason":\1"MAX_TOKENS"'),
    (r'("object": ?"response".*?)"status":( ?)"completed"', r'\1"status":\2"incomplete"'),
    (r'"incomplete_details":( ?)null', r'"incomplete_details":\1{"reason":"max_output_tokens"}'),
    (r"response\.completed", "response.incomplete"),
]


def embeddings(seen: Seen) -> Any:
    """As many as were asked for."""
    if seen.provider == "openai":
        return document(EMBEDDINGS["openai"])
    values = document(EMBEDDINGS["gemini"])["embeddings"][0]
    return {"embeddings": [values for _ in seen.body["requests"]]}
