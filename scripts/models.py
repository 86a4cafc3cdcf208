#!/usr/bin/env python3
"""Turn a table of published model facts into `conf/models.toml`.

usage: python3 scripts/models.py ../shared/specs/models.json > conf/models.toml

The input is a JSON object of models, each with its `provider`, its `mode`, its
limits and flags `supports_…`. A flag says yes, no, or (where it is not there)
nothing; all three are kept apart. What providers document for whole families,
and the table leaves out, is written down in the functions named after the
providers. Notes on what was passed over go to standard error.
"""

import json
import re
import sys
from typing import Any

PROVIDERS = ("openai", "anthropic", "gemini", "groq", "mistral", "openrouter")
KINDS = {"chat": None, "responses": "responses", "embedding": "embedding"}

# Name of a flag in the input -> capability in the output, in the order printed.
FLAGS = {
    "supports_vision": "image",
    "supports_pdf_input": "pdf",
    "supports_audio_input": "audio",
    "supports_video_input": "video",
    "supports_function_calling": "tools",
    "supports_parallel_function_calling": "parallel_tools",
    "supports_response_schema": "structured_output",
    "supports_assistant_prefill": "prefill",
    "supports_mid_conversation_system": "mid_system",
}
CAPABILITIES = (*FLAGS.values(), "thinking_off", "default_thinking")
EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")

PENALTIES = ["presence_penalty", "frequency_penalty"]
# The guides to OpenAI's reasoning models list these as not supported. A temperature of 1 is the default, and taken.
REASONING = ["temperature_but_1", "top_p", *PENALTIES, "logprobs", "logit_bias"]

# What the table has otherwise than the page of the model.
CORRECTIONS: dict[str, dict[str, Any]] = {
    "gpt-4": {"max_output_tokens": 8192},
    "gpt-4-0613": {"max_output_tokens": 8192},
    "gpt-5-pro": {"reasoning_effort_levels": ["high"]},
    "gpt-5-pro-2025-10-06": {"reasoning_effort_levels": ["high"]},
    "gpt-5.2-pro": {"reasoning_effort_levels": ["medium", "high", "xhigh"]},
    "gpt-5.2-pro-2025-12-11": {"reasoning_effort_levels": ["medium", "high", "xhigh"]},
    "gpt-5.4-pro": {"reasoning_effort_levels": ["medium", "high", "xhigh"]},
    "gpt-5.4-pro-2026-03-05": {"reasoning_effort_levels": ["medium", "high", "xhigh"]},
}

HEADER = """\
# What is known of the providers' models: limits, capabilities, and what a model
# refuses. It is used where a request is translated for a model, and in lists of
# models. What is not said here is not known, and changes nothing.
#
# [<provider>."<model>"]
#   kind                "chat" (default), "responses" (only in OpenAI's Responses API), "embedding"
#   max_input_tokens    how much may go in
#   max_output_tokens   how much may come out, thoughts included
#   dimensions          numbers in an embedding
#   thinking            how it is told how much to think: "none" (it does not think), "budget"
#                       (tokens), "effort" (a word), "adaptive" (a word, or left to the model)
#   efforts             the words that it knows, beside "none"
#   thinking_budget     the least and the most tokens of a budget
#   has, lacks          what it can do, and what it cannot:
#       image pdf audio video    as input
#       tools parallel_tools structured_output
#       prefill                  the answer's beginning as the last message
#       mid_system               instructions among the later messages
#       thinking_off             thinking can be turned off
#       default_thinking         it thinks without being asked to
#   refuses             parameters that make it answer with an error:
#       temperature top_p top_k presence_penalty frequency_penalty logprobs logit_bias stop n
#       seed verbosity
#       temperature_but_1        any temperature but the default
#       forced_tools             the choice of tool is "auto" or "none"
#       top_p_with_temperature   one of the two may be there
#   refuses_thinking    those that it refuses only while it thinks
#   retires             the day on which the provider takes it away
#   source              the page that it is described on, where that is known
#
# A snapshot with a date in its name that is not listed is as its name without the date.
# To override for one deployment, put [model_info.<provider>."<model>"] with the same
# keys into tollgate.toml; a model not listed here is added the same way.
#
# Generated; do not edit. To make it again from a newer table of models:
#   python3 scripts/models.py ../shared/specs/models.json > conf/models.toml
"""

