"""The `openai` SDK: chat completions, responses, embeddings, files."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from harness import Gateway
from provider import HEADERS, Providers, document, error, events

ASKED: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is the capital of France? \u00c7a va, \U0001f5fc?"},
    ],
    "temperature": 0.1,
}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}, "unit": {"type": "string"}}}
TOOLS: list[Any] = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]
RESPONSE_ASKED: dict[str, Any] = {"model": "gpt-5-mini", "input": "What is the capital of France?", "store": False}
RESPONSE_TOOLS: list[Any] = [{"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": False}]
WEATHER = {"city": "Paris", "unit": "celsius"}


def connect(gateway: Gateway, path: str = "/v1", key: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(base_url=gateway.url + path, api_key=key or gateway.key, max_retries=0, timeout=20)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with connect(gateway) as client:
        yield client


def without_usage(chunks: list[Any]) -> list[Any]:
    """What a client sees that did not ask for usage."""
    kept = [{k: v for k, v in chunk.items() if k != "usage"} for chunk in chunks if chunk["choices"]]
    assert len(kept) == len(chunks) - 1
    return kept


def test_chat(client: openai.OpenAI, upstream: Providers) -> None:
    answer = client.chat.completions.create(**ASKED)
    assert answer.to_dict() == document("openai/chat.json")
    assert answer._request_id == HEADERS["openai"]["x-request-id"]
    sent = upstream.only("openai")
    assert (sent.path, sent.body) == ("/v1/chat/completions", ASKED)


def test_rate_limit_headers(client: openai.OpenAI) -> None:
    answer = client.chat.completions.with_raw_response.create(**ASKED)
    assert {k: answer.headers.get(k) for k in HEADERS["openai"]} == HEADERS["openai"]


def test_chat_stream(client: openai.OpenAI, upstream: Providers) -> None:
    chunks = [chunk.to_dict() for chunk in client.chat.completions.create(**ASKED, stream=True)]
    assert all(chunk["choices"] and not chunk.pop("usage", None) for chunk in chunks)
    assert chunks == without_usage(events("openai/chat.sse"))
    assert upstream.only("openai").body == {**ASKED, "stream": True, "stream_options": {"include_usage": True}}


def test_chat_stream_with_usage(client: openai.OpenAI, upstream: Providers) -> None:
    options: Any = {"include_usage": True}
    stream = client.chat.completions.create(**ASKED, stream=True, stream_options=options)
    assert [chunk.to_dict() for chunk in stream] == events("openai/chat.sse")
    assert upstream.only("openai").body == {**ASKED, "stream": True, "stream_options": options}


def test_chat_stream_arrives_as_it_is_made(client: openai.OpenAI, upstream: Providers) -> None:
    with upstream.held() as release:
        stream = client.chat.completions.create(**ASKED, stream=True)
        first = next(stream)
        release.set()
        assert 1 + len(list(stream)) == len(events("openai/chat.sse")) - 1
    assert first.choices[0].delta.role == "assistant"


def test_chat_tool_call(client: openai.OpenAI, upstream: Providers) -> None:
    answer = client.chat.completions.create(**ASKED, tools=TOOLS)
    assert answer.to_dict() == document("openai/chat-tools.json")
    calls = answer.choices[0].message.tool_calls
    assert calls and calls[0].type == "function" and json.loads(calls[0].function.arguments) == WEATHER
    assert upstream.only("openai").body == {**ASKED, "tools": TOOLS}


def test_chat_tool_call_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(**ASKED, tools=TOOLS) as stream:
        deltas = [event.arguments_delta for event in stream if event.type == "tool_calls.function.arguments.delta"]
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls and json.loads(calls[0].function.arguments) == WEATHER
    assert len(deltas) > 2 and "".join(deltas) == calls[0].function.arguments
    assert final.choices[0].finish_reason == "tool_calls"


def test_response(client: openai.OpenAI, upstream: Providers) -> None:
    answer = client.responses.create(**RESPONSE_ASKED)
    assert answer.to_dict() == document("openai/responses.json")
    assert answer.output_text == "The capital of France is Paris."
    sent = upstream.only("openai")
    assert (sent.path, sent.body) == ("/v1/responses", RESPONSE_ASKED)


def test_response_stream(client: openai.OpenAI, upstream: Providers) -> None:
    stream = client.responses.create(**RESPONSE_ASKED, stream=True)
    assert [event.to_dict() for event in stream] == events("openai/responses.sse")
    assert upstream.only("openai").body == {**RESPONSE_ASKED, "stream": True}


def test_response_tool_call(client: openai.OpenAI) -> None:
    answer = client.responses.create(**RESPONSE_ASKED, tools=RESPONSE_TOOLS)
    assert answer.to_dict() == document("openai/responses-tools.json")


def test_response_tool_call_stream(client: openai.OpenAI) -> None:
    with client.responses.stream(**RESPONSE_ASKED, tools=RESPONSE_TOOLS) as stream:
        deltas = [event.delta for event in stream if event.type == "response.function_call_arguments.delta"]
        call = stream.get_final_response().output[-1]
    assert call.type == "function_call" and json.loads(call.arguments) == WEATHER
    assert len(deltas) > 2 and "".join(deltas) == call.arguments


@pytest.mark.parametrize("extra", [{}, {"encoding_format": "float"}], ids=["default", "float"])
def test_embeddings(client: openai.OpenAI, upstream: Providers, extra: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"model": "text-embedding-3-small", "input": ["one", "two"]}
    answer = client.embeddings.create(**asked, **extra)
    assert answer.to_dict() == document("openai/embeddings.json")
    assert upstream.only("openai").body == {**asked, "encoding_format": "base64", **extra}


def test_file_upload(client: openai.OpenAI, upstream: Providers) -> None:
    answer = client.files.create(file=("notes.txt", b"a file, of some 24 bytes"), purpose="user_data")
    assert answer.to_dict() == document("openai/files.json")
    sent = upstream.only("openai")
    assert sent.path == "/v1/files" and sent.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert 'filename="notes.txt"' in sent.body and "a file, of some 24 bytes" in sent.body


def test_models(client: openai.OpenAI) -> None:
    listed = [model.id for model in client.models.list()]
    assert ASKED["model"] in listed


@pytest.mark.parametrize(
    ("path", "model", "provider", "upstream_path"),
    [
        ("/openai/v1", "gpt-4o-mini", "openai", "/v1/chat/completions"),
        ("/groq/openai/v1", "llama-3.3-70b-versatile", "groq", "/openai/v1/chat/completions"),
        ("/v1", "groq/llama-3.3-70b-versatile", "groq", "/openai/v1/chat/completions"),
        ("/v1", "mistral/mistral-small-latest", "mistral", "/v1/chat/completions"),
        ("/v1", "openrouter/openai/gpt-4o-mini", "openrouter", "/api/v1/chat/completions"),
        ("/v1", "openai/gpt-4o-mini", "openai", "/v1/chat/completions"),
    ],
)
def test_other_ways_in(
    gateway: Gateway, upstream: Providers, path: str, model: str, provider: str, upstream_path: str
) -> None:
    answer = connect(gateway, path).chat.completions.create(**{**ASKED, "model": model})
    assert answer.to_dict() == document(f"{provider}/chat.json")
    sent = upstream.only(provider)
    assert (sent.path, sent.body) == (upstream_path, {**ASKED, "model": model.removeprefix(f"{provider}/")})


@pytest.mark.parametrize("provider", ["groq", "mistral"])
def test_stream_of_an_openai_compatible_provider(gateway: Gateway, upstream: Providers, provider: str) -> None:
    """Groq can be asked for usage; Mistral forbids the question and tells unasked."""
    model = {"groq": "llama-3.3-70b-versatile", "mistral": "mistral-small-latest"}[provider]
    stream = connect(gateway).chat.completions.create(**{**ASKED, "model": f"{provider}/{model}"}, stream=True)
    chunks = [chunk for chunk in stream if chunk.choices]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "The capital of France is Paris."
    assert upstream.only(provider).streamed


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, openai.BadRequestError), (429, openai.RateLimitError), (500, openai.InternalServerError)],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_provider_error(client: openai.OpenAI, status: int, kind: type[openai.APIStatusError], streamed: bool) -> None:
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**{**ASKED, "model": f"openai/fail-{status}"}, stream=streamed)
    expected = error("openai", status)["error"]
    assert (caught.value.status_code, caught.value.body) == (status, expected)
    assert expected["message"] in caught.value.message
    assert caught.value.response.headers.get("retry-after") == ("7" if status == 429 else None)


def test_unknown_model(client: openai.OpenAI, upstream: Providers) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(**{**ASKED, "model": "no-such-model"})
    assert caught.value.status_code == 404 and caught.value.code == "model_not_found"
    assert "no-such-model" in caught.value.message
    assert not upstream.requests


def test_wrong_key(gateway: Gateway, upstream: Providers) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        connect(gateway, key="tg-not-a-key").chat.completions.create(**ASKED)
    assert caught.value.status_code == 401 and caught.value.code == "invalid_api_key"
    assert "tg-not-a-key" not in caught.value.message
    assert not upstream.requests


def test_async(gateway: Gateway) -> None:
    async def run() -> None:
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, timeout=20) as client:
            plain, stream = await asyncio.gather(
                client.chat.completions.create(**ASKED),
                client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}),
            )
            assert plain.to_dict() == document("openai/chat.json")
            assert [chunk.to_dict() async for chunk in stream] == events("openai/chat.sse")

    asyncio.run(run())
