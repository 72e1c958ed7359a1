"""A lookup's pure parts: which keys may hold its exact answer, and which of the found entries may answer it."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from cachewarm_pipeline.core.generation import app_prefix, key_prefix
from cachewarm_pipeline.core.match import MatchRule, decide
from cachewarm_pipeline.core.search import DISTANCE_FIELD, STORED_FIELDS, Found, text
from cachewarm_pipeline.core.text import MAX_PROMPT_CHARS, canonical, cut, entry_id, sha256_hex
from cachewarm_pipeline.core.words import contradiction, tokens

_REQUIRED = ("entry_id", "prompt", "response", "inserted_at", "updated_at")


def own_entry_id(prompt: str, agent_type: str) -> str:
    """Id under which our ``store`` keeps an application's answer: the canonical prompt's, as warmed entries have it.

    Of the whole prompt, unlike a warmed entry's: what an application appends to a long preamble is its question.
    A prompt of which nothing is left in canonical form ("???") keeps RedisVL's own id, or all such would be one.
    """
    whole = canonical(prompt)
    return sha256_hex(whole, agent_type) if whole else stock_entry_id(prompt, agent_type)


def stock_entry_id(prompt: str, agent_type: str) -> str:
    """Id that RedisVL 0.28 gives ``store(prompt, ..., filters={"agent_type": ...})``: of the exact spelling."""
    return hashlib.sha256(f"{prompt}agent_type{agent_type}".encode("utf-8", "surrogatepass")).hexdigest()


def exact_keys(name: str, generation: str, prompt: str, agent_type: str) -> list[str]:
    """Keys where an entry of exactly this prompt would be, best first: warmed, ours, a stock writer's."""
    own, stock = own_entry_id(prompt, agent_type), stock_entry_id(prompt, agent_type)
    app = [app_prefix(name) + each for each in dict.fromkeys([own, stock])]
    return [key_prefix(name, generation) + entry_id(prompt, agent_type), *app] if canonical(cut(prompt)) else app


def exact_row(key: str, values: Sequence[Any]) -> dict[str, Any] | None:
    """An exact entry's row from its HMGET of STORED_FIELDS; None where there is no entry that can be served."""
    fields = {field: text(value) for field, value in zip(STORED_FIELDS, values, strict=True) if value is not None}
    return _row(key, {**fields, DISTANCE_FIELD: "0.0"}, "exact")


def semantic_rows(
    name: str, rule: MatchRule, found: Found, strictest: float, prompt: str | None, num_results: int
) -> list[dict[str, Any]]:
    """At most ``num_results`` of the found entries, nearest first, that the rule and ``strictest`` let answer.

    An entry whose words contradict the prompt's (core.words) may not, however near it is. A lookup by vector alone
    has no words to compare. An entry of the application's own whose prompt was cut answers its exact prompt only: its
    vector is of the beginning, which a whole family of prompts may share.
    """
    words = tokens(cut(prompt)) if prompt is not None else None
    rows: list[dict[str, Any]] = []
    for key, fields in found.rows:
        distance = float(fields.get(DISTANCE_FIELD, "nan"))
        if len(rows) == num_results or not (decide(rule, distance) and distance <= strictest):
            continue
        stored = fields.get("prompt", "")
        if len(stored) >= MAX_PROMPT_CHARS and key.startswith(app_prefix(name)):
            continue
        if words is not None and contradiction(words, tokens(stored)):
            continue
        if row := _row(key, fields, "semantic"):
            rows.append(row)
    return rows


def _row(key: str, fields: dict[str, str], match: str) -> dict[str, Any] | None:
    """Fields as RedisVL's own result rows have them, with the key as ``id``.

    None for an entry that RedisVL would skip: an application may store what it likes under its prefix.
    """
    try:
        usable = all(name in fields for name in _REQUIRED) and isinstance(
            json.loads(fields.get("metadata", "{}")), dict
        )
    except ValueError:
        usable = False
    if not usable:
        return None
    row: dict[str, Any] = {"id": key, **fields, "match": match}
    with suppress(KeyError, ValueError):
        row["quality_score"] = float(fields["quality_score"])
    return row
