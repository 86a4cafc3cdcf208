"""The `anthropic` SDK: messages, token counting, files."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from harness import Gateway
from provider import HEADERS, Providers, document, error, events

ASKED: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "max_tokens": 1024,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": "What is the capital of France? \u00c7a va, \U0001f5fc?"}],
}
TOOLS: list[Any] = [{"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}]
WEATHER = {"city": "Paris", "unit": "celsius"}


def connect(gateway: Gateway, path: str = "", key: str | None = None) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.url + path, api_key=key or gateway.key, max_retries=0, timeout=20)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with connect(gateway) as client:
        yield client


def without_pings(stream: list[Any]) -> list[Any]:
    return [event for event in stream if event["type"] != "ping"]


def test_message(client: anthropic.Anthropic, upstream: Providers) -> None:
    answer = client.messages.create(**ASKED)
    assert answer.to_dict() == document("anthropic/messages.json")
    assert answer._request_id == HEADERS["anthropic"]["request-id"]
    sent = upstream.only("anthropic")
    assert (sent.path, sent.body) == ("/v1/messages", ASKED)
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", sent.headers["anthropic-version"])


def test_rate_limit_headers(client: anthropic.Anthropic) -> None:
    answer = client.messages.with_raw_response.create(**ASKED)
    assert {k: answer.headers.get(k) for k in HEADERS["anthropic"]} == HEADERS["anthropic"]


def test_native_prefix(gateway: Gateway, upstream: Providers) -> None:
    answer = connect(gateway, "/anthropic").messages.create(**ASKED)
    assert answer.to_dict() == document("anthropic/messages.json")
    assert upstream.only("anthropic").path == "/v1/messages"


def test_key_where_earlier_releases_put_it(gateway: Gateway, upstream: Providers) -> None:
    headers: Any = {"X-Api-Key": gateway.key, "Authorization": anthropic.omit}
    client = connect(gateway, key="unused").with_options(default_headers=headers)
    assert client.messages.create(**ASKED).to_dict() == document("anthropic/messages.json")


def test_message_stream(client: anthropic.Anthropic, upstream: Providers) -> None:
    stream = client.messages.create(**ASKED, stream=True)
    assert without_pings([event.to_dict() for event in stream]) == without_pings(events("anthropic/messages.sse"))
    assert upstream.only("anthropic").body == {**ASKED, "stream": True}


def test_message_stream_arrives_as_it_is_made(client: anthropic.Anthropic, upstream: Providers) -> None:
    with upstream.held() as release:
        stream = client.messages.create(**ASKED, stream=True)
        first = next(stream)
        release.set()
        rest = list(stream)
    assert (first.type, rest[-1].type) == ("message_start", "message_stop")


def test_accumulated_stream(client: anthropic.Anthropic) -> None:
    with client.messages.stream(**ASKED) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    assert texts == ["The", " capital", " of", " France", " is", " Paris", "."]
    assert (final.usage.cache_read_input_tokens, final.usage.output_tokens) == (900, 15)


def test_tool_use(client: anthropic.Anthropic, upstream: Providers) -> None:
    answer = client.messages.create(**ASKED, tools=TOOLS)
    assert answer.to_dict() == document("anthropic/messages-tools.json")
    assert upstream.only("anthropic").body == {**ASKED, "tools": TOOLS}


def test_tool_use_stream(client: anthropic.Anthropic) -> None:
    with client.messages.stream(**ASKED, tools=TOOLS) as stream:
        deltas = [event.partial_json for event in stream if event.type == "input_json"]
        final = stream.get_final_message()
    block = final.content[-1]
    assert block.type == "tool_use" and block.input == WEATHER and final.stop_reason == "tool_use"
    assert "".join(deltas) == '{"city":"Paris","unit":"celsius"}'


def test_count_tokens(client: anthropic.Anthropic, upstream: Providers) -> None:
    asked = {k: v for k, v in ASKED.items() if k != "max_tokens"}
    assert client.messages.count_tokens(**asked).input_tokens == 17
    sent = upstream.only("anthropic")
    assert (sent.path, sent.body) == ("/v1/messages/count_tokens", asked)


def test_file_upload(client: anthropic.Anthropic, upstream: Providers) -> None:
    answer = client.files.upload(file=("notes.txt", b"a file, of some 24 bytes", "text/plain"))
    assert answer.to_dict(mode="json") == document("anthropic/files.json")
    sent = upstream.only("anthropic")
    assert sent.path == "/v1/files" and sent.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert 'filename="notes.txt"' in sent.body and "a file, of some 24 bytes" in sent.body


def test_models(client: anthropic.Anthropic) -> None:
    listed = [model.id for model in client.models.list()]
    assert ASKED["model"] in listed


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, anthropic.BadRequestError), (429, anthropic.RateLimitError), (500, anthropic.InternalServerError)],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_provider_error(
    client: anthropic.Anthropic, status: int, kind: type[anthropic.APIStatusError], streamed: bool
) -> None:
    with pytest.raises(kind) as caught:
        client.messages.create(**{**ASKED, "model": f"anthropic/fail-{status}"}, stream=streamed)
    assert (caught.value.status_code, caught.value.body) == (status, error("anthropic", status))
    assert caught.value.response.headers.get("retry-after") == ("7" if status == 429 else None)


def test_unknown_model(client: anthropic.Anthropic, upstream: Providers) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.create(**{**ASKED, "model": "no-such-model"})
    assert caught.value.status_code == 404 and isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "not_found_error"
    assert "no-such-model" in caught.value.body["error"]["message"]
    assert not upstream.requests


def test_wrong_key(gateway: Gateway, upstream: Providers) -> None:
    with pytest.raises(anthropic.AuthenticationError) as caught:
        connect(gateway, key="tg-not-a-key").messages.create(**ASKED)
    assert caught.value.status_code == 401 and isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "authentication_error"
    assert not upstream.requests


def test_async(gateway: Gateway) -> None:
    async def run() -> None:
        async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, timeout=20) as client:
            plain, stream = await asyncio.gather(
                client.messages.create(**ASKED), client.messages.create(**ASKED, stream=True)
            )
            assert plain.to_dict() == document("anthropic/messages.json")
            received = without_pings([event.to_dict() async for event in stream])
            assert received == without_pings(events("anthropic/messages.sse"))

    asyncio.run(run())
