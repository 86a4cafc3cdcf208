"""The gateway under test as a process, with the played providers behind it."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provider import CREDENTIALS, KEYS, ROOTS, Providers, Seen

HERE = Path(__file__).parent
BINARY = Path(os.environ.get("TOLLGATE_BIN", HERE.parents[1] / "target/debug/tollgate")).absolute()
KEY = "tg-test-key-for-the-sdk-suites"
START_SECONDS = 20
STOP_SECONDS = 20


@dataclass
class Gateway:
    url: str
    data: Path
    key: str = KEY

    def usage_rows(self) -> list[dict[str, Any]]:
        command = [str(BINARY), "usage", "--rows", "--json", "--data", str(self.data)]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def running_gateway(providers: Providers, home: Path) -> Iterator[Gateway]:
    with serving(home, configuration(providers)) as gateway:
        yield gateway


@contextmanager
def serving(home: Path, tables: str) -> Iterator[Gateway]:
    """The gateway with a configuration, and with the data that is already at `home`."""
    listen, admin = free_port(), free_port()
    config = home / "tollgate.toml"
    server = f'[server]\nlisten = ["127.0.0.1:{listen}"]\nadmin = "127.0.0.1:{admin}"\ndata = "{home / "data"}"\n'
    config.write_text(f"{server}\n{tables}")
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(
            [BINARY, "--config", config], env=environment(), cwd=home, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_until_ready(process, admin, home / "log")
        yield Gateway(f"http://127.0.0.1:{listen}", home / "data")
    finally:
        stop(process)


def configuration(providers: Providers) -> str:
    tables = [f'[[keys]]\nname = "sdk"\nkey = "{KEY}"\n']
    for name in ROOTS:
        suffix = "/api/v1" if name == "openrouter" else ""
        base_url = providers.origin(name) + suffix
        tables.append(f'[providers.{name}]\nbase_url = "{base_url}"\napi_key = "{KEYS[name]}"\n')
    return "\n".join(tables)


def environment() -> dict[str, str]:
    """Nothing of the caller's: a provider key or proxy set there must not change what is tested."""
    return {"PATH": os.environ["PATH"]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(process: subprocess.Popen[bytes], admin: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the gateway did not become ready (exit code {process.poll()}):\n{log.read_text()[-4000:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    assert process.returncode == 0, f"the gateway ended with {process.returncode}"


def assert_credentials(seen: Seen) -> None:
    """A provider gets its own key in its own header, no other credential, and never the gateway's key."""
    own = CREDENTIALS[seen.provider]
    expected = f"Bearer {KEYS[seen.provider]}" if own == "authorization" else KEYS[seen.provider]
    sent = {name: seen.headers[name] for name in set(CREDENTIALS.values()) if name in seen.headers}
    assert sent == {own: expected}, seen
    assert KEY not in json.dumps([seen.path, seen.query, seen.headers, seen.body]), seen
