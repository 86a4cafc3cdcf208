"""What goes wrong at a target of another dialect, as the client's SDK says it."""

from typing import Any

import pytest

from clients import CLIENTS
from conversation import Conversation
from harness import Gateway
from provider import error
from targets import QUESTIONS, TARGETS, Target, Targets

PAIRS = [(client, target) for client in CLIENTS for target in TARGETS if client != target]
PAIR = pytest.mark.parametrize(("client", "target"), PAIRS, ids=[f"{one}-to-{other}" for one, other in PAIRS])
ANSWER = "The capital of France is Paris."
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])

# The kind of an error, as each client's dialect names it.
KINDS = {
    "chat": {400: "invalid_request_error", 404: "invalid_request_error", 429: "rate_limit_error", 500: "server_error"},
    "messages": {400: "invalid_request_error", 404: "not_found_error", 429: "rate_limit_error", 500: "api_error"},
    "gemini": {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"},
}
KINDS["responses"] = KINDS["chat"]


def caught(talk: Conversation, kind: type[Exception]) -> Any:
    with pytest.raises(kind) as caught:
        talk.ask(QUESTIONS["text"])
    return caught.value


def status(failure: Any) -> int:
    return int(getattr(failure, "status_code", None) or failure.code)


def details(failure: Any) -> dict[str, Any]:
    """The inner object of the error's document."""
    body = getattr(failure, "body", None) or failure.details
    found = body.get("error", body)
    assert isinstance(found, dict)
    return found


def own(target: Target, status: int) -> str:
    message = error(target.provider, status)["error"]["message"]
    assert isinstance(message, str)
    return message


@PAIR
@STREAMED
@pytest.mark.parametrize("code", [400, 404, 429, 500])
def test_provider_error(
    translating: Gateway, targets: Targets, client: str, target: str, code: int, streamed: bool
) -> None:
    talk = CLIENTS[client](translating, TARGETS[target].failing(code), streamed=streamed)
    failure = caught(talk, talk.failures[code])
    said = details(failure)
    assert (status(failure), said["message"]) == (code, own(TARGETS[target], code))
    assert KINDS[client][code] in (said.get("type"), said.get("status"))
    assert failure.response.headers.get("retry-after") == ("7" if code == 429 else None)
    assert targets.heard(TARGETS[target])


@PAIR
def test_key_that_the_provider_refuses(translating: Gateway, targets: Targets, client: str, target: str) -> None:
    talk = CLIENTS[client](translating, TARGETS[target].failing(401))
    failure = caught(talk, talk.failures[401])
    assert (status(failure), details(failure)["message"]) == (401, own(TARGETS[target], 401))


@PAIR
@STREAMED
def test_failover_across_dialects(
    translating: Gateway, targets: Targets, client: str, target: str, streamed: bool
) -> None:
    """Each provider is asked in its own dialect until one answers; the client sees nothing of it."""
    talk = CLIENTS[client](translating, f"at-last-{target}", streamed=streamed)
    answer = talk.ask(QUESTIONS["text"])
    assert (answer.text, answer.finish, answer.tokens) == (ANSWER, talk.finish[0], TARGETS[target].tokens[streamed])
    asked = [seen.provider for seen in targets.requests]
    assert len(asked) == len(set(asked)) == len(TARGETS) and asked[-1] == TARGETS[target].provider


@pytest.mark.parametrize("client", [client for client in CLIENTS if client != "messages"])
def test_overloaded_anthropic(translating: Gateway, targets: Targets, client: str) -> None:
    talk = CLIENTS[client](translating, TARGETS["messages"].failing(529))
    failure = caught(talk, talk.failures[500])
    assert (status(failure), details(failure)["message"]) == (529, "Overloaded")


@PAIR
def test_error_in_a_stream(translating: Gateway, targets: Targets, client: str, target: str) -> None:
    """What came before it has arrived; then the SDK raises its own error, with the provider's words."""
    heard: list[str] = []
    talk = CLIENTS[client](translating, TARGETS[target].name, streamed=True)
    talk.on_piece = heard.append
    with pytest.raises(talk.broken) as caught:
        talk.ask(QUESTIONS["broken"])
    assert "The provider broke off" in str(caught.value)
    assert "".join(heard).startswith("The capital")


@PAIR
def test_stream_that_breaks_off(translating: Gateway, targets: Targets, client: str, target: str) -> None:
    """It is not taken for a whole answer."""
    heard: list[str] = []
    talk = CLIENTS[client](translating, TARGETS[target].name, streamed=True)
    talk.on_piece = heard.append
    with pytest.raises(talk.broken):
        talk.ask(QUESTIONS["cut"])
    assert "".join(heard).startswith("The capital")


LOSSY: dict[str, dict[str, Any]] = {
    "chat": {"logit_bias": {"50256": -100}},
    "responses": {"max_tool_calls": 3},
    "messages": {"inference_geo": "us"},
    "gemini": {"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]},
}


@PAIR
def test_strict(translating: Gateway, targets: Targets, client: str, target: str) -> None:
    """A client that would rather have an error than a loss gets one, and the provider is not asked."""
    talk = CLIENTS[client](translating, TARGETS[target].name, headers={"x-tollgate-strict": "true"})
    assert talk.ask(QUESTIONS["text"]).text
    targets.reset()
    talk.extra = LOSSY[client]
    failure = caught(talk, talk.failures[400])
    (member,) = LOSSY[client]
    assert status(failure) == 400 and f"/{member}" in details(failure)["message"]
    assert not targets.requests
