"""The model providers, played.

Each provider listens on a port of its own and answers from `fixtures/<provider>/` in that provider's own
dialect, with headers like its real ones. Every request is kept, so that a test can ask what went up.
On any of the ports: `GET /__requests` returns what was kept since the last `POST /__reset`.

`python3 provider.py` prints the base URLs as JSON and serves until it is interrupted.
"""

import base64
import json
import re
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

FIXTURES = Path(__file__).parent / "fixtures"

# Where each provider's API begins, and the header that carries its key.
ROOTS = {
    "openai": "/v1",
    "anthropic": "/v1",
    "gemini": "/v1",  # and /v1beta
    "groq": "/openai/v1",
    "mistral": "/v1",
    "openrouter": "/api/v1",
}
CREDENTIALS = {
    name: {"anthropic": "x-api-key", "gemini": "x-goog-api-key"}.get(name, "authorization") for name in ROOTS
}
KEYS = {name: f"upstream-key-of-{name}" for name in ROOTS}

RATE_LIMITS = {
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-limit-tokens": "10000000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-remaining-tokens": "9999972",
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-reset-tokens": "0s",
}
HEADERS: dict[str, dict[str, str]] = {
    "openai": {"x-request-id": "req_99f475d50b2c411eace09a3706a27f7a", "openai-version": "2020-10-01", **RATE_LIMITS},
    "anthropic": {
        "request-id": "req_011CXyFyWU4ACDSuMoZCT2Po",
        "anthropic-ratelimit-requests-limit": "4000",
        "anthropic-ratelimit-requests-remaining": "3999",
        "anthropic-ratelimit-requests-reset": "2026-02-09T22:09:22Z",
        "anthropic-ratelimit-tokens-limit": "2400000",
        "anthropic-ratelimit-tokens-remaining": "2400000",
        "anthropic-ratelimit-tokens-reset": "2026-02-09T22:09:22Z",
    },
    "gemini": {"server-timing": "gfet4t7; dur=411", "vary": "X-Origin"},
    "groq": {"x-request-id": "req_01j6yabvarek8vwy04vvej0vwn", "x-groq-region": "fra", **RATE_LIMITS},
    "mistral": {
        "mistral-correlation-id": "01a01a71-e15a-7895-b3ff-ff709e011ad9",
        "x-ratelimit-limit-tokens-minute": "20000000",
        "x-ratelimit-remaining-tokens-minute": "19999979",
        "x-ratelimit-tokens-query-cost": "21",
    },
    "openrouter": {"x-generation-id": "gen-1785882264-Dc8eXAHSnjmKOswYtXdR"},
}


@dataclass
class Seen:
    """One request that reached a provider, and what was answered."""

    provider: str
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any  # parsed where it is JSON, else text
    model: str | None = None
    fixture: str | None = None
    status: int = 0
    conversation: list[dict[str, Any]] | None = None  # what it says, where `targets.py` plays

    @property
    def streamed(self) -> bool:
        return (self.fixture or "").endswith(".sse")


@cache
def fixture(name: str) -> str:
    return (FIXTURES / name).read_text()


def document(name: str) -> Any:
    return json.loads(fixture(name))


def error(provider: str, status: int) -> Any:
    return document(f"{provider}/errors.json")[str(status)]


def events(name: str) -> list[Any]:
    """The JSON payloads of a recorded stream, in order."""
    lines = fixture(name).splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


@cache
def models(provider: str) -> set[str]:
    listing = document(f"{provider}/models.json")
    entries = listing.get("data") or listing.get("models")
    return {entry.get("id") or entry["name"].removeprefix("models/") for entry in entries}


