"""The JavaScript SDKs: each file of `js/` runs under `node --test`, against this run's gateway."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from itertools import islice

import pytest

from harness import HERE, Gateway
from provider import Providers
from targets import OTHER_KEY, QUESTIONS, TARGETS, Targets

(NODE,) = HERE.glob("js/node_modules/node-linux-*/bin/node")


@pytest.mark.parametrize("name", ["openai", "anthropic", "genai"])
def test_suite(name: str, gateway: Gateway, upstream: Providers, capsys: pytest.CaptureFixture[str]) -> None:
    run(name, gateway, upstream, capsys)


@pytest.mark.parametrize("name", ["translation", "helpers", "models", "state", "vercel"])
def test_translation(
    name: str,
    translating: Gateway,
    targets: Targets,
    fresh_keys: Iterator[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = {
        dialect: {"name": one.name, "provider": one.provider, "seals": one.seals(), "tokens": one.tokens}
        for dialect, one in TARGETS.items()
    }
    keys = list(islice(fresh_keys, 400))
    played = {"questions": QUESTIONS, "targets": known, "otherKey": OTHER_KEY, "keys": keys}
    run(name, translating, targets, capsys, TARGETS=json.dumps(played))


def run(
    name: str, gateway: Gateway, providers: Providers, capsys: pytest.CaptureFixture[str], **environment: str
) -> None:
    done = subprocess.run(
        [NODE, "--test", "--test-isolation=none", "--test-reporter=spec", HERE / f"js/{name}.test.mjs"],
        env={
            **os.environ,
            "GATEWAY_URL": gateway.url,
            "GATEWAY_KEY": gateway.key,
            "PROVIDER_URL": providers.origin("openai"),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    counts = dict(re.findall(r"^\S (tests|pass|fail|skipped) (\d+)$", done.stdout, re.MULTILINE))
    with capsys.disabled():
        print(f"\nnode --test {name}: {counts}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert counts["pass"] == counts["tests"] != "0"
