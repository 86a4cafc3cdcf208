"""What the SDKs do on their own: loops of tools, asynchronous clients; and calls that only one dialect has."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from clients import CLIENTS
from conversation import Media, parameters
from harness import Gateway
from targets import QUESTIONS, TARGETS, Targets
from wire import Piece

ANSWER = "The capital of France is Paris."
WEATHER = {"Paris": "18 degrees", "Rome": "23 degrees"}
IMAGE = Media("image/png", b"\x89PNG\r\n\x1a\n of a few pixels \xff\x00")


def get_weather(city: str) -> str:
    """Says how warm it is in a city.

    Args:
        city: Its name.
    """
    return WEATHER[city]


def others(client: str) -> list[str]:
    return [target for target in TARGETS if target != client]


def looped(conversation: list[Piece], target: str) -> None:
    """The last request of a loop of tools tells the target everything, with its own seals."""
    turns = [
        [("seal", seal), ("call", {"city": city}), ("result", degrees)]
        for seal, (city, degrees) in zip(TARGETS[target].seals(), WEATHER.items(), strict=True)
    ]
    told = [
        (one["kind"], one["text"] if "text" in one else one.get("data") or one["args"])
        for one in conversation
        if one["kind"] != "thought" and one["role"] != "system"
    ]
    assert told == [("text", QUESTIONS["think"]), *turns[0], *turns[1]]


def by_genai(gateway: Gateway) -> genai.Client:
    options = types.HttpOptions(base_url=gateway.url, timeout=20_000)
    return genai.Client(api_key=gateway.key, vertexai=False, http_options=options)


@pytest.mark.parametrize("target", others("gemini"))
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_genai_calls_functions_itself(translating: Gateway, targets: Targets, target: str, streamed: bool) -> None:
    """The SDK calls Python functions and goes on until there is an answer, within a chat of its own."""
    config = types.GenerateContentConfig(
        tools=[get_weather],
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=2048),
    )
    with by_genai(translating) as client:
        chat = client.chats.create(model=TARGETS[target].name, config=config)
        if streamed:
            text = "".join(chunk.text or "" for chunk in chat.send_message_stream(QUESTIONS["think"]))
        else:
            text = chat.send_message(QUESTIONS["think"]).text or ""
        assert text.endswith(ANSWER)
        looped(targets.last(TARGETS[target]), target)
        again = chat.send_message(QUESTIONS["text"])
    assert again.text == ANSWER
    assert [one["text"] for one in targets.last(TARGETS[target]) if one["kind"] == "text"][-1] == QUESTIONS["text"]


@pytest.mark.parametrize("target", others("messages"))
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_anthropic_tool_runner(translating: Gateway, targets: Targets, target: str, streamed: bool) -> None:
    client = anthropic.Anthropic(base_url=translating.url, api_key=translating.key, max_retries=0, timeout=20)
    asked: dict[str, Any] = {
        "model": TARGETS[target].name,
        "max_tokens": 4096,
        "tools": [anthropic.beta_tool(get_weather)],
        "messages": [{"role": "user", "content": QUESTIONS["think"]}],
        "thinking": {"type": "enabled", "budget_tokens": 2048},
    }
    if streamed:
        finals = [stream.get_final_message() for stream in client.beta.messages.tool_runner(**asked, stream=True)]
        final: Any = finals[-1]
    else:
        final = client.beta.messages.tool_runner(**asked).until_done()
    assert final.content[-1].text == ANSWER
    looped(targets.last(TARGETS[target]), target)


async def chat_async(gateway: Gateway, model: str) -> list[str]:
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, timeout=20) as client:
        messages: Any = [{"role": "user", "content": QUESTIONS["text"]}]
        stream = await client.chat.completions.create(model=model, messages=messages, stream=True)
        return [chunk.choices[0].delta.content or "" async for chunk in stream]


async def responses_async(gateway: Gateway, model: str) -> list[str]:
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, timeout=20) as client:
        async with client.responses.stream(model=model, input=QUESTIONS["text"], store=False) as stream:
            return [event.delta async for event in stream if event.type == "response.output_text.delta"]


async def messages_async(gateway: Gateway, model: str) -> list[str]:
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, timeout=20) as client:
        messages: Any = [{"role": "user", "content": QUESTIONS["text"]}]
        async with client.messages.stream(model=model, max_tokens=100, messages=messages) as stream:
            return [text async for text in stream.text_stream]


async def gemini_async(gateway: Gateway, model: str) -> list[str]:
    async with by_genai(gateway).aio as client:
        stream = await client.models.generate_content_stream(model=model, contents=QUESTIONS["text"])
        return [chunk.text or "" async for chunk in stream]


ASYNC = {"chat": chat_async, "responses": responses_async, "messages": messages_async, "gemini": gemini_async}
PAIRS = [(client, target) for client in CLIENTS for target in others(client)]


@pytest.mark.parametrize(("client", "target"), PAIRS, ids=[f"{one}-to-{other}" for one, other in PAIRS])
def test_asynchronous_streams(translating: Gateway, targets: Targets, client: str, target: str) -> None:
    """Several at once, on one client's own loop."""
    stream: Callable[[Gateway, str], Awaitable[list[str]]] = ASYNC[client]

    async def run() -> list[list[str]]:
        return await asyncio.gather(*(stream(translating, TARGETS[target].name) for _ in range(5)))

    assert ["".join(pieces) for pieces in asyncio.run(run())] == [ANSWER] * 5