Model = dict[str, Any]


def openai(name: str, raw: Model, out: Model, can: dict[str, bool]) -> None:
    """The o-series and gpt-5 and later think, and take no sampling parameters while they do."""
    name = name.removeprefix("ft:")
    if "-search-" in name:
        out["thinking"] = "none"
        out["refuses"] = ["temperature", *REASONING[1:], "stop", "n", "seed"]
    elif re.match(r"gpt-(3|4|audio)|gpt-5-chat", name) or raw.get("supports_reasoning") is False:
        # A verbosity other than the default is refused.
        out["thinking"] = "none"
        out["refuses"] = ["verbosity"]
    elif raw.get("supports_reasoning"):
        out["thinking"] = "effort"
        gpt = re.match(r"gpt-[5-9]|chat-latest|(gpt-)?daybreak", name) is not None
        refused = list(REASONING) if gpt or re.match(r"o\d", name) else []
        if gpt or re.match(r"o3(?!-mini)|o4", name):
            refused.append("stop")
        off = raw.get("supports_none_reasoning_effort")
        if off is not None or re.match(r"o\d", name):
            can["thinking_off"] = bool(off)
        if off:
            out["refuses_thinking"] = ["temperature_but_1", "top_p", "logprobs"]
            refused = [p for p in refused if p not in out["refuses_thinking"]]
            can["default_thinking"] = raw.get("default_reasoning_effort") != "none"
        out["refuses"] = refused
        if re.match(r"o\d", name) and "deep-research" not in name:
            out["efforts"] = ["low", "medium", "high"]
        elif off is not None:
            # The table names the rare ones that a model has, and the common ones that it has not.
            common = ("low", "medium", "high")
            out["efforts"] = [
                effort
                for effort in EFFORTS
                if raw.get(f"supports_{effort}_reasoning_effort", effort in common)
            ]


def anthropic(name: str, raw: Model, out: Model, can: dict[str, bool]) -> None:
    """Claude up to 4.5 takes a budget, and from 4.6 on thinks as it sees fit."""
    adaptive = raw.get("supports_adaptive_thinking", False)
    out["thinking"] = "adaptive" if adaptive else "budget"
    can["thinking_off"] = not raw.get("thinking_always_on", False)
    if raw.get("supports_output_config"):
        levels = ["low", "medium", "high"]
        levels += [e for e in ("xhigh", "max") if raw.get(f"supports_{e}_reasoning_effort")]
        out["efforts"] = levels
    if raw.get("supports_sampling_params") is False:
        out["refuses"] = ["temperature_but_1", "top_p", "top_k"]
    else:
        # Extended thinking goes with no temperature and top_k, and with no top_p below 0.95.
        out["refuses"] = ["top_p_with_temperature"]
        out["refuses_thinking"] = ["temperature_but_1", "top_p", "top_k"]
        can["default_thinking"] = False
    if raw.get("supports_forced_tool_use") is False:
        out["refuses"].append("forced_tools")
    elif not adaptive:
        # Extended thinking by a budget goes with the choices auto and none only.
        out["refuses_thinking"].append("forced_tools")


def gemini(name: str, raw: Model, out: Model, can: dict[str, bool]) -> None:
    """Gemini 2.5 takes a budget, Gemini 3 and later a level; earlier ones and most of Gemma do not think."""
    if raw.get("supports_sampling_params") is False:
        out["refuses"] = ["temperature", "top_p", "top_k"]
    version = re.match(r"gemini-(\d+)(?:\.(\d+))?-(pro|flash-lite|flash|[a-z]+)", name)
    if re.match(r"gemini-(exp|gemma)|gemma-[123]|learnlm|lyria", name):
        out["thinking"] = "none"
    elif name.startswith("gemma-"):
        out["thinking"] = "effort"
    elif version and raw.get("supports_reasoning"):
        major, minor, size = int(version[1]), int(version[2] or 0), version[3]
        if major >= 3:
            out["thinking"] = "effort"
            can["thinking_off"] = False
            if size == "pro":
                out["efforts"] = ["low", "medium", "high"] if minor else ["low", "high"]
            elif raw.get("supports_minimal_reasoning_effort") is False:
                out["efforts"] = ["low", "medium", "high"]
            elif (major, minor) <= (3, 1):
                out["efforts"] = ["minimal", "low", "medium", "high"]
        elif (major, minor) == (2, 5):
            limits = {"pro": [128, 32768], "flash": [1, 24576], "flash-lite": [512, 24576]}
            out["thinking"] = "budget"
            out["thinking_budget"] = limits[size]
            can["thinking_off"] = size != "pro"
            can["default_thinking"] = size != "flash-lite"


