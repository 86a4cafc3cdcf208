"""The `mistralai` SDK, behind the gateway's native prefix."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from mistralai.client import Mistral
from mistralai.client.errors import SDKError

from harness import Gateway
from provider import HEADERS, Providers, document, error

ASKED: dict[str, Any] = {
    "model": "mistral-small-latest",
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
]
ANSWER = "The capital of France is Paris."
WEATHER = {"city": "Paris", "unit": "celsius"}


def connect(gateway: Gateway, key: str | None = None) -> Mistral:
    return Mistral(server_url=f"{gateway.url}/mistral", api_key=key or gateway.key, timeout_ms=20_000)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Mistral]:
    with connect(gateway) as client:
        yield client


def test_chat(client: Mistral, upstream: Providers) -> None:
    answer = client.chat.complete(**ASKED)
    assert answer.choices[0].message and answer.choices[0].message.content == ANSWER
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (24, 15)
    sent = upstream.only("mistral")
    assert sent.path == "/v1/chat/completions"
    assert {k: sent.body[k] for k in ASKED} == ASKED


def test_chat_stream(client: Mistral, upstream: Providers) -> None:
    with client.chat.stream(**ASKED) as stream:
        chunks = [event.data for event in stream]
    assert [chunk.choices[0].delta.content for chunk in chunks] == [
        "", "The", " capital", " of", " France", " is", " Paris", ".", "",
    ]  # fmt: skip
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens == 11
    sent = upstream.only("mistral")
    assert sent.body["stream"] is True and "stream_options" not in sent.body


def test_chat_tool_call(client: Mistral, upstream: Providers) -> None:
    answer = client.chat.complete(**ASKED, tools=TOOLS)
    assert answer.choices[0].message and answer.choices[0].message.tool_calls
    function = answer.choices[0].message.tool_calls[0].function
    assert isinstance(function.arguments, str) and json.loads(function.arguments) == WEATHER
    assert upstream.only("mistral").body["tools"][0]["function"]["name"] == "get_weather"


def test_chat_tool_call_stream(client: Mistral) -> None:
    with client.chat.stream(**ASKED, tools=TOOLS) as stream:
        calls = [call for event in stream for call in event.data.choices[0].delta.tool_calls or []]
    assert [json.loads(str(call.function.arguments)) for call in calls] == [WEATHER]


def test_embeddings(client: Mistral, upstream: Providers) -> None:
    answer = client.embeddings.create(model="mistral-embed", inputs=["one"])
    assert answer.data[0].embedding == document("mistral/embeddings.json")["data"][0]["embedding"]
    sent = upstream.only("mistral")
    assert (sent.path, sent.body) == ("/v1/embeddings", {"model": "mistral-embed", "input": ["one"]})


def test_file_upload(client: Mistral, upstream: Providers) -> None:
    answer = client.files.upload(file={"file_name": "notes.jsonl", "content": b'{"custom_id": "one"}'}, purpose="batch")
    assert answer.id == document("mistral/files.json")["id"]
    sent = upstream.only("mistral")
    assert sent.path == "/v1/files" and '{"custom_id": "one"}' in sent.body


def test_models(client: Mistral, upstream: Providers) -> None:
    listed = client.models.list().model_dump()["data"]
    assert [model["id"] for model in listed] == ["mistral-small-latest", "mistral-embed"]
    assert upstream.only("mistral").path == "/v1/models"


@pytest.mark.parametrize(
    ("model", "status"), [("fail-400", 400), ("no-such-model", 404), ("fail-429", 429), ("fail-500", 500)]
)
def test_provider_error(client: Mistral, model: str, status: int) -> None:
    with pytest.raises(SDKError) as caught:
        client.chat.complete(**{**ASKED, "model": model})
    assert (caught.value.status_code, json.loads(caught.value.body)) == (status, error("mistral", status))
    assert {k: caught.value.headers.get(k) for k in HEADERS["mistral"]} == HEADERS["mistral"]


def test_wrong_key(gateway: Gateway, upstream: Providers) -> None:
    with pytest.raises(SDKError) as caught:
        connect(gateway, key="tg-not-a-key").chat.complete(**ASKED)
    assert caught.value.status_code == 401 and json.loads(caught.value.body)
    assert not upstream.requests
