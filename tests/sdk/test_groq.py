"""The `groq` SDK, behind the gateway's native prefix: its own paths follow `/groq`."""

import json
from collections.abc import Iterator
from typing import Any

import groq
import pytest

from harness import Gateway
from provider import HEADERS, Providers, document, error, events

ASKED: dict[str, Any] = {
    "model": "llama-3.3-70b-versatile",
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
]
WEATHER = {"city": "Paris", "unit": "celsius"}


def connect(gateway: Gateway, key: str | None = None) -> groq.Groq:
    return groq.Groq(base_url=f"{gateway.url}/groq", api_key=key or gateway.key, max_retries=0, timeout=20)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[groq.Groq]:
    with connect(gateway) as client:
        yield client


def test_chat(client: groq.Groq, upstream: Providers) -> None:
    answer = client.chat.completions.create(**ASKED)
    assert answer.to_dict() == document("groq/chat.json")
    sent = upstream.only("groq")
    assert (sent.path, sent.body) == ("/openai/v1/chat/completions", ASKED)


def test_rate_limit_headers(client: groq.Groq) -> None:
    answer = client.chat.completions.with_raw_response.create(**ASKED)
    assert {k: answer.headers.get(k) for k in HEADERS["groq"]} == HEADERS["groq"]


def test_chat_stream(client: groq.Groq, upstream: Providers) -> None:
    """Groq reports usage inside `x_groq` unasked: that is the provider's own answer and stays."""
    chunks = [chunk.to_dict() for chunk in client.chat.completions.create(**ASKED, stream=True)]
    assert chunks == events("groq/chat.sse")[:-1]
    assert upstream.only("groq").streamed


def test_chat_tool_call(client: groq.Groq, upstream: Providers) -> None:
    answer = client.chat.completions.create(**ASKED, tools=TOOLS)
    calls = answer.choices[0].message.tool_calls
    assert calls and json.loads(calls[0].function.arguments) == WEATHER
    assert upstream.only("groq").body == {**ASKED, "tools": TOOLS}


def test_chat_tool_call_stream(client: groq.Groq) -> None:
    chunks = list(client.chat.completions.create(**ASKED, tools=TOOLS, stream=True))
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert [call.function and json.loads(call.function.arguments or "") for call in calls] == [WEATHER]


def test_embeddings(client: groq.Groq, upstream: Providers) -> None:
    asked: dict[str, Any] = {"model": "nomic-embed-text-v1_5", "input": "one"}
    answer = client.embeddings.create(**asked)
    assert answer.to_dict() == document("groq/embeddings.json")
    assert upstream.only("groq").body == asked


def test_file_upload(client: groq.Groq, upstream: Providers) -> None:
    answer = client.files.create(file=("notes.jsonl", b'{"custom_id": "one"}'), purpose="batch")
    assert answer.to_dict() == document("groq/files.json")
    sent = upstream.only("groq")
    assert sent.path == "/openai/v1/files" and '{"custom_id": "one"}' in sent.body


def test_models(client: groq.Groq, upstream: Providers) -> None:
    assert client.models.list().to_dict() == document("groq/models.json")
    assert upstream.only("groq").path == "/openai/v1/models"


@pytest.mark.parametrize(
    ("model", "status", "kind"),
    [
        ("fail-400", 400, groq.BadRequestError),
        ("no-such-model", 404, groq.NotFoundError),
        ("fail-429", 429, groq.RateLimitError),
        ("fail-500", 500, groq.InternalServerError),
    ],
)
def test_provider_error(client: groq.Groq, model: str, status: int, kind: type[groq.APIStatusError]) -> None:
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**{**ASKED, "model": model})
    assert (caught.value.status_code, caught.value.body) == (status, error("groq", status))


def test_wrong_key(gateway: Gateway, upstream: Providers) -> None:
    with pytest.raises(groq.AuthenticationError) as caught:
        connect(gateway, key="tg-not-a-key").chat.completions.create(**ASKED)
    assert caught.value.status_code == 401
    assert isinstance(caught.value.body, dict) and caught.value.body["error"]["code"] == "invalid_api_key"
    assert not upstream.requests
