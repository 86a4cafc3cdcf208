"""The `google-genai` SDK: generateContent, embeddings, token counting, resumable upload."""

import io
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from google import genai
from google.genai import errors, types

from harness import Gateway
from provider import Providers, document, error, events

MODEL = "gemini-2.5-flash"
QUESTION = "What is the capital of France? \u00c7a va, \U0001f5fc?"
CONTENTS = [{"parts": [{"text": QUESTION}], "role": "user"}]
ANSWER = "The capital of France is Paris."
WEATHER = {"city": "Paris", "unit": "celsius"}
TOOLS: list[Any] = [
    types.Tool(function_declarations=[types.FunctionDeclaration(name="get_weather", description="The weather.")])
]


def connect(gateway: Gateway, path: str = "", key: str | None = None, version: str | None = None) -> genai.Client:
    options = types.HttpOptions(base_url=gateway.url + path, api_version=version, timeout=20_000)
    return genai.Client(api_key=key or gateway.key, vertexai=False, http_options=options)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[genai.Client]:
    with connect(gateway) as client:
        yield client


def tokens(usage: types.GenerateContentResponseUsageMetadata | None) -> tuple[int | None, ...]:
    assert usage
    return usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count


def test_generate(client: genai.Client, upstream: Providers) -> None:
    answer = client.models.generate_content(model=MODEL, contents=QUESTION, config={"temperature": 0.5})
    assert answer.text == ANSWER and tokens(answer.usage_metadata) == (12, 9, 25)
    assert answer.response_id == document("gemini/generateContent.json")["responseId"]
    sent = upstream.only("gemini")
    assert sent.path == f"/v1/models/{MODEL}:generateContent"
    assert sent.body == {"contents": CONTENTS, "generationConfig": {"temperature": 0.5}}


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize(("path", "model"), [("", MODEL), ("/gemini", MODEL), ("", f"gemini/{MODEL}")])
def test_ways_in(gateway: Gateway, upstream: Providers, path: str, model: str, version: str) -> None:
    with connect(gateway, path, version=version) as client:
        assert client.models.generate_content(model=model, contents=QUESTION).text == ANSWER
    assert upstream.only("gemini").path == f"/{version}/models/{MODEL}:generateContent"


def test_generate_stream(client: genai.Client, upstream: Providers) -> None:
    chunks = list(client.models.generate_content_stream(model=MODEL, contents=QUESTION))
    assert [chunk.text for chunk in chunks] == ["The", " capital", " of", " France", " is", " Paris", "."]
    assert tokens(chunks[-1].usage_metadata) == (1100, 8, 31)
    sent = upstream.only("gemini")
    assert (sent.path, sent.query) == (f"/v1/models/{MODEL}:streamGenerateContent", {"alt": ["sse"]})
    assert sent.body["contents"] == CONTENTS


def test_generate_stream_arrives_as_it_is_made(client: genai.Client, upstream: Providers) -> None:
    with upstream.held() as release:
        stream = client.models.generate_content_stream(model=MODEL, contents=QUESTION)
        first = next(stream)
        release.set()
        assert 1 + len(list(stream)) == len(events("gemini/streamGenerateContent.sse"))
    assert first.text == "The"


def test_function_call(client: genai.Client, upstream: Providers) -> None:
    answer = client.models.generate_content(model=MODEL, contents=QUESTION, config={"tools": TOOLS})
    assert answer.function_calls and answer.function_calls[0].name == "get_weather"
    assert answer.function_calls[0].args == WEATHER
    declared = upstream.only("gemini").body["tools"][0]["functionDeclarations"]
    assert declared == [{"name": "get_weather", "description": "The weather."}]


def test_function_call_stream(client: genai.Client) -> None:
    chunks = list(client.models.generate_content_stream(model=MODEL, contents=QUESTION, config={"tools": TOOLS}))
    calls = [call for chunk in chunks for call in chunk.function_calls or []]
    assert [(call.name, call.args) for call in calls] == [("get_weather", WEATHER)]
    assert tokens(chunks[-1].usage_metadata) == (66, 12, 20)


