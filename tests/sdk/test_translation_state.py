"""Responses that are remembered, with models whose providers remember nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from conversation import describe, parameters
from harness import Gateway, serving
from targets import OTHER_KEY, QUESTIONS, TARGETS, Targets
from wire import Piece

ANSWER = "The capital of France is Paris."
TARGET = pytest.mark.parametrize("target", [name for name in TARGETS if name != "responses"])
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
WEATHER: list[Any] = [
    {
        "type": "function",
        "name": "get_weather",
        "description": describe("get_weather"),
        "parameters": parameters("city"),
        "strict": True,
    }
]


def connect(gateway: Gateway, key: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key or gateway.key, max_retries=0, timeout=20)


@pytest.fixture
def client(translating: Gateway) -> Iterator[openai.OpenAI]:
    with connect(translating) as client:
        yield client


def create(client: openai.OpenAI, target: str, streamed: bool = False, **asked: Any) -> Any:
    asked = {"model": TARGETS[target].name, "input": QUESTIONS["text"], **asked}
    if not streamed:
        return client.responses.create(**asked)
    *_, last = client.responses.create(**asked, stream=True)
    assert last.type == "response.completed"
    return last.response


def brief(conversation: list[Piece]) -> list[tuple[str, Any]]:
    return [
        (one["kind"], one["text"] if "text" in one else one.get("data") or one["args"])
        for one in conversation
        if one["kind"] != "thought"
    ]


@TARGET
@STREAMED
def test_three_turns(client: openai.OpenAI, targets: Targets, target: str, streamed: bool) -> None:
    """Each request says only what is new, and the model is told everything."""
    first = create(client, target, streamed)
    second = create(client, target, streamed, input="And of Italy?", previous_response_id=first.id)
    third = create(client, target, streamed, input="And of Spain?", previous_response_id=second.id)
    assert len({first.id, second.id, third.id}) == 3
    assert (second.previous_response_id, third.previous_response_id) == (first.id, second.id)
    assert brief(targets.last(TARGETS[target])) == [
        ("text", QUESTIONS["text"]),
        ("text", ANSWER),
        ("text", "And of Italy?"),
        ("text", ANSWER),
        ("text", "And of Spain?"),
    ]


@TARGET
@STREAMED
def test_tool_loop(client: openai.OpenAI, targets: Targets, target: str, streamed: bool) -> None:
    """The client sends only results. What the model sealed is part of what the gateway remembers."""
    asked: dict[str, Any] = {"tools": WEATHER, "reasoning": {"effort": "medium", "summary": "auto"}}
    answer = create(client, target, streamed, input=QUESTIONS["think"], **asked)
    for result in ("18 degrees", "23 degrees"):
        (call,) = [item for item in answer.output if item.type == "function_call"]
        output = {"type": "function_call_output", "call_id": call.call_id, "output": result}
        answer = create(client, target, streamed, input=[output], previous_response_id=answer.id, **asked)
    assert answer.output_text == ANSWER
    seals = TARGETS[target].seals()
    assert brief(targets.last(TARGETS[target])) == [
        ("text", QUESTIONS["think"]),
        ("seal", seals[0]),
        ("call", {"city": "Paris"}),
        ("result", "18 degrees"),
        ("seal", seals[1]),
        ("call", {"city": "Rome"}),
        ("result", "23 degrees"),
    ]


@TARGET
def test_instructions_are_of_one_request(client: openai.OpenAI, targets: Targets, target: str) -> None:
    first = create(client, target, instructions="Be brief.")
    create(client, target, input="And of Italy?", previous_response_id=first.id, instructions="Be long.")
    said = [one["text"] for one in targets.last(TARGETS[target]) if one["role"] == "system"]
    assert said == ["Be long."]


@TARGET
@STREAMED
def test_retrieve(client: openai.OpenAI, targets: Targets, target: str, streamed: bool) -> None:
    answer = create(client, target, streamed, metadata={"a": "b"})
    targets.reset()
    found = client.responses.retrieve(answer.id)
    assert found.to_dict() == answer.to_dict()
    assert (found.status, found.output_text, found.metadata) == ("completed", ANSWER, {"a": "b"})
    assert not targets.requests


@TARGET
def test_input_items(client: openai.OpenAI, targets: Targets, target: str) -> None:
    """They are this request's own, as the SDK's types have them, the newest first; the SDK turns the pages."""
    first = create(client, target)
    said: list[Any] = [{"role": "user", "content": text} for text in ("And of Italy?", "And of Spain?")]
    second = create(client, target, input=said, previous_response_id=first.id)

    def texts(**options: Any) -> list[str]:
        items: list[Any] = list(client.responses.input_items.list(second.id, **options))
        assert all(item.type == "message" and item.id for item in items)
        return [item.content[0].text for item in items]

    assert texts() == ["And of Spain?", "And of Italy?"]
    assert texts(order="asc", limit=1) == ["And of Italy?", "And of Spain?"]


@TARGET
def test_delete(client: openai.OpenAI, targets: Targets, target: str) -> None:
    answer = create(client, target)
    client.responses.delete(answer.id)
    are_unknown(client, answer.id, TARGETS[target].name)


@TARGET
def test_what_is_not_to_be_stored(client: openai.OpenAI, targets: Targets, target: str) -> None:
    answer = create(client, target, store=False)
    assert answer.output_text == ANSWER and answer.id
    are_unknown(client, answer.id, TARGETS[target].name)


@TARGET
def test_another_organisation(client: openai.OpenAI, translating: Gateway, targets: Targets, target: str) -> None:
    answer = create(client, target)
    with connect(translating, OTHER_KEY) as stranger:
        are_unknown(stranger, answer.id, TARGETS[target].name)
    assert client.responses.retrieve(answer.id).id == answer.id


def are_unknown(client: openai.OpenAI, id: str, model: str) -> None:
    """For this client there is no such response, whatever it wants of it."""
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(id)
    with pytest.raises(openai.NotFoundError):
        client.responses.input_items.list(id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=model, input="And of Italy?", previous_response_id=id)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


@TARGET
def test_after_a_restart(played: Targets, targets: Targets, tmp_path: Path, target: str) -> None:
    with serving(tmp_path, played.configuration()) as gateway, connect(gateway) as client:
        answer = create(client, target)
    with serving(tmp_path, played.configuration()) as gateway, connect(gateway) as client:
        assert client.responses.retrieve(answer.id).output_text == ANSWER
        create(client, target, input="And of Italy?", previous_response_id=answer.id)
    assert brief(targets.last(TARGETS[target])) == [
        ("text", QUESTIONS["text"]),
        ("text", ANSWER),
        ("text", "And of Italy?"),
    ]


def test_answer_moves_to_another_model(client: openai.OpenAI, targets: Targets) -> None:
    """A conversation may go on with another provider's model: it is told what was said, without the seals."""
    asked: dict[str, Any] = {"tools": WEATHER, "reasoning": {"effort": "medium"}}
    first = create(client, "messages", input=QUESTIONS["think"], **asked)
    (call,) = [item for item in first.output if item.type == "function_call"]
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"}
    targets.reset()
    create(client, "chat", input=[output], previous_response_id=first.id, tools=WEATHER)
    told = brief(targets.last(TARGETS["chat"]))
    assert [one for one in told if one[0] != "seal"] == [
        ("text", QUESTIONS["think"]),
        ("call", {"city": "Paris"}),
        ("result", "18 degrees"),
    ]