class Providers:
    """All of them. `requests` is what came in since `reset`; `everything` is never emptied."""

    names = tuple(ROOTS)

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.everything: list[Seen] = []
        self.released = threading.Event()
        self.released.set()
        self.servers = {name: Server(name, self, self.handler()) for name in self.names}

    def __enter__(self) -> "Providers":
        for server in self.servers.values():
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers.values():
            server.shutdown()
            server.server_close()

    def handler(self) -> "type[Handler]":
        return Handler

    def origin(self, name: str) -> str:
        return f"http://127.0.0.1:{self.servers[name].server_port}"

    def keep(self, seen: Seen) -> None:
        self.requests.append(seen)
        self.everything.append(seen)

    def reset(self) -> None:
        self.requests.clear()

    def only(self, provider: str) -> Seen:
        """The one request that went up since the last reset; it went to this provider."""
        assert [seen.provider for seen in self.requests] == [provider], self.requests
        return self.requests[0]

    @contextmanager
    def held(self) -> Iterator[threading.Event]:
        """Streams stop halfway until the event is set."""
        self.released.clear()
        try:
            yield self.released
        finally:
            self.released.set()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, name: str, providers: Providers, handler: "type[Handler]") -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.name = name
        self.providers = providers

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection the other side dropped is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self.handle_request()

    def do_POST(self) -> None:
        self.handle_request()

    def do_DELETE(self) -> None:
        self.handle_request()

    def log_message(self, *_: object) -> None:
        pass

    def handle_request(self) -> None:
        raw = self.read_body()
        if self.path == "/__requests":
            return self.send_json(200, [asdict(seen) for seen in self.server.providers.requests])
        if self.path == "/__reset":
            self.server.providers.reset()
            return self.send_json(200, {})
        url = urlsplit(self.path)
        seen = Seen(
            provider=self.server.name,
            method=self.command,
            path=url.path,
            query=parse_qs(url.query),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=parse(raw),
        )
        self.server.providers.keep(seen)
        self.answer(seen)

    def read_body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", "0")))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return body

    def answer(self, seen: Seen) -> None:
        if seen.provider == "gemini" and seen.path.startswith("/upload/"):
            return self.answer_upload(seen)
        status, seen.fixture, seen.model = choose(seen)
        seen.status = status
        if seen.fixture is None:
            return self.send_json(status, error(seen.provider, status))
        if seen.streamed:
            return self.send_stream(stream(seen))
        self.send_json(200, plain(seen))

    def answer_upload(self, seen: Seen) -> None:
        """Gemini's resumable upload: first a URL to send to, which itself stands for the permission to."""
        if "upload_id" in seen.query:
            seen.status, seen.fixture = 200, "gemini/files.json"
            return self.send_json(200, document(seen.fixture), {"x-goog-upload-status": "final"})
        if not authorized(seen):
            seen.status = 401
            return self.send_json(401, error("gemini", 401))
        seen.status = 200
        target = self.server.providers.origin("gemini") + seen.path
        query = "upload_id=ABPtcPo1&upload_protocol=resumable"
        self.send_json(200, {}, {"x-goog-upload-status": "active", "x-goog-upload-url": f"{target}?{query}"})

    def send_json(self, status: int, body: Any, extra: dict[str, str] | None = None) -> None:
        raw = json.dumps(body).encode()
        charset = "; charset=UTF-8" if self.server.name == "gemini" else ""
        self.head(status, f"application/json{charset}", extra or {})
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def send_stream(self, blocks: list[bytes], whole: bool = True) -> None:
        self.head(200, "text/event-stream", {"cache-control": "no-cache"})
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, block in enumerate(blocks):
            if number == len(blocks) // 2 and not self.server.providers.released.wait(20):
                self.close_connection = True
                return
            cut = len(block) // 3  # a network cuts anywhere
            self.send_chunk(block[:cut])
            self.send_chunk(block[cut:])
        if whole:
            self.wfile.write(b"0\r\n\r\n")

    def send_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def head(self, status: int, content_type: str, extra: dict[str, str]) -> None:
        self.send_response(status)
        retry = {"retry-after": "7"} if status == 429 else {}
        for name, value in {"content-type": content_type, **HEADERS[self.server.name], **extra, **retry}.items():
            self.send_header(name, value)


def parse(raw: bytes) -> Any:
    """JSON by its looks: one SDK uploads files as `application/json`, whatever they are."""
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace") or None


def authorized(seen: Seen) -> bool:
    key = KEYS[seen.provider]
    sent = seen.headers.get(CREDENTIALS[seen.provider])
    return sent == (f"Bearer {key}" if CREDENTIALS[seen.provider] == "authorization" else key)


def choose(seen: Seen) -> tuple[int, str | None, str | None]:
    """Status, fixture and model of the answer; without a fixture it is an error."""
    if not authorized(seen):
        return 401, None, None
    body = seen.body if isinstance(seen.body, dict) else {}
    operation, model = locate(seen, body)
    if failure := re.fullmatch(r"fail-(\d+)", model or ""):
        return int(failure[1]), None, model
    if model is not None and model not in models(seen.provider):
        return 404, None, model
    if seen.provider == "mistral" and body.get("stream_options"):
        return 422, None, model  # Mistral forbids it, and reports the usage of a stream unasked
    streamed = body.get("stream") is True or operation == "streamGenerateContent"
    kind = ("-tools" if body.get("tools") else "") + (".sse" if streamed else ".json")
    for name in (f"{operation}-{model}{kind}", f"{operation}{kind}"):
        if (FIXTURES / seen.provider / name).is_file():
            return 200, f"{seen.provider}/{name}", model
    return 404, None, model


def locate(seen: Seen, body: dict[str, Any]) -> tuple[str, str | None]:
    """The operation and the model a request asks for."""
    path = re.sub("^/v1beta/", "/v1/", seen.path).removeprefix(ROOTS[seen.provider])
    if seen.provider == "gemini" and (match := re.fullmatch(r"/models/([^:]+):(\w+)", path)):
        return match[2], match[1]
    names = {"/chat/completions": "chat", "/messages/count_tokens": "count_tokens"}
    return names.get(path, path.strip("/")), body.get("model")


def plain(seen: Seen) -> Any:
    assert seen.fixture
    answer = document(seen.fixture)
    if isinstance(seen.body, dict) and seen.body.get("encoding_format") == "base64":
        for item in answer["data"]:
            vector = item["embedding"]
            item["embedding"] = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return answer


def stream(seen: Seen) -> list[bytes]:
    """The events of a stream. Usage comes in an OpenAI-style stream only if it was asked for."""
    assert seen.fixture
    text = fixture(seen.fixture)
    blocks = [f"{block}\n\n" for block in text.removesuffix("\n\n").split("\n\n")]
    asked_for_usage = (seen.body.get("stream_options") or {}).get("include_usage")
    if "/chat" in seen.fixture and not asked_for_usage:
        blocks = [block.replace(',"usage":null', "") for block in blocks if '"choices":[],' not in block]
    newline = "\r\n" if seen.provider == "gemini" else "\n"
    return [block.replace("\n", newline).encode() for block in blocks]


if __name__ == "__main__":
    with Providers() as served:
        print(json.dumps({name: served.origin(name) for name in ROOTS}, indent=2), flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