@pytest.mark.parametrize(
    ("model", "name"),
    [("gemini-embedding-001", "batchEmbedContents"), ("gemini-embedding-2", "batchEmbedContents-gemini-embedding-2")],
)
def test_embeddings(client: genai.Client, upstream: Providers, model: str, name: str) -> None:
    answer = client.models.embed_content(model=model, contents="Some text goes here")
    assert answer.embeddings
    expected = document(f"gemini/{name}.json")["embeddings"]
    assert [embedding.values for embedding in answer.embeddings] == [item["values"] for item in expected]
    sent = upstream.only("gemini")
    assert sent.path == f"/v1/models/{model}:batchEmbedContents"
    assert sent.body["requests"][0]["model"] == f"models/{model}"


def test_count_tokens(client: genai.Client, upstream: Providers) -> None:
    assert client.models.count_tokens(model=MODEL, contents=QUESTION).total_tokens == 8
    assert upstream.only("gemini").body == {"contents": CONTENTS}


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_file_upload(gateway: Gateway, upstream: Providers, version: str) -> None:
    """Two steps: the first answer names the URL of the second, to which this SDK sends no key."""
    config = types.UploadFileConfig(mime_type="text/plain", display_name="notes.txt")
    with connect(gateway, version=version) as client:
        answer = client.files.upload(file=io.BytesIO(b"a file, of some 24 bytes"), config=config)
    assert (answer.name, answer.state) == ("files/lyznmka9w110", types.FileState.ACTIVE)
    start, data = upstream.requests
    assert start.path == data.path == f"/upload/{version}/files"
    assert set(start.body["file"].values()) == {"text/plain", 24, "notes.txt"}
    assert start.headers["x-goog-upload-header-content-length"] == "24"
    assert data.query == {"upload_id": ["ABPtcPo1"], "upload_protocol": ["resumable"]}
    assert (data.body, data.headers["x-goog-upload-command"]) == ("a file, of some 24 bytes", "upload, finalize")


def test_upload_url_is_the_gateways(gateway: Gateway) -> None:
    """The SDK puts its base URL's host in anyway; other clients follow the header as it is."""
    headers = {"x-goog-api-key": gateway.key, "x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
    start = urllib.request.Request(f"{gateway.url}/upload/v1beta/files", b"{}", headers)
    with urllib.request.urlopen(start, timeout=20) as answer:
        target = urlsplit(answer.headers["x-goog-upload-url"])
    assert f"{target.scheme}://{target.netloc}" == gateway.url
    assert target.path.endswith("/upload/v1beta/files") and "upload_id=ABPtcPo1" in target.query


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_models(gateway: Gateway, version: str) -> None:
    with connect(gateway, version=version) as client:
        listed = [model.name for model in client.models.list()]
    assert f"models/{MODEL}" in listed


@pytest.mark.parametrize(
    ("status", "kind"), [(400, errors.ClientError), (429, errors.ClientError), (500, errors.ServerError)]
)
def test_provider_error(client: genai.Client, status: int, kind: type[errors.APIError]) -> None:
    expected = error("gemini", status)["error"]
    with pytest.raises(kind) as caught:
        client.models.generate_content(model=f"gemini/fail-{status}", contents=QUESTION)
    assert (caught.value.code, caught.value.status) == (status, expected["status"])
    assert caught.value.message == expected["message"]
    with pytest.raises(kind) as streamed:
        next(client.models.generate_content_stream(model=f"gemini/fail-{status}", contents=QUESTION))
    assert (streamed.value.code, streamed.value.message) == (status, expected["message"])


def test_unknown_model(client: genai.Client, upstream: Providers) -> None:
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model="no-such-model", contents=QUESTION)
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    assert caught.value.message and "no-such-model" in caught.value.message
    assert not upstream.requests


def test_wrong_key(gateway: Gateway, upstream: Providers) -> None:
    with connect(gateway, key="tg-not-a-key") as stranger, pytest.raises(errors.ClientError) as caught:
        stranger.models.generate_content(model=MODEL, contents=QUESTION)
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")
    assert not upstream.requests
