"""Every official SDK with a model of every other dialect: text, streams, tools, media, objects, thinking."""

from typing import Any

import openai
import pytest

from client_openai import Chat, Responses
from clients import CLIENTS
from conversation import CITY, INSTRUCTIONS, City, Conversation, Media, parameters
from harness import Gateway
from provider import Seen
from targets import QUESTIONS, TARGETS, Targets
from wire import Piece

PAIRS = [(client, target) for client in CLIENTS for target in TARGETS if client != target]
PAIR = pytest.mark.parametrize(("client", "target"), PAIRS, ids=[f"{one}-to-{other}" for one, other in PAIRS])
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])

ANSWER = "The capital of France is Paris."
CALLS = [("secret_retrieval_tool", {"password": word}) for word in ("mellon", "radiance")]
CITIES = ["Paris", "Rome"]
THOUGHTS = ["I need the weather of both cities. First Paris.", "Paris is known. Now Rome."]
IMAGE = Media("image/png", b"\x89PNG\r\n\x1a\n of a few pixels \xff\x00")
PDF = Media("application/pdf", b"%PDF-1.7 of a few pages \xff\x00 %%EOF")

# What a target says before it calls: plain, and as a stream.
SAID = {
    "messages": (
        "I'll retrieve the secrets for both passwords using the secret retrieval tool.",
        "I'll retrieve the secrets for both passwords you provided.",
    )
}


def start(translating: Gateway, client: str, target: str, **options: Any) -> Conversation:
    return CLIENTS[client](translating, TARGETS[target].name, **options)


def brief(conversation: list[Piece], *kinds: str) -> list[Any]:
    """The pieces of these kinds, each as its kind and what it says. Texts that follow each other are one."""
    found: list[Any] = []
    speaker = None
    for one in conversation:
        if one["kind"] not in kinds or one["role"] == "system":
            continue
        says = one["text"] if "text" in one else one.get("data") or (one["name"], one["args"])
        if found and (found[-1][0], one["kind"], speaker) == ("text", "text", one["role"]):
            says = found.pop()[1] + says
        found.append((one["kind"], says))
        speaker = one["role"]
    return found


def said(target: str, streamed: bool) -> list[tuple[str, str]]:
    return [("text", SAID[target][streamed])] if target in SAID else []


def are_paired(conversation: list[Piece]) -> bool:
    """Every result names its call, in the order of the calls. Where no ids are sent, the order alone says it."""
    calls, results = ([one["id"] for one in conversation if one["kind"] == kind] for kind in ("call", "result"))
    named = [id for id in calls if id]
    return calls == results and len(set(named)) == len(named)


@PAIR
@STREAMED
def test_text(translating: Gateway, targets: Targets, client: str, target: str, streamed: bool) -> None:
    talk = start(translating, client, target, streamed=streamed)
    answer = talk.ask(QUESTIONS["text"])
    assert (answer.text, answer.calls, answer.finish) == (ANSWER, [], talk.finish[0])
    assert answer.tokens == TARGETS[target].tokens[streamed]
    conversation = targets.last(TARGETS[target])
    assert brief(conversation, "text") == [("text", QUESTIONS["text"])]
    assert [one["text"] for one in conversation if one["role"] == "system"] == [INSTRUCTIONS]
    assert targets.requests[0].streamed == streamed
    if streamed:
        assert answer.pieces == ["The", " capital", " of", " France", " is", " Paris", "."]


@PAIR
def test_stream_arrives_as_it_is_made(translating: Gateway, targets: Targets, client: str, target: str) -> None:
    talk = start(translating, client, target, streamed=True)
    with targets.held() as release:
        talk.on_piece = lambda _: release.set()  # a stream that is collected first never gets so far
        assert talk.ask(QUESTIONS["text"]).text == ANSWER


@PAIR
@STREAMED
def test_parallel_tools(translating: Gateway, targets: Targets, client: str, target: str, streamed: bool) -> None:
    talk = start(translating, client, target, tools=["secret_retrieval_tool"], streamed=streamed)
    answer = talk.ask(QUESTIONS["calls"])
    assert (answer.calls, answer.finish) == (CALLS, talk.finish[1])
    assert answer.text == "".join(text for _, text in said(target, streamed))
    final = talk.reply("Welcome to Moria!", "Life before Death")
    assert (final.text, final.calls, final.finish) == (ANSWER, [], talk.finish[0])
    conversation = targets.last(TARGETS[target])
    assert brief(conversation, "text", "call", "result") == [
        ("text", QUESTIONS["calls"]),
        *said(target, streamed),
        *(("call", call) for call in CALLS),
        ("result", "Welcome to Moria!"),
        ("result", "Life before Death"),
    ]
    assert are_paired(conversation)
    assert declared(targets.requests[0]) == {"secret_retrieval_tool": parameters("password")}


@PAIR
@STREAMED
def test_conversation_goes_on(translating: Gateway, targets: Targets, client: str, target: str, streamed: bool) -> None:
    """An answer of one turn is part of the next request, tools or not."""
    talk = start(translating, client, target, tools=["secret_retrieval_tool"], streamed=streamed)
    talk.ask(QUESTIONS["text"])
    talk.ask(QUESTIONS["calls"])
    talk.reply("Welcome to Moria!", "Life before Death")
    talk.ask(QUESTIONS["text"])
    assert brief(targets.last(TARGETS[target]), "text", "call", "result") == [
        ("text", QUESTIONS["text"]),
        ("text", ANSWER),
        ("text", QUESTIONS["calls"]),
        *said(target, streamed),
        *(("call", call) for call in CALLS),
        ("result", "Welcome to Moria!"),
        ("result", "Life before Death"),
        ("text", ANSWER),
        ("text", QUESTIONS["text"]),
    ]


