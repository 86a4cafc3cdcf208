"""What the gateway writes is what the official SDKs, and OpenAI's published schema, say may be written.

`cargo test --test translation` leaves every recorded request, answer and stream in every other dialect in
`target/translated`, one document a line. Nothing is left out here in silence: a rendering that is not right fails,
and so does a run without renderings.
"""

import copy
import json
import os
import re
import sys
import typing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import anthropic.types as anthropic_types
import groq.types.chat.completion_create_params as groq_params
import jsonschema_rs
import openai.types.chat as chat_types
import openai.types.responses as responses_types
import pytest
from anthropic.types import beta as anthropic_beta
from google.genai import types as genai_types
from mistralai.client import models as mistral_models
from pydantic import ConfigDict, TypeAdapter, ValidationError

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
DUMP = Path(os.environ.get("TOLLGATE_TRANSLATED", TARGET / "translated"))
DIALECTS = ("openai_chat", "openai_responses", "anthropic", "gemini")

Check = Callable[[Any], None]


def forbid_unknown_members(package: str) -> None:
    """An SDK's typed dictionaries pass over what they do not know; here it is an error."""
    for name, module in list(sys.modules.items()):
        if name.startswith(package):
            for thing in vars(module).values():
                if typing.is_typeddict(thing):
                    thing.__pydantic_config__ = ConfigDict(extra="forbid")


forbid_unknown_members("anthropic.types")
forbid_unknown_members("openai.types")
forbid_unknown_members("groq.types")
forbid_unknown_members("mistralai.client.models")


def drain(value: Any) -> None:
    """Lists in the SDKs' parameters are iterables, which are checked as they are read."""
    if isinstance(value, dict):
        for member in value.values():
            drain(member)
    elif not isinstance(value, str | bytes) and isinstance(value, Iterable):
        for member in value:
            drain(member)


def typed(*kinds: Any) -> Check:
    """One of the SDK's models takes it."""
    adapters = [TypeAdapter(kind) for kind in kinds]

    def check(body: Any) -> None:
        errors = []
        for adapter in adapters:
            try:
                return drain(adapter.validate_python(body))
            except ValidationError as error:
                errors.append(error)
        raise errors[0]

    return check


def strict(kind: Any) -> Check:
    """The SDK's model of an answer takes it without turning one type into another."""
    adapter = TypeAdapter(kind)

    def check(body: Any) -> None:
        adapter.validate_json(json.dumps(body), strict=True)

    return check


GEMINI_ANSWER = strict(genai_types.GenerateContentResponse)


def published(name: str) -> Check:
    """OpenAI's published schema of that name takes it."""
    spec = json.loads((SHARED / "specs/openai.openapi.json").read_text())
    validator = jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": widened(spec["components"])}
    )

    def check(body: Any) -> None:
        error = next(validator.iter_errors(body), None)
        if error is not None:
            at = "/".join(str(step) for step in error.instance_path)
            raise AssertionError(f"{at}: {error.message[:300]}")

    return check


def widened(schema: Any) -> Any:
    """`oneOf` as `anyOf`: the alternatives of the published schema overlap, and real requests fit several."""
    if isinstance(schema, dict):
        return {("anyOf" if key == "oneOf" else key): widened(value) for key, value in schema.items()}
    return [widened(value) for value in schema] if isinstance(schema, list) else schema


GEMINI_REQUEST: dict[str, TypeAdapter[Any]] = {
    "contents": TypeAdapter(list[genai_types.Content]),
    "systemInstruction": TypeAdapter(genai_types.Content),
    "tools": TypeAdapter(list[genai_types.Tool]),
    "toolConfig": TypeAdapter(genai_types.ToolConfig),
    "safetySettings": TypeAdapter(list[genai_types.SafetySetting]),
    "generationConfig": TypeAdapter(genai_types.GenerationConfig),
    "cachedContent": TypeAdapter(str),
    "labels": TypeAdapter(dict[str, str]),
    "serviceTier": TypeAdapter(str),
    # The API's reference has it, the SDK's models do not yet.
    "store": TypeAdapter(bool),
}


def gemini_request(body: Any) -> None:
    """The SDK has no model of the whole request, but one of each member."""
    assert body.get("contents"), "no contents"
    for member, value in body.items():
        assert member in GEMINI_REQUEST, f"unknown member {member}"
        GEMINI_REQUEST[member].validate_json(json.dumps(value), strict=True)


def gemini_answer(body: Any) -> None:
    """The SDK's model does not know the tier that real answers have, and is never strict about a time."""
    body = {**body, "usageMetadata": dict(body.get("usageMetadata", {}))}
    assert isinstance(body["usageMetadata"].pop("serviceTier", ""), str), "the tier is no text"
    datetime.fromisoformat(body.pop("createTime", "2026-01-01T00:00:00Z"))
    GEMINI_ANSWER(body)


MISTRAL_REQUEST = typed(
    mistral_models.ChatCompletionRequestTypedDict, mistral_models.ChatCompletionStreamRequestTypedDict
)


def mistral_request(body: Any) -> None:
    """The SDK's dictionaries have a name of their own for the member `schema`."""
    body = copy.deepcopy(body)
    named = body.get("response_format", {}).get("json_schema", {})
    if "schema" in named:
        named["schema_definition"] = named.pop("schema")
    MISTRAL_REQUEST(body)


