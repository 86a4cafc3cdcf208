import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness import Gateway, assert_credentials, running_gateway, serving
from provider import Providers
from targets import FRESH_KEYS, Targets

# Everything is on this machine, whatever proxy the environment names.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"


def pytest_configure() -> None:
    """Being terminated still ends in the fixtures' clean-up."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))


@pytest.fixture(scope="session")
def providers() -> Iterator[Providers]:
    with Providers() as providers:
        yield providers


@pytest.fixture(scope="session")
def gateway(providers: Providers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(providers, tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def upstream(providers: Providers) -> Iterator[Providers]:
    """The providers, with nothing recorded yet. Afterwards, whatever went up carried the right key."""
    providers.reset()
    before = len(providers.everything)
    yield providers
    for seen in providers.everything[before:]:
        assert_credentials(seen)


@pytest.fixture(scope="session")
def played() -> Iterator[Targets]:
    played = Targets()
    with played:
        yield played


@pytest.fixture(scope="session")
def fresh_keys() -> Iterator[str]:
    return iter(FRESH_KEYS)


@pytest.fixture(scope="session")
def translator(played: Targets, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway with one model of each dialect behind it."""
    with serving(tmp_path_factory.mktemp("translator"), played.configuration()) as gateway:
        yield gateway


@pytest.fixture
def translating(translator: Gateway, fresh_keys: Iterator[str]) -> Gateway:
    """The same gateway, for an organisation of which it remembers nothing."""
    return replace(translator, key=next(fresh_keys))


@pytest.fixture
def targets(played: Targets) -> Iterator[Targets]:
    """The played models, with nothing recorded yet."""
    played.reset()
    before = len(played.everything)
    yield played
    for seen in played.everything[before:]:
        assert_credentials(seen)
