"""What a request says, read the way each provider reads it.

A reader is as strict as its provider: what that would answer with a 400 is `Malformed`. The outcome is the same
for all dialects: a list of pieces in order, `{"role": …, "kind": …}` with `text`, `data`, `name`, `args` or `id`.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

Piece = dict[str, Any]


class Malformed(Exception):
    """What the provider would refuse, and why."""


def check(holds: Any, why: str) -> None:
    if not holds:
        raise Malformed(why)


def only(members: dict[str, Any], *known: str) -> None:
    unknown = members.keys() - set(" ".join(known).split())
    check(not unknown, f"Extra inputs are not permitted: {sorted(unknown)}")


def piece(role: str, kind: str, **rest: Any) -> Piece:
    return {"role": role, "kind": kind, **rest}


def data_url(role: str, url: str) -> Piece:
    found = re.fullmatch(r"data:([^;]+);base64,(.+)", url, re.DOTALL)
    check(found, f"not a data URL: {url[:40]}")
    assert found
    return media(role, found[1], found[2])


def media(role: str, mime: str, data: str) -> Piece:
    kind = "image" if mime.startswith("image/") else mime.removeprefix("application/")
    return piece(role, kind, mime=mime, data=data)


def arguments(text: Any) -> Any:
    check(isinstance(text, str), "arguments must be a string")
    args = json.loads(text)
    check(isinstance(args, dict), f"arguments must be an object: {text}")
    return args


def schema_is_plain(schema: Any, where: str) -> None:
    """JSON Schema, not Gemini's own form of it."""
    for kind in re.findall(r'"type": "(\w+)"', json.dumps(schema)):
        check(kind.islower(), f"{where}: {kind} is not a type of JSON Schema")


def result(role: str, id: str, content: Any, part: Callable[[str, dict[str, Any]], Piece]) -> Iterator[Piece]:
    """What a tool said: its text, and then whatever else it gave."""
    parts = [piece(role, "text", text=content)] if isinstance(content, str) else [part(role, one) for one in content]
    yield piece(role, "result", id=id, text="".join(one["text"] for one in parts if one["kind"] == "text"))
    yield from (one for one in parts if one["kind"] != "text")


