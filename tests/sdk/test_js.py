"""The JavaScript SDKs: each file of `js/` runs under `node --test`, against this run's gateway."""

import os
import re
import subprocess

import pytest

from harness import HERE, Gateway
from provider import Providers

(NODE,) = HERE.glob("js/node_modules/node-linux-*/bin/node")


@pytest.mark.parametrize("name", ["openai", "anthropic", "genai"])
def test_suite(name: str, gateway: Gateway, upstream: Providers, capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [NODE, "--test", "--test-isolation=none", "--test-reporter=spec", HERE / f"js/{name}.test.mjs"],
        env={
            **os.environ,
            "GATEWAY_URL": gateway.url,
            "GATEWAY_KEY": gateway.key,
            "PROVIDER_URL": upstream.origin("openai"),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    counts = dict(re.findall(r"^\S (tests|pass|fail|skipped) (\d+)$", done.stdout, re.MULTILINE))
    with capsys.disabled():
        print(f"\nnode --test {name}: {counts}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert counts["pass"] == counts["tests"] != "0"
