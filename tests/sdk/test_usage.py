"""After all the others: the ledger holds, for every exchange, exactly what its provider reported."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from harness import Gateway
from provider import Providers, Seen, document

REPORTED: dict[str, dict[str, int]] = document("usage.json")
FIELDS = next(iter(REPORTED.values()))
UNREPORTED = "gemini/batchEmbedContents.json"  # an answer that says nothing of tokens
SETTLE_SECONDS = 10

Row = dict[str, Any]
Found = Counter[tuple[Any, ...]]


def settled(gateway: Gateway, find: Callable[[list[Row]], Iterable[tuple[Any, ...]]], expected: Found) -> Found:
    """What is found in the ledger once it is as expected, or time is up: rows are written behind the answers."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (found := Counter(find(gateway.usage_rows()))) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def reported(seen: Seen) -> tuple[Any, ...]:
    return (seen.provider, seen.model, seen.status, *REPORTED[seen.fixture or ""].values())


def measured(rows: list[Row]) -> Iterable[tuple[Any, ...]]:
    counted = [row for row in rows if row["measured"] and (row["input_tokens"] or row["output_tokens"])]
    return [(row["provider"], row["model"], row["status"], *(row[field] for field in FIELDS)) for row in counted]


def test_measured(gateway: Gateway, providers: Providers) -> None:
    assert {seen.fixture for seen in providers.everything} >= set(REPORTED), "run the whole suite, not this file alone"
    expected = Counter(reported(seen) for seen in providers.everything if seen.fixture in REPORTED)
    found = settled(gateway, measured, expected)
    assert (found - expected, expected - found) == (Counter(), Counter())


def test_estimated(gateway: Gateway, providers: Providers) -> None:
    silent = [seen for seen in providers.everything if seen.fixture == UNREPORTED]
    expected: Found = Counter({("gemini", False, True): len(silent)})
    found = settled(
        gateway,
        lambda rows: [
            (row["provider"], row["measured"], row["input_tokens"] > 0)
            for row in rows
            if row["model"] == "gemini-embedding-001"
        ],
        expected,
    )
    assert silent and found == expected


def test_failures(gateway: Gateway, providers: Providers) -> None:
    """Every attempt that reached a provider has its row, the failed ones too, and they generated nothing."""
    failed = [seen for seen in providers.everything if seen.status >= 400]
    expected: Found = Counter((seen.provider, seen.model, seen.status, 0) for seen in failed)
    found = settled(
        gateway,
        lambda rows: [
            (row["provider"], row["model"], row["status"], row["output_tokens"]) for row in rows if row["status"] >= 400
        ],
        expected,
    )
    assert failed and (found - expected, expected - found) == (Counter(), Counter())
