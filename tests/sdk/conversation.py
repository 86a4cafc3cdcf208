"""A conversation with a model, as every client of the tests holds it: the same few verbs for all SDKs.

It is held in the SDK's own types and sent back as its users send it back: what the SDK returned is what the next
request contains. `forgetful` clients send back only what every dialect has, the text and the calls.
"""

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from harness import Gateway

INSTRUCTIONS = "Be brief."


class City(BaseModel):
    city: str
    country: str


CITY = City(city="Paris", country="France")

# The tools of the recordings: their names, and the one argument of each.
TOOLS = {"secret_retrieval_tool": "password", "get_weather": "city"}


def parameters(argument: str) -> dict[str, Any]:
    properties = {argument: {"type": "string", "description": f"The {argument}."}}
    return {"type": "object", "properties": properties, "required": [argument], "additionalProperties": False}


def describe(name: str) -> str:
    return f"Asks {name.replace('_', ' ')}."


@dataclass
class Media:
    mime: str
    data: bytes

    @property
    def base64(self) -> str:
        return base64.b64encode(self.data).decode()

    @property
    def url(self) -> str:
        return f"data:{self.mime};base64,{self.base64}"


@dataclass
class Answer:
    text: str
    calls: list[tuple[str, dict[str, Any]]]
    thoughts: str
    finish: str  # in the SDK's own word
    tokens: tuple[int, int]
    parsed: Any = None
    pieces: list[str] = field(default_factory=list)  # the text as it came


class Conversation:
    """One conversation of one SDK with one model."""

    dialect: str
    # The SDK's classes for what a provider answers: by status, and in the middle of a stream.
    failures: dict[int, type[Exception]]
    broken: type[Exception]
    # What the SDK calls an answer that is complete, and one that wants tools to be called.
    finish: tuple[str, str]
    limited: str  # and one that was cut short

    def __init__(self, gateway: Gateway, model: str, key: str | None = None, **options: Any) -> None:
        self.key = key or gateway.key
        self.url = gateway.url
        self.model = model
        self.tools: list[str] = options.pop("tools", [])
        self.thinks: bool = options.pop("thinks", False)
        self.schema: type[BaseModel] | None = options.pop("schema", None)
        self.forgetful: bool = options.pop("forgetful", False)
        self.streamed: bool = options.pop("streamed", False)
        self.headers: dict[str, str] = options.pop("headers", {})
        self.extra: dict[str, Any] = {}  # members that the SDK has no name for
        self.on_piece: Callable[[str], Any] = lambda _: None  # is told each piece of streamed text
        assert not options, options
        self.connect()

    def connect(self) -> None:
        raise NotImplementedError

    def heard(self, pieces: Iterable[str]) -> list[str]:
        """The pieces of text of a stream, as they come."""
        all = []
        for piece in pieces:
            self.on_piece(piece)
            all.append(piece)
        return all

    def ask(self, text: str, *media: Media) -> Answer:
        raise NotImplementedError

    def reply(self, *results: str) -> Answer:
        """What the tools said, in the order of the calls."""
        raise NotImplementedError


def parsed(text: str) -> dict[str, Any]:
    value = json.loads(text)
    assert isinstance(value, dict)
    return value