@pytest.mark.parametrize("target", ["messages", "gemini"])
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_older_completions(translating: Gateway, targets: Targets, target: str, streamed: bool) -> None:
    """These providers have none: a chat stands in."""
    with openai.OpenAI(base_url=f"{translating.url}/v1", api_key=translating.key, max_retries=0) as client:
        asked: dict[str, Any] = {"model": TARGETS[target].name, "prompt": QUESTIONS["text"], "max_tokens": 50}
        if streamed:
            chunks = list(client.completions.create(**asked, stream=True))
            texts, finish = [chunk.choices[0].text for chunk in chunks], chunks[-1].choices[0].finish_reason
        else:
            answer = client.completions.create(**asked)
            texts, finish = [answer.choices[0].text], answer.choices[0].finish_reason
    assert ("".join(texts), finish, len(texts) > 3) == (ANSWER, "stop", streamed)


@pytest.mark.parametrize("target", others("messages"))
def test_image_and_error_as_results(translating: Gateway, targets: Targets, target: str) -> None:
    """Anthropic's clients answer calls with images, and say that a tool failed."""
    client = anthropic.Anthropic(base_url=translating.url, api_key=translating.key, max_retries=0, timeout=20)
    tool: Any = {"name": "secret_retrieval_tool", "input_schema": parameters("password")}
    messages: list[Any] = [{"role": "user", "content": QUESTIONS["calls"]}]
    asked: dict[str, Any] = {"model": TARGETS[target].name, "max_tokens": 100, "tools": [tool]}
    answer = client.messages.create(**asked, messages=messages)
    first, second = [block.id for block in answer.content if block.type == "tool_use"]
    source = {"type": "base64", "media_type": IMAGE.mime, "data": IMAGE.base64}
    results = [
        {
            "type": "tool_result",
            "tool_use_id": first,
            "content": [{"type": "text", "text": "See the image."}, {"type": "image", "source": source}],
        },
        {"type": "tool_result", "tool_use_id": second, "content": "No such secret.", "is_error": True},
    ]
    messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
    assert client.messages.create(**asked, messages=messages).content[-1].type == "text"
    told = targets.last(TARGETS[target])
    assert [one["data"] for one in told if one["kind"] == "image"] == [IMAGE.base64]
    said = [one["text"] for one in told if one["kind"] == "result"]
    assert len(said) == 2 and "See the image." in said[0] and "No such secret." in said[1]