class Calls:
    """Calls and results find each other by id; every call is answered before anything else is said."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.all: set[str] = set()

    def call(self, id: Any) -> None:
        check(isinstance(id, str) and id, "a call needs an id")
        check(id not in self.all, f"ids must be unique: {id}")
        self.open.append(id)
        self.all.add(id)

    def result(self, id: Any) -> None:
        check(id in self.open, f"no call is waiting for a result with the id {id!r}")
        self.open.remove(id)

    def none_open(self) -> None:
        check(not self.open, f"no result for the calls {self.open}")


def read_chat(body: dict[str, Any]) -> Iterator[Piece]:
    only(
        body,
        "model messages stream stream_options max_tokens max_completion_tokens temperature top_p top_k stop seed n",
        "tools tool_choice parallel_tool_calls response_format reasoning reasoning_effort user metadata verbosity",
    )
    check(isinstance(body.get("messages"), list) and body["messages"], "messages must be a list")
    for tool in body.get("tools", []):
        check(tool["type"] == "function" and tool["function"]["name"], "a tool needs a name")
        schema_is_plain(tool["function"].get("parameters"), "parameters")
    calls = Calls()
    for message in body["messages"]:
        role = message["role"]
        if role != "tool":
            calls.none_open()
        match role:
            case "system" | "developer":
                yield from (piece("system", "text", text=part["text"]) for part in chat_parts(message))
            case "user":
                only(message, "role content name")
                yield from (chat_part(part) for part in chat_parts(message))
            case "assistant":
                yield from chat_answer(message, calls)
            case "tool":
                only(message, "role content tool_call_id name")
                calls.result(message["tool_call_id"])
                text = "".join(part["text"] for part in chat_parts(message))
                yield piece("user", "result", id=message["tool_call_id"], text=text)
            case _:
                raise Malformed(f"no such role: {role}")
    calls.none_open()


def chat_parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    check(isinstance(content, (str, list)), f"content of {message['role']} must be a string or a list")
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


def chat_part(part: dict[str, Any]) -> Piece:
    match part["type"]:
        case "text":
            return piece("user", "text", text=part["text"])
        case "image_url":
            return data_url("user", part["image_url"]["url"])
        case "file":
            check(part["file"].get("filename"), "a file needs a name")
            return data_url("user", part["file"]["file_data"])
    raise Malformed(f"no such part: {part['type']}")


def chat_answer(message: dict[str, Any], calls: Calls) -> Iterator[Piece]:
    only(message, "role content tool_calls reasoning reasoning_details reasoning_content refusal name")
    for detail in message.get("reasoning_details") or []:
        if detail.get("text"):
            yield piece("assistant", "thought", text=detail["text"])
        if seal := detail.get("signature") or detail.get("data"):
            check(detail.get("format"), "reasoning needs its format")
            yield piece("assistant", "seal", data=seal)
    if message.get("content"):
        yield from (piece("assistant", "text", text=part["text"]) for part in chat_parts(message))
    for call in message.get("tool_calls") or []:
        check(call["type"] == "function", "a call is of a function")
        calls.call(call["id"])
        function = call["function"]
        yield piece("assistant", "call", id=call["id"], name=function["name"], args=arguments(function["arguments"]))


def read_responses(body: dict[str, Any]) -> Iterator[Piece]:
    only(
        body,
        "model input instructions stream max_output_tokens temperature top_p tools tool_choice parallel_tool_calls",
        "text reasoning include store metadata user service_tier truncation safety_identifier prompt_cache_key",
    )
    if instructions := body.get("instructions"):
        yield piece("system", "text", text=instructions)
    for tool in body.get("tools", []):
        check(tool["type"] == "function" and tool["name"] and "parameters" in tool, "a tool needs a name")
        schema_is_plain(tool["parameters"], "parameters")
    items = body["input"]
    check(isinstance(items, (str, list)), "input must be a string or a list")
    calls = Calls()
    for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
        yield from responses_item(item, calls)
    calls.none_open()


def responses_item(item: dict[str, Any], calls: Calls) -> Iterator[Piece]:
    match item.get("type", "message"):
        case "message":
            only(item, "type role content id status phase")
            role = {"developer": "system"}.get(item["role"], item["role"])
            content = item["content"]
            if role == "user":
                calls.none_open()
            for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                yield responses_part(role, part)
        case "reasoning":
            only(item, "type id summary content encrypted_content status")
            check(isinstance(item.get("summary"), list), "Missing required parameter: summary")
            check(not item.get("content"), "Invalid content of reasoning: Expected an array with maximum length 0")
            yield from (piece("assistant", "thought", text=part["text"]) for part in item["summary"])
            if seal := item.get("encrypted_content"):
                yield piece("assistant", "seal", data=seal)
        case "function_call":
            only(item, "type id call_id name arguments status")
            calls.call(item["call_id"])
            yield piece("assistant", "call", id=item["call_id"], name=item["name"], args=arguments(item["arguments"]))
        case "function_call_output":
            only(item, "type id call_id output status")
            calls.result(item["call_id"])
            yield from result("user", item["call_id"], item["output"], responses_part)
        case other:
            raise Malformed(f"no such item: {other}")


def responses_part(role: str, part: dict[str, Any]) -> Piece:
    kind = part["type"]
    own = "output_text" if role == "assistant" else "input_text"
    if kind in ("text", own):
        return piece(role, "text", text=part["text"])
    if kind == "input_image":
        return data_url(role, part["image_url"])
    if kind == "input_file":
        check(part.get("filename"), "a file needs a name")
        return data_url(role, part["file_data"])
    raise Malformed(f"no such content for {role}: {kind}")


def read_messages(body: dict[str, Any]) -> Iterator[Piece]:
    only(
        body,
        "model messages system max_tokens stream stop_sequences temperature top_p top_k tools tool_choice thinking",
        "metadata service_tier output_config cache_control",
    )
    check(isinstance(body.get("max_tokens"), int), "max_tokens: Field required")
    thinking = body.get("thinking", {})
    check(thinking.get("type") in (None, "enabled", "disabled", "adaptive"), f"thinking: {thinking}")
    check(thinking.get("budget_tokens", 0) < body["max_tokens"], "max_tokens must be greater than the budget")
    system = body.get("system", [])
    for part in [{"text": system}] if isinstance(system, str) else system:
        yield piece("system", "text", text=part["text"])
    for tool in body.get("tools", []):
        only(tool, "name description input_schema strict type cache_control")
        check(tool["input_schema"].get("type") == "object", "input_schema.type: Field required")
        schema_is_plain(tool["input_schema"], "input_schema")
    check(body["messages"] and body["messages"][0]["role"] == "user", "the first message must be the user's")
    calls = Calls()
    for message in body["messages"]:
        only(message, "role content")
        content = message["content"]
        check(content, "messages must have non-empty content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        yield from messages_turn(message["role"], blocks, calls)
    calls.none_open()
    if thinking.get("type") == "enabled":
        begins_with_thinking(body["messages"])


def messages_turn(role: str, blocks: list[dict[str, Any]], calls: Calls) -> Iterator[Piece]:
    if role == "assistant":
        calls.none_open()
    for block in blocks:
        kind = block["type"]
        if role == "user" and kind != "tool_result":
            calls.none_open()
        match role, kind:
            case (_, "text") | ("user", "image" | "document"):
                yield messages_part(role, block)
            case "user", "tool_result":
                only(block, "type tool_use_id content is_error cache_control")
                calls.result(block["tool_use_id"])
                yield from result(role, block["tool_use_id"], block.get("content", ""), messages_part)
            case "assistant", "thinking":
                only(block, "type thinking signature")
                check(block["signature"], "thinking.signature: Field required")
                yield piece(role, "thought", text=block["thinking"])
                yield piece(role, "seal", data=block["signature"])
            case "assistant", "tool_use":
                only(block, "type id name input cache_control")
                check(re.fullmatch("[a-zA-Z0-9_-]+", block["id"]), f"tool_use.id: {block['id']}")
                calls.call(block["id"])
                check(isinstance(block["input"], dict), "tool_use.input: must be an object")
                yield piece(role, "call", id=block["id"], name=block["name"], args=block["input"])
            case _:
                raise Malformed(f"no such block for {role}: {kind}")


def messages_part(role: str, block: dict[str, Any]) -> Piece:
    if block["type"] == "text":
        check(block["text"].strip(), "text content blocks must be non-empty")
        return piece(role, "text", text=block["text"])
    check(block["type"] in ("image", "document"), f"no such block in a result: {block['type']}")
    source = block["source"]
    check(source["type"] == "base64", f"source.type: {source['type']}")
    return media(role, source["media_type"], source["data"])


def begins_with_thinking(messages: list[dict[str, Any]]) -> None:
    """While a model thinks, a turn of its that called tools and is being answered begins with its thinking."""
    last = messages[-1]["content"]
    if len(messages) < 2 or isinstance(last, str) or last[0]["type"] != "tool_result":
        return
    first = messages[-2]["content"][0]["type"]
    check(first in ("thinking", "redacted_thinking"), f"Expected `thinking` or `redacted_thinking`, found `{first}`")


def read_gemini(body: dict[str, Any]) -> Iterator[Piece]:
    only(body, "contents systemInstruction tools toolConfig safetySettings generationConfig cachedContent model store")
    only(
        body.get("generationConfig", {}),
        "temperature topP topK maxOutputTokens stopSequences candidateCount seed presencePenalty frequencyPenalty",
        "responseMimeType responseSchema responseJsonSchema thinkingConfig responseLogprobs logprobs",
    )
    only(body.get("generationConfig", {}).get("thinkingConfig", {}), "includeThoughts thinkingBudget thinkingLevel")
    for part in body.get("systemInstruction", {}).get("parts", []):
        yield piece("system", "text", text=part["text"])
    for tool in body.get("tools", []):
        for declared in tool.get("functionDeclarations", []):
            only(declared, "name description parameters parametersJsonSchema response behavior")
    waiting: list[Piece] = []
    for content in body["contents"]:
        check(content.get("parts"), "contents.parts must not be empty")
        role = {"user": "user", "model": "assistant"}.get(content.get("role", "user"))
        check(role, f"Please use a valid role: user, model; not {content.get('role')}")
        assert role
        pieces = list(gemini_turn(role, content["parts"]))
        results = [one for one in pieces if one["kind"] == "result"]
        names = [one["name"] for one in results]
        check(
            names == [one["name"] for one in waiting],
            "the number of function response parts must equal the number of function call parts of the turn before",
        )
        for call, result in zip(waiting, results, strict=True):
            check(call["id"] == result["id"], f"ids of a call and its response differ: {call} {result}")
        waiting = [one for one in pieces if one["kind"] == "call"]
        yield from pieces
    check(not waiting, "a function call needs its response")


def gemini_turn(role: str, parts: list[dict[str, Any]]) -> Iterator[Piece]:
    signed = False
    called = False
    for part in parts:
        only(part, "text thought thoughtSignature inlineData functionCall functionResponse")
        if seal := part.get("thoughtSignature"):
            signed = True
            yield piece(role, "seal", data=seal)
        if part.get("thought"):
            yield piece(role, "thought", text=part["text"])
        elif "text" in part:
            yield piece(role, "text", text=part["text"])
        elif inline := part.get("inlineData"):
            yield media(role, inline["mimeType"], inline["data"])
        elif call := part.get("functionCall"):
            check(role == "assistant", "only the model calls functions")
            check(signed or called, f"Function call is missing a thought_signature: {call['name']}")
            called = True
            yield piece(role, "call", id=call.get("id"), name=call["name"], args=call.get("args", {}))
        elif answer := part.get("functionResponse"):
            check(role == "user", "only the user answers functions")
            only(answer, "id name response parts willContinue scheduling")
            response = answer["response"]
            check(isinstance(response, dict), "function_response.response must be an object")
            text = response.get("output", response.get("result", json.dumps(response)))
            yield piece(role, "result", id=answer.get("id"), name=answer["name"], text=text)
            for inner in answer.get("parts", []):
                yield media(role, inner["inlineData"]["mimeType"], inner["inlineData"]["data"])
        else:
            check(seal, f"a part must say something: {part}")


READERS = {"chat": read_chat, "responses": read_responses, "messages": read_messages, "gemini": read_gemini}


def read(reader: Callable[[dict[str, Any]], Iterator[Piece]], body: Any) -> list[Piece]:
    check(isinstance(body, dict), "the body must be an object")
    try:
        return list(reader(body))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as why:
        raise Malformed(f"{type(why).__name__}: {why} in {json.dumps(body)[:2000]}") from why