def published_response() -> Check:
    """The schema wants a text for `user`, where OpenAI's own answers have null."""
    check = published("Response")

    def without_user(body: Any) -> None:
        check({key: value for key, value in body.items() if key != "user" or value is not None})

    return without_user


def every(*checks: Check) -> Check:
    def check(body: Any) -> None:
        for one in checks:
            one(body)

    return check


def error_body(members: set[str]) -> Check:
    def check(body: Any) -> None:
        assert members <= body["error"].keys(), body

    return check


def stream_event(event: Check, error: set[str]) -> Check:
    """An event of a stream, which may be an error."""

    def check(body: Any) -> None:
        (error_body(error) if isinstance(body.get("error"), dict) else event)(body)

    return check


OPENAI_ERROR = {"message", "type", "param", "code"}
ANTHROPIC_ERROR = {"message", "type"}
GEMINI_ERROR = {"message", "status", "code"}

CHECKS: dict[tuple[str, str], Callable[[], Check]] = {
    ("requests", "openai_chat"): lambda: every(
        typed(chat_types.completion_create_params.CompletionCreateParams), published("CreateChatCompletionRequest")
    ),
    ("requests", "openai_chat-groq"): lambda: typed(groq_params.CompletionCreateParams),
    ("requests", "openai_chat-mistral"): lambda: mistral_request,
    ("requests", "openai_responses"): lambda: every(
        typed(responses_types.response_create_params.ResponseCreateParams), published("CreateResponse")
    ),
    ("requests", "anthropic"): lambda: typed(
        anthropic_types.message_create_params.MessageCreateParams,
        anthropic_beta.message_create_params.MessageCreateParams,
    ),
    ("requests", "gemini"): lambda: gemini_request,
    ("answers", "openai_chat"): lambda: every(
        strict(chat_types.ChatCompletion), published("CreateChatCompletionResponse")
    ),
    ("answers", "openai_responses"): lambda: every(strict(responses_types.Response), published_response()),
    ("answers", "anthropic"): lambda: strict(anthropic_types.Message),
    ("answers", "gemini"): lambda: gemini_answer,
    ("streams", "openai_chat"): lambda: stream_event(strict(chat_types.ChatCompletionChunk), OPENAI_ERROR),
    ("streams", "openai_responses"): lambda: strict(responses_types.ResponseStreamEvent),
    ("streams", "anthropic"): lambda: anthropic_event,
    ("streams", "gemini"): lambda: stream_event(gemini_answer, GEMINI_ERROR),
    ("errors", "openai_chat"): lambda: error_body(OPENAI_ERROR),
    ("errors", "openai_responses"): lambda: error_body(OPENAI_ERROR),
    ("errors", "anthropic"): lambda: error_body(ANTHROPIC_ERROR),
    ("errors", "gemini"): lambda: error_body(GEMINI_ERROR),
}

ANTHROPIC_EVENT = TypeAdapter(anthropic_types.RawMessageStreamEvent)


def anthropic_event(body: Any) -> None:
    if body["type"] == "error":
        error_body(ANTHROPIC_ERROR)(body)
    elif body["type"] != "ping":
        ANTHROPIC_EVENT.validate_json(json.dumps(body), strict=True)


def lines(kind: str, source: str, target: str) -> Iterator[dict[str, Any]]:
    path = DUMP / f"{kind}-{source}-{target}.jsonl"
    if not path.exists():
        pytest.fail(f"{path} is missing: `cargo test --test translation` writes it")
    with path.open() as file:
        for line in file:
            yield json.loads(line)


@pytest.fixture(scope="module", autouse=True)
def corpus() -> None:
    if not (SHARED / "corpus/README.md").exists():
        pytest.skip("the recorded exchanges are not beside this checkout, so nothing was translated")


@pytest.mark.parametrize(("kind", "target"), CHECKS)
def test_every_rendering_is_of_its_dialect(kind: str, target: str) -> None:
    check = CHECKS[kind, target]()
    wrong: Counter[str] = Counter()
    examples: dict[str, str] = {}
    count = 0
    for source in DIALECTS:
        if source == target.split("-")[0]:
            continue
        for line in lines(kind, source, target):
            count += 1
            try:
                check(line["body"])
            except (ValidationError, AssertionError) as error:
                complaint, example = summary(error)
                wrong[f"from {source}: {complaint}"] += 1
                examples.setdefault(f"from {source}: {complaint}", f"{line['id']}: {example}")
    assert count > 0, f"no {kind} in {target}: `cargo test --test translation` writes them to {DUMP}"
    listed = "\n".join(f"{n} x {complaint}\n    {examples[complaint]}" for complaint, n in wrong.most_common(40))
    if wrong:
        pytest.fail(f"{wrong.total()} of {count} {kind} are not of the dialect {target}:\n{listed}", pytrace=False)


def summary(error: ValidationError | AssertionError) -> tuple[str, str]:
    """What is wrong, alike for the same mistake in other places; and an example."""
    if not isinstance(error, ValidationError):
        return re.sub(r"\d+", "*", str(error))[:200], ""
    # Of a union's members, the one that came furthest.
    worst = max(error.errors(), key=lambda e: len(e["loc"]))
    steps = ["*" if isinstance(step, int) else str(step)[:40] for step in worst["loc"]]
    return f"{'/'.join(steps)}: {worst['msg'][:120]}", str(worst["input"])[:160]
