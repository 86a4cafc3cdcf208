"""Agent frameworks on top of the SDKs, each with a model of another dialect: a loop of tools, and a stream."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.models.google import GoogleModel, GoogleModelSettings
from pydantic_ai.models.openai import (
    OpenAIChatModel,
    OpenAIChatModelSettings,
    OpenAIResponsesModel,
    OpenAIResponsesModelSettings,
)
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider

from conversation import CITY, City
from harness import Gateway
from targets import QUESTIONS, TARGETS, Targets
from wire import Piece

ANSWER = "The capital of France is Paris."
WEATHER = {"Paris": "18 degrees", "Rome": "23 degrees"}


def get_weather(city: str) -> str:
    """Says how warm it is in a city."""
    return WEATHER[city]


def loop(target: str) -> list[tuple[str, Any]]:
    """What the last request of a loop of tools tells the target."""
    turns = [
        [("seal", seal), ("call", {"city": city}), ("result", degrees)]
        for seal, (city, degrees) in zip(TARGETS[target].seals(), WEATHER.items(), strict=True)
    ]
    return [("text", QUESTIONS["think"]), *turns[0], *turns[1]]


def said(one: Piece) -> Any:
    says = one["text"] if "text" in one else one.get("data") or one["args"]
    if one["kind"] == "result" and says.startswith('{"return_value"'):
        # pydantic-ai puts results for Gemini into an object of its own, which goes up as it is.
        return json.loads(says)["return_value"]
    return says


def brief(conversation: list[Piece]) -> list[tuple[str, Any]]:
    return [
        (one["kind"], said(one))
        for one in conversation
        if one["kind"] != "thought" and one["role"] != "system"
    ]


def pydantic_anthropic(gateway: Gateway, model: str) -> Model:
    settings = AnthropicModelSettings(max_tokens=4096, anthropic_thinking={"type": "enabled", "budget_tokens": 2048})
    provider = AnthropicProvider(base_url=gateway.url, api_key=gateway.key)
    return AnthropicModel(model, provider=provider, settings=settings)


def pydantic_chat(gateway: Gateway, model: str) -> Model:
    provider = OpenAIProvider(base_url=f"{gateway.url}/v1", api_key=gateway.key)
    return OpenAIChatModel(model, provider=provider, settings=OpenAIChatModelSettings(openai_reasoning_effort="medium"))


def pydantic_responses(gateway: Gateway, model: str) -> Model:
    settings = OpenAIResponsesModelSettings(openai_reasoning_effort="medium", openai_reasoning_summary="auto")
    provider = OpenAIProvider(base_url=f"{gateway.url}/v1", api_key=gateway.key)
    return OpenAIResponsesModel(model, provider=provider, settings=settings)


def pydantic_google(gateway: Gateway, model: str) -> Model:
    settings = GoogleModelSettings(google_thinking_config={"include_thoughts": True, "thinking_budget": 2048})
    provider = GoogleProvider(base_url=gateway.url, api_key=gateway.key)
    return GoogleModel(model, provider=provider, settings=settings)


PYDANTIC_PAIRS = [
    (pydantic_anthropic, "gemini"),
    (pydantic_anthropic, "responses"),
    (pydantic_chat, "gemini"),
    (pydantic_chat, "messages"),
    (pydantic_responses, "messages"),
    (pydantic_google, "chat"),
]
PYDANTIC = pytest.mark.parametrize(("connect", "target"), PYDANTIC_PAIRS)
PydanticModel = Callable[[Gateway, str], Model]


@PYDANTIC
def test_pydantic_ai_loop(translating: Gateway, targets: Targets, connect: PydanticModel, target: str) -> None:
    agent = Agent(connect(translating, TARGETS[target].name), tools=[get_weather])
    assert agent.run_sync(QUESTIONS["think"]).output == ANSWER
    assert brief(targets.last(TARGETS[target])) == loop(target)


@PYDANTIC
def test_pydantic_ai_stream(translating: Gateway, targets: Targets, connect: PydanticModel, target: str) -> None:
    agent = Agent(connect(translating, TARGETS[target].name), tools=[get_weather])

    async def run() -> list[str]:
        async with agent.run_stream(QUESTIONS["think"]) as answer:
            return [piece async for piece in answer.stream_text(delta=True, debounce_by=None)]

    pieces = asyncio.run(run())
    assert "".join(pieces) == ANSWER and len(pieces) > 3
    assert brief(targets.last(TARGETS[target])) == loop(target)


# Its Anthropic model asks for objects only of the models that it knows by name.
@pytest.mark.parametrize(("connect", "target"), [pair for pair in PYDANTIC_PAIRS if pair[0] != pydantic_anthropic])
def test_pydantic_ai_object(translating: Gateway, targets: Targets, connect: PydanticModel, target: str) -> None:
    agent = Agent(connect(translating, TARGETS[target].name), output_type=NativeOutput(City))
    assert agent.run_sync(QUESTIONS["object"]).output == CITY


def langchain_anthropic(gateway: Gateway, model: str) -> Any:
    return ChatAnthropic(
        model_name=model,
        timeout=20,
        stop=None,
        base_url=gateway.url,
        api_key=SecretStr(gateway.key),
        max_tokens_to_sample=4096,
        thinking={"type": "enabled", "budget_tokens": 2048},
    )


def langchain_chat(gateway: Gateway, model: str) -> Any:
    return ChatOpenAI(
        model=model,
        base_url=f"{gateway.url}/v1",
        api_key=SecretStr(gateway.key),
        reasoning_effort="medium",
        stream_usage=True,
    )


def langchain_responses(gateway: Gateway, model: str) -> Any:
    return ChatOpenAI(
        model=model,
        base_url=f"{gateway.url}/v1",
        api_key=SecretStr(gateway.key),
        reasoning={"effort": "medium", "summary": "auto"},
        include=["reasoning.encrypted_content"],
        use_responses_api=True,
        store=False,
    )


LANGCHAIN = pytest.mark.parametrize(
    ("connect", "target"),
    [
        (langchain_anthropic, "gemini"),
        (langchain_anthropic, "chat"),
        (langchain_chat, "messages"),
        (langchain_chat, "gemini"),
        (langchain_responses, "messages"),
        (langchain_responses, "gemini"),
    ],
)


@LANGCHAIN
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_langchain_loop(translating: Gateway, targets: Targets, connect: Any, target: str, streamed: bool) -> None:
    model = connect(translating, TARGETS[target].name).bind_tools([tool(get_weather)])
    messages: list[Any] = [HumanMessage(QUESTIONS["think"])]
    while True:
        if streamed:
            first, *rest = model.stream(messages)
            assert rest, "one chunk is no stream"
            answer = sum(rest, first)
        else:
            answer = model.invoke(messages)
        messages.append(answer)
        if not answer.tool_calls:
            break
        messages += [ToolMessage(get_weather(**call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls]
    assert answer.text == ANSWER and answer.usage_metadata["output_tokens"] > 0
    assert brief(targets.last(TARGETS[target])) == loop(target)


@LANGCHAIN
def test_langchain_object(translating: Gateway, targets: Targets, connect: Any, target: str) -> None:
    model = connect(translating, TARGETS[target].name)
    assert model.with_structured_output(City, method="json_schema").invoke(QUESTIONS["object"]) == CITY
