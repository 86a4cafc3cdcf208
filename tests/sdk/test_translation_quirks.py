"""Providers that speak chat completions in their own way, for clients of other dialects."""

import json
from typing import Any

import pytest

from clients import CLIENTS
from harness import Gateway
from targets import QUESTIONS, QUIRKS, Targets

ANSWER = "The capital of France is Paris."
THOUGHTS = ["I need the weather of both cities. First Paris.", "Paris is known. Now Rome."]
# Groq speaks chat completions and responses itself, Mistral chat completions.
PAIRS = [("responses", "mistral"), *((client, name) for client in ("messages", "gemini") for name in QUIRKS)]
PAIR = pytest.mark.parametrize(("client", "name"), PAIRS, ids=[f"{one}-to-{other}" for one, other in PAIRS])
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


@PAIR
@STREAMED
def test_parallel_tools(translating: Gateway, targets: Targets, client: str, name: str, streamed: bool) -> None:
    """Ids are of the provider's form, the same in call and result, and a question after results is accepted."""
    talk = CLIENTS[client](translating, QUIRKS[name].name, tools=["secret_retrieval_tool"], streamed=streamed)
    answer = talk.ask(QUESTIONS["calls"])
    assert [args["password"] for _, args in answer.calls] == ["mellon", "radiance"]
    assert talk.reply("Welcome to Moria!", "Life before Death").text == ANSWER
    said = [(one["kind"], one.get("text")) for one in targets.last(QUIRKS[name]) if one["kind"] == "result"]
    assert said == [("result", "Welcome to Moria!"), ("result", "Life before Death")]


@PAIR
@STREAMED
def test_thinking_in_a_tool_loop(
    translating: Gateway, targets: Targets, client: str, name: str, streamed: bool
) -> None:
    """Thoughts that nobody sealed are told to the client, and go back in the provider's own form."""
    talk = CLIENTS[client](translating, QUIRKS[name].name, tools=["get_weather"], thinks=True, streamed=streamed)
    answers = [talk.ask(QUESTIONS["think"]), talk.reply("18 degrees"), talk.reply("23 degrees")]
    assert [answer.thoughts for answer in answers[:2]] == THOUGHTS
    assert answers[2].text == ANSWER
    told = targets.last(QUIRKS[name])
    kinds = [one["kind"] for one in told if one["role"] != "system"]
    assert kinds == ["text", "thought", "call", "result", "thought", "call", "result"]
    assert [one["text"] for one in told if one["kind"] == "thought"] == THOUGHTS


def test_results_and_a_question_at_once(translating: Gateway, targets: Targets) -> None:
    """Anthropic's clients may say something beside the results; Mistral lets nobody but the model speak there."""
    talk: Any = CLIENTS["messages"](translating, QUIRKS["mistral"].name, tools=["secret_retrieval_tool"])
    talk.ask(QUESTIONS["calls"])
    talk.reply("Welcome to Moria!", "Life before Death")
    results = talk.messages[-2]
    results["content"].append({"type": "text", "text": "And be quick."})
    del talk.messages[-1]
    assert talk.turn().text == ANSWER
    assert "And be quick." in json.dumps(targets.last(QUIRKS["mistral"]))
