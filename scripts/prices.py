#!/usr/bin/env python3
"""Turn a table of published model prices into `conf/prices.toml`.

usage: python3 scripts/prices.py ../shared/specs/models.json > conf/prices.toml

The input is a JSON object of models, each with its `provider` and its prices
in US dollars per token. The output has one table per model, in US dollars per
million tokens. Figures are decimal from end to end: no binary float is ever
made of one, so a price printed here is exactly a million times the published
one. Only prices per token are taken, not those per image, second, page,
character or query. Notes on what was passed over go to standard error.
"""

import json
import re
import sys
from decimal import Decimal
from typing import Any

PROVIDERS = ("openai", "anthropic", "gemini", "groq", "mistral", "openrouter")

# Name of a price in the input -> kind in the output, in the order printed.
KINDS = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "audio_input",
    "cache_read_input_audio_token_cost": "cached_audio_input",
    "input_cost_per_image_token": "image_input",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
    "output_cost_per_audio_token": "audio_output",
    "output_cost_per_image_token": "image_output",
}
TIERS = {None: "", "batches": "batch", "flex": "flex", "priority": "priority"}
FIELD = re.compile(
    rf"({'|'.join(KINDS)})(?:_above_(\d+)k_tokens)?(?:_({'|'.join(t for t in TIERS if t)}))?"
)

HEADER = """\
# What the providers charge per model: US dollars per MILLION tokens, as decimal
# strings. A price that is not known is simply absent; "0": no charge per token.
#
# [<provider>."<model>"] holds the standard prices, by kind of token:
#   input, cached_input, cache_write_5m, cache_write_1h, audio_input,
#   cached_audio_input, image_input, output, reasoning, audio_output, image_output
# `cache_write_5m` is also the price of a cache write where a provider has only one.
# `source` is the page the figures were published on, where that is known.
# Sub-tables hold what differs:
#   .batch .flex .priority       another service tier
#   .above_200k                  a request with more than 200 000 input tokens, cached
#                                ones included (the limit differs by model)
#   .above_200k.priority         both together
#
# To override for one deployment, put [prices.<provider>."<model>"] with the same
# keys into tollgate.toml; a model not listed here is added the same way.
#
# Generated; do not edit. To make it again from a newer table of models:
#   python3 scripts/prices.py ../shared/specs/models.json > conf/prices.toml
"""

Prices = dict[str, str]
Tables = dict[tuple[int, str], Prices]  # (threshold in thousands or 0, tier or "")


def per_million(per_token: Decimal) -> str:
    """Dollars per token as dollars per million tokens: plain digits, no exponent."""
    return format(per_token.scaleb(6).normalize(), "f")


def tables_of(model: dict[str, Any]) -> Tables:
    """The prices per token of one model, by threshold and tier."""
    found: dict[tuple[int, str], dict[str, Decimal]] = {}
    for field, value in model.items():
        match = FIELD.fullmatch(field)
        if match and isinstance(value, Decimal):
            kind, threshold, tier = match.groups()
            found.setdefault((int(threshold or 0), TIERS[tier]), {})[KINDS[kind]] = value
    return {
        key: {kind: per_million(prices[kind]) for kind in KINDS.values() if kind in prices}
        for key, prices in sorted(found.items())
    }


def collect(models: dict[str, Any]) -> dict[tuple[int, str], tuple[str | None, Tables]]:
    """Source and prices by (place of the provider, name on the wire)."""
    out: dict[tuple[int, str], tuple[str | None, Tables]] = {}
    # Unprefixed names first: where a model is listed both ways, the entry that
    # names its provider wins.
    for key in sorted(models, key=lambda k: (k.startswith(models[k]["provider"] + "/"), k)):
        model = models[key]
        tables = tables_of(model)
        if not tables:
            print(f"no price per token: {key}", file=sys.stderr)
            continue
        source = model.get("source", "")
        name = (PROVIDERS.index(model["provider"]), key.removeprefix(model["provider"] + "/"))
        if name in out and out[name][1] != tables:
            print(f"listed twice, prices differ, taken from: {key}", file=sys.stderr)
        out[name] = (source if re.match(r"https?://\S+$", source) else None, tables)
    return out


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        models = json.load(file, parse_float=Decimal, parse_int=Decimal)
    print(HEADER, end="")
    for (provider, name), (source, tables) in sorted(collect(models).items()):
        base = f"{PROVIDERS[provider]}.{json.dumps(name)}"
        standard = tables.pop((0, ""), {}) | ({"source": source} if source else {})
        for (threshold, tier), prices in {(0, ""): standard, **tables}.items():
            path = [base, f"above_{threshold}k" if threshold else "", tier]
            print(f"\n[{'.'.join(part for part in path if part)}]")
            print("\n".join(f"{kind} = {json.dumps(price)}" for kind, price in prices.items()))


if __name__ == "__main__":
    main()
