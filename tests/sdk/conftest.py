import os
import signal
from collections.abc import Iterator

import pytest

from harness import Gateway, assert_credentials, running_gateway
from provider import Providers

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
