"""Providers that speak chat completions with rules of their own: Mistral and Groq.

They play the same recordings as the other chat provider, in their own spelling.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from wire import Malformed, Piece, check, only, read_chat


def read_mistral(body: dict[str, Any]) -> Iterator[Piece]:
    """Mistral forbids what it does not know; ids have nine letters or digits; after a tool only the model speaks."""
    only(
        body,
        "model messages stream max_tokens temperature top_p random_seed stop safe_prompt n tools tool_choice",
        "parallel_tool_calls response_format presence_penalty frequency_penalty prompt_mode reasoning_effort metadata",
    )
    messages = [dict(message) for message in body["messages"]]
    thoughts: dict[int, list[Piece]] = {}
    for at, message in enumerate(messages):
        before = messages[at - 1]["role"] if at else None
        check((before, message["role"]) != ("tool", "user"), "Unexpected role 'user' after role 'tool'")
        ids = [call["id"] for call in message.get("tool_calls") or []] + [message.get("tool_call_id", "a" * 9)]
        for id in ids:
            check(re.fullmatch("[a-zA-Z0-9]{9}", id), f"Tool call id was {id} but must be a-z, A-Z, 0-9, of length 9")
        if message["role"] == "assistant" and isinstance(message.get("content"), list):
            inner = [part["thinking"] for part in message["content"] if part["type"] == "thinking"]
            texts = ["".join(part["text"] for part in parts) for parts in inner]
            thoughts[at] = [{"role": "assistant", "kind": "thought", "text": text} for text in texts]
            message["content"] = [part for part in message["content"] if part["type"] != "thinking"] or None
    yield from with_thoughts(body, messages, thoughts)


def read_groq(body: dict[str, Any]) -> Iterator[Piece]:
    """Groq has its reasoning in one member, and other words for how much of it."""
    thoughts: dict[int, list[Piece]] = {}
    for at, message in enumerate(body["messages"]):
        check("reasoning_details" not in message, "property 'reasoning_details' is unsupported")
        if text := message.get("reasoning"):
            thoughts[at] = [{"role": "assistant", "kind": "thought", "text": text}]
    check(not ("include_reasoning" in body and "reasoning_format" in body), "cannot specify both")
    own = ("include_reasoning", "reasoning_format", "service_tier")
    yield from with_thoughts({k: v for k, v in body.items() if k not in own}, body["messages"], thoughts)


def with_thoughts(
    body: dict[str, Any], messages: list[dict[str, Any]], thoughts: dict[int, list[Piece]]
) -> Iterator[Piece]:
    """The conversation, and before what an answer says and calls, what it thought."""
    pieces = list(read_chat({**{k: v for k, v in body.items() if k in KNOWN}, "messages": messages}))
    answers = [at for at, message in enumerate(messages) if message["role"] == "assistant"]
    starts = [
        at
        for at, one in enumerate(pieces)
        if one["role"] == "assistant" and (at == 0 or pieces[at - 1]["role"] != "assistant")
    ]
    if len(answers) != len(starts):
        raise Malformed(f"{len(answers)} answers say {len(starts)} times something")
    for at, one in enumerate(pieces):
        if at in starts:
            yield from thoughts.get(answers[starts.index(at)], [])
        yield one


KNOWN = {"model", "stream", "tools", "tool_choice", "response_format", "max_tokens", "max_completion_tokens"}


def groq(document: dict[str, Any]) -> dict[str, Any]:
    for choice in document["choices"]:
        said = choice.get("message") or choice["delta"]
        said.pop("reasoning_details", None)
        if not said.get("reasoning"):
            said.pop("reasoning", None)
    if usage := document.get("usage"):
        document["x_groq"] = {"id": "req_01khrzq88ceeg8s97kbq467yp9", "usage": usage}
    return document


def mistral(document: dict[str, Any]) -> dict[str, Any]:
    for choice in document["choices"]:
        said = choice.get("message") or choice["delta"]
        said.pop("reasoning_details", None)
        if thought := said.pop("reasoning", None):
            thinking = {"type": "thinking", "thinking": [{"type": "text", "text": thought}]}
            said["content"] = [thinking]
        for call in said.get("tool_calls") or []:
            if "id" in call:
                call["id"] = call["id"][-9:]
    return document


def in_its_words(rewrite: Any, text: str) -> str:
    """A recorded stream, each of its documents rewritten."""
    lines = [
        f"data: {json.dumps(rewrite(json.loads(line[6:])))}" if line.startswith("data: {") else line
        for line in text.split("\n")
        if not line.startswith(":")
    ]
    return re.sub("\n\n\n+", "\n\n", "\n".join(lines)).lstrip("\n")