def others(name: str, raw: Model, out: Model, can: dict[str, bool]) -> None:
    """Groq and Mistral: gpt-oss has three efforts and always thinks; Mistral's efforts are in the table."""
    if "gpt-oss" in name:
        out["thinking"] = "effort"
        out["efforts"] = ["low", "medium", "high"]
        can["thinking_off"] = False


FAMILIES = {"openai": openai, "anthropic": anthropic, "gemini": gemini}


def flags(raw: Model) -> dict[str, bool]:
    """What the table says for certain."""
    can = {name: raw[flag] for flag, name in FLAGS.items() if flag in raw}
    # A list of modalities is complete, but for PDF, which it does not name.
    inputs = raw.get("supported_modalities")
    for name in ("image", "audio", "video") if inputs else ():
        can.setdefault(name, name in inputs)
    return can


def model_of(name: str, raw: Model) -> Model:
    """One table of the output, without its source."""
    raw = raw | CORRECTIONS.get(name, {})
    out: Model = {"kind": KINDS[raw["mode"]]}
    can = flags(raw)
    for key in ("max_input_tokens", "max_output_tokens"):
        if raw.get(key):
            out[key] = int(raw[key])
    if raw["mode"] == "embedding":
        out["dimensions"] = raw.get("output_vector_size")
    else:
        FAMILIES.get(raw["provider"], others)(name, raw, out, can)
        if levels := raw.get("reasoning_effort_levels"):
            out["thinking"] = "effort"
            out["efforts"] = [effort for effort in EFFORTS if effort in levels]
            can["thinking_off"] = "none" in levels
    out["has"] = [name for name in CAPABILITIES if can.get(name) is True]
    out["lacks"] = [name for name in CAPABILITIES if can.get(name) is False]
    out["retires"] = raw.get("deprecation_date")
    order = ("kind max_input_tokens max_output_tokens dimensions thinking efforts thinking_budget "
             "has lacks refuses refuses_thinking retires")  # fmt: skip
    return {key: out[key] for key in order.split() if out.get(key)}


def undated(name: str) -> str:
    """`gpt-4o-2024-08-06` and `claude-sonnet-4-5-20250929` without their dates."""
    return re.sub(r"-(\d{4}-\d{2}-\d{2}|\d{8})$", "", name)


def collect(models: dict[str, Model]) -> dict[tuple[int, str], tuple[Model, str]]:
    """Tables and sources by (place of the provider, name on the wire)."""
    out: dict[tuple[int, str], tuple[Model, str]] = {}
    # Unprefixed names first: where a model is listed both ways, the entry that
    # names its provider wins.
    for key in sorted(models, key=lambda k: (k.startswith(models[k]["provider"] + "/"), k)):
        raw = models[key]
        name = key.removeprefix(raw["provider"] + "/")
        if raw["mode"] not in KINDS:
            continue
        if not any(field.startswith(("max_", "supports_")) for field in raw):
            print(f"nothing known: {key}", file=sys.stderr)
            continue
        out[PROVIDERS.index(raw["provider"]), name] = (model_of(name, raw), raw.get("source", ""))
    return {
        (provider, name): entry
        for (provider, name), entry in out.items()
        if undated(name) == name or out.get((provider, undated(name)), ({}, ""))[0] != entry[0]
    }


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        models = json.load(file)
    print(HEADER, end="")
    for (provider, name), (model, source) in sorted(collect(models).items()):
        if re.match(r"https?://\S+$", source):
            model["source"] = source
        print(f"\n[{PROVIDERS[provider]}.{json.dumps(name)}]")
        print("\n".join(f"{key} = {json.dumps(value)}" for key, value in model.items()))


if __name__ == "__main__":
    main()