@PAIR
@STREAMED
def test_limit_on_length(translating: Gateway, targets: Targets, client: str, target: str, streamed: bool) -> None:
    talk = start(translating, client, target, streamed=streamed)
    if isinstance(talk, Chat) and streamed:
        with pytest.raises(openai.LengthFinishReasonError):  # the SDK's own word for it
            talk.ask(QUESTIONS["length"])
    elif isinstance(talk, Responses) and streamed:
        *_, last = talk.client.responses.create(model=talk.model, input=QUESTIONS["length"], stream=True)
        assert last.type == "response.incomplete" and last.response.output_text == ANSWER
        assert last.response.incomplete_details and last.response.incomplete_details.reason == "max_output_tokens"
    else:
        answer = talk.ask(QUESTIONS["length"])
        assert (answer.text, answer.finish) == (ANSWER, talk.limited)


@PAIR
@pytest.mark.parametrize("media", [IMAGE, PDF], ids=["image", "pdf"])
def test_media(translating: Gateway, targets: Targets, client: str, target: str, media: Media) -> None:
    talk = start(translating, client, target)
    assert talk.ask(QUESTIONS["text"], media).text == ANSWER
    kind = "pdf" if media is PDF else "image"
    (sent,) = [one for one in targets.last(TARGETS[target]) if one["kind"] == kind]
    assert (sent["role"], sent["mime"], sent["data"]) == ("user", media.mime, media.base64)


@PAIR
@STREAMED
def test_object(translating: Gateway, targets: Targets, client: str, target: str, streamed: bool) -> None:
    answer = start(translating, client, target, schema=City, streamed=streamed).ask(QUESTIONS["object"])
    assert answer.parsed == CITY
    schema = wanted(targets.heard(TARGETS[target])[0])
    assert set(schema["properties"]) == set(schema["required"]) == {"city", "country"}
    assert {one["type"].lower() for one in schema["properties"].values()} == {"string"}


@PAIR
@STREAMED
@pytest.mark.parametrize("forgetful", [False, True], ids=["", "forgetful"])
def test_thinking_in_a_tool_loop(
    translating: Gateway, targets: Targets, client: str, target: str, streamed: bool, forgetful: bool
) -> None:
    """What the model sealed comes back to it on both turns, whether or not the client sends it."""
    talk = start(
        translating, client, target, tools=["get_weather"], thinks=True, streamed=streamed, forgetful=forgetful
    )
    answers = [talk.ask(QUESTIONS["think"]), talk.reply("18 degrees"), talk.reply("23 degrees")]
    assert [answer.calls for answer in answers] == [[("get_weather", {"city": city})] for city in CITIES] + [[]]
    assert [answer.thoughts for answer in answers[:2]] == THOUGHTS
    assert answers[2].text == ANSWER
    first, second, third = (seen.conversation or [] for seen in targets.heard(TARGETS[target]))
    seals = TARGETS[target].seals()
    turns = [
        [("seal", seals[turn]), ("call", ("get_weather", {"city": CITIES[turn]})), ("result", result)]
        for turn, result in enumerate(["18 degrees", "23 degrees"])
    ]
    kinds = ("text", "seal", "call", "result")
    assert brief(first, *kinds) == [("text", QUESTIONS["think"])]
    assert brief(second, *kinds) == [("text", QUESTIONS["think"]), *turns[0]]
    assert brief(third, *kinds) == [("text", QUESTIONS["think"]), *turns[0], *turns[1]]
    thoughts = "".join(text for _, text in brief(third, "thought"))
    assert thoughts == "".join(THOUGHTS) or target in ("gemini", "responses") and not thoughts
    assert are_paired(third) and all(is_thinking(seen) for seen in targets.requests)


def declared(seen: Seen) -> dict[str, Any]:
    """The tools that a target was told of, with their parameters."""
    found = {}
    for tool in seen.body["tools"]:
        for one in tool.get("functionDeclarations") or [tool.get("function") or tool]:
            schema = one.get("parameters") or one.get("input_schema") or one.get("parametersJsonSchema")
            found[one["name"]] = schema
    return found


def wanted(seen: Seen) -> Any:
    """The schema of the object that a target was asked for."""
    body = seen.body
    match seen.provider:
        case "openrouter":
            return body["response_format"]["json_schema"]["schema"]
        case "openai":
            return body["text"]["format"]["schema"]
        case "anthropic":
            return body["output_config"]["format"]["schema"]
    generation = body["generationConfig"]
    assert generation["responseMimeType"] == "application/json"
    return generation.get("responseJsonSchema") or generation["responseSchema"]


def is_thinking(seen: Seen) -> bool:
    body = seen.body
    match seen.provider:
        case "openrouter":
            return bool(body.get("reasoning") or body.get("reasoning_effort"))
        case "openai":
            return bool(body["reasoning"]["effort"]) and "reasoning.encrypted_content" in body["include"]
        case "anthropic":
            return body["thinking"]["type"] in ("enabled", "adaptive")
    return bool(body["generationConfig"].get("thinkingConfig"))
