"""Streams that were cut early, read by the official SDKs.

`cargo test --test endings` writes them from the recorded streams: `target/tmp/endings/`, or where ENDINGS says.
"""

import json
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anthropic
import openai
import pytest
from google import genai

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("ENDINGS", HERE / "../../target/tmp/endings"))
TOTAL = 42


def written() -> list[dict]:
    return [json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, list[dict]]]:
    streams = written()
    if not streams:
        pytest.skip(f"no cut streams in {FOLDER}: cargo test --test endings writes them")

    class Player(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            stream = streams[int(self.path.split("/")[1])]
            body = stream["body"].encode()
            self.send_response(200)
            self.send_header("content-type", "application/json" if stream["array"] else "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for at in range(0, len(body), 1500):
                piece = body[at : at + 1500]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Player)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", streams
    server.shutdown()


def chat(base: str) -> None:
    client = openai.OpenAI(base_url=base, api_key="k", max_retries=0)
    messages = [{"role": "user", "content": "hi"}]
    chunks = list(client.chat.completions.create(model="m", messages=messages, stream=True))
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert "length" in reasons
    assert chunks[-1].usage.total_tokens == TOTAL
    assert chunks[-1].usage.tollgate["stopped"] == "budget"


def chat_helper(base: str) -> None:
    client = openai.OpenAI(base_url=base, api_key="k", max_retries=0)
    with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "hi"}]) as stream:
        # The helper reports the length of an answer by this error, as it does for the provider's own.
        with pytest.raises(openai.LengthFinishReasonError):
            for _ in stream:
                pass
            stream.get_final_completion()


def completions(base: str) -> None:
    client = openai.OpenAI(base_url=base, api_key="k", max_retries=0)
    chunks = list(client.completions.create(model="m", prompt="hi", stream=True))
    assert "length" in [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert chunks[-1].usage.total_tokens == TOTAL


def responses(base: str) -> None:
    client = openai.OpenAI(base_url=base, api_key="k", max_retries=0)
    last = list(client.responses.create(model="m", input="hi", stream=True))[-1]
    assert last.type == "response.incomplete"
    assert last.response.status == "incomplete"
    assert last.response.incomplete_details.reason == "max_output_tokens"
    assert last.response.usage.total_tokens == TOTAL
    assert last.response.usage.tollgate["stopped"] == "budget"
    assert all(item.type for item in last.response.output)


def responses_helper(base: str) -> None:
    client = openai.OpenAI(base_url=base, api_key="k", max_retries=0)
    with client.responses.stream(model="m", input="hi") as stream:
        last = list(stream)[-1]
    assert last.type == "response.incomplete"


def messages(base: str) -> None:
    client = anthropic.Anthropic(base_url=base, api_key="k", max_retries=0)
    with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as stream:
        # The accumulated message leaves out what the SDK does not know.
        told = [event.usage.tollgate for event in stream if event.type == "message_delta"]
        message = stream.get_final_message()
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 12
    assert told == [{"stopped": "budget", "rule": "25 USD a month for each org"}]


def gemini(base: str) -> None:
    options = genai.types.HttpOptions(base_url=base, retry_options=None)
    client = genai.Client(api_key="k", http_options=options)
    last = list(client.models.generate_content_stream(model="m", contents="hi"))[-1]
    assert last.candidates[0].finish_reason == genai.types.FinishReason.MAX_TOKENS
    assert last.usage_metadata.total_token_count == TOTAL


CHECKS = {
    "OpenaiChat": [chat, chat_helper],
    "Completions": [completions],
    "OpenaiResponses": [responses, responses_helper],
    "Anthropic": [messages],
    "Gemini": [gemini],
}


@pytest.mark.parametrize("kind", CHECKS)
def test_a_cut_stream_is_an_answer_at_its_limit(served: tuple[str, list[dict]], kind: str) -> None:
    base, streams = served
    failures, checked = Counter(), 0
    # As many of each kind as a test may take; the streams are in no order.
    chosen = [
        (number, stream)
        for number, stream in enumerate(streams)
        if stream["kind"] == kind and not stream["array"]
    ][:60]
    for number, stream in chosen:
        for check in CHECKS[kind]:
            try:
                check(f"{base}/{number}")
            except (Exception, pytest.fail.Exception) as error:
                failures[f"{check.__name__}: {type(error).__name__}: {str(error)[:200]}"] += 1
                print(check.__name__, stream["name"], stream["at"], repr(stream["body"][-1500:]))
            checked += 1
    assert checked > 10
    assert not failures, f"{failures} of {checked}"


def test_the_js_sdks_read_it_too(served: tuple[str, list[dict]]) -> None:
    base, streams = served
    chosen = [
        {"base": f"{base}/{number}", "kind": stream["kind"]}
        for number, stream in enumerate(streams)
        if not stream["array"] and number % 5 == 0
    ]
    local = HERE / "js/node_modules/.bin/node"
    node = str(local) if local.exists() else "node"
    ran = subprocess.run([node, HERE / "js/endings.mjs"], input=json.dumps(chosen), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert f"{len(chosen)} read" in ran.stdout
