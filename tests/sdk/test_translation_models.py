"""Beside conversations: counts of tokens, embeddings, and lists of models, across dialects."""

from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from conversation import INSTRUCTIONS, parameters
from harness import Gateway
from provider import document
from targets import EMBEDDINGS, QUESTIONS, TARGETS, Targets

QUESTION = QUESTIONS["text"]
CLAUDE, GPT, GEMINI = (TARGETS[name].model for name in ("messages", "responses", "gemini"))
# What the catalogue says of them: how much may go in, and how much may come out.
LIMITS = {CLAUDE: (1_000_000, 128_000), GPT: (272_000, 128_000), GEMINI: (1_048_576, 65_536)}
# What each target counts.
COUNTED = {"messages": 17, "gemini": 8, "responses": 11}


def by_openai(gateway: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, timeout=20)


def by_anthropic(gateway: Gateway) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0, timeout=20)


def by_genai(gateway: Gateway) -> genai.Client:
    options = types.HttpOptions(base_url=gateway.url, timeout=20_000)
    return genai.Client(api_key=gateway.key, vertexai=False, http_options=options)


def count_responses(gateway: Gateway, model: str, text: str) -> int:
    tool: Any = {"type": "function", "name": "get_weather", "parameters": parameters("city"), "strict": True}
    count = by_openai(gateway).responses.input_tokens.count(
        model=model, input=text, instructions=INSTRUCTIONS, tools=[tool]
    )
    return count.input_tokens


def count_messages(gateway: Gateway, model: str, text: str) -> int:
    count = by_anthropic(gateway).messages.count_tokens(
        model=model,
        system=INSTRUCTIONS,
        messages=[{"role": "user", "content": text}],
        tools=[{"name": "get_weather", "input_schema": parameters("city")}],
    )
    return count.input_tokens


def count_gemini(gateway: Gateway, model: str, text: str) -> int:
    with by_genai(gateway) as client:
        total = client.models.count_tokens(model=model, contents=text).total_tokens
    assert total is not None
    return total


COUNTS = {"responses": count_responses, "messages": count_messages, "gemini": count_gemini}
PAIRS = [(client, target) for client in COUNTS for target in COUNTED if client != target]


@pytest.mark.parametrize(("client", "target"), PAIRS, ids=[f"{one}-to-{other}" for one, other in PAIRS])
def test_count_that_the_provider_makes(translating: Gateway, targets: Targets, client: str, target: str) -> None:
    assert COUNTS[client](translating, TARGETS[target].name, QUESTION) == COUNTED[target]
    conversation = targets.last(TARGETS[target])
    assert [one["text"] for one in conversation if one["role"] == "user"] == [QUESTION]
    if client != "gemini":  # its SDK sends neither instructions nor tools
        assert [one["text"] for one in conversation if one["role"] == "system"] == [INSTRUCTIONS]
        assert "get_weather" in str(targets.requests[0].body)


@pytest.mark.parametrize("client", COUNTS)
def test_count_that_is_estimated(translating: Gateway, targets: Targets, client: str) -> None:
    """The provider has no such call: the gateway counts, and asks nobody."""
    short, long = (COUNTS[client](translating, TARGETS["chat"].name, QUESTION * times) for times in (1, 10))
    assert short > 8 and 8 * 9 < long - short < 20 * 9
    assert not targets.requests


def test_estimate_is_marked(translating: Gateway, targets: Targets) -> None:
    answer = by_anthropic(translating).messages.with_raw_response.count_tokens(
        model=TARGETS["chat"].name, messages=[{"role": "user", "content": QUESTION}]
    )
    assert any("estimate" in f"{name}: {value}".lower() for name, value in answer.headers.items())


@pytest.mark.parametrize("extra", [{}, {"encoding_format": "float"}], ids=["base64", "float"])
def test_openai_embeddings_of_gemini(translating: Gateway, targets: Targets, extra: dict[str, Any]) -> None:
    answer = by_openai(translating).embeddings.create(
        model="gemini/gemini-embedding-001", input=["one", "two"], dimensions=768, **extra
    )
    values = document(EMBEDDINGS["gemini"])["embeddings"][0]["values"]
    assert [one.index for one in answer.data] == [0, 1]
    assert all(one.embedding == pytest.approx(values, abs=1e-6) for one in answer.data)
    assert answer.usage.prompt_tokens == 2
    asked = targets.only("gemini").body["requests"]
    assert [one["content"]["parts"] for one in asked] == [[{"text": "one"}], [{"text": "two"}]]
    assert {one["outputDimensionality"] for one in asked} == {768}


def test_gemini_embeddings_of_openai(translating: Gateway, targets: Targets) -> None:
    with by_genai(translating) as client:
        config = types.EmbedContentConfig(output_dimensionality=4)
        answer = client.models.embed_content(
            model="openai/text-embedding-3-small", contents=["one", "two"], config=config
        )
    vectors = [one["embedding"] for one in document(EMBEDDINGS["openai"])["data"]]
    assert [one.values for one in answer.embeddings or []] == [pytest.approx(vector) for vector in vectors]
    sent = targets.only("openai")
    assert (sent.path, sent.body["input"], sent.body["dimensions"]) == ("/v1/embeddings", ["one", "two"], 4)


def listed_by_openai(gateway: Gateway) -> dict[str, tuple[Any, Any]]:
    fields = [one.to_dict() for one in by_openai(gateway).models.list()]
    return {str(one["id"]): (one.get("context_length"), one.get("max_output_tokens")) for one in fields}


def listed_by_anthropic(gateway: Gateway) -> dict[str, tuple[Any, Any]]:
    return {one.id: (one.max_input_tokens, one.max_tokens) for one in by_anthropic(gateway).models.list()}


def listed_by_genai(gateway: Gateway) -> dict[str, tuple[Any, Any]]:
    with by_genai(gateway) as client:
        models = list(client.models.list())
    return {str(one.name).removeprefix("models/"): (one.input_token_limit, one.output_token_limit) for one in models}


@pytest.mark.parametrize("listed", [listed_by_openai, listed_by_anthropic, listed_by_genai])
def test_every_listing_has_the_models_of_every_provider(translating: Gateway, targets: Targets, listed: Any) -> None:
    """Each SDK turns the pages of its own listing."""
    found = listed(translating)
    assert {model: found.get(model) for model in LIMITS} == LIMITS
    assert len(found) > 100 and not targets.requests


def test_one_model_of_another_dialect(translating: Gateway, targets: Targets) -> None:
    assert by_anthropic(translating).models.retrieve(GEMINI).max_input_tokens == LIMITS[GEMINI][0]
    assert by_openai(translating).models.retrieve(CLAUDE).id == CLAUDE
    with by_genai(translating) as client:
        assert client.models.get(model=GPT).output_token_limit == LIMITS[GPT][1]
    with pytest.raises(openai.NotFoundError):
        by_openai(translating).models.retrieve("no-such-model")
