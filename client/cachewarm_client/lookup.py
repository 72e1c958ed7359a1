"""The pure parts of a lookup: the keys where its exact answer may be, and which of the found entries may answer it."""

import hashlib
import json
import math
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from cachewarm_client.keys import app_prefix, key_prefix
from cachewarm_client.match_decision import Decision, decide
from cachewarm_client.match_rules import NEIGHBOURS, MatchRules, near_enough
from cachewarm_client.prompt_contradiction import contradiction
from cachewarm_client.redis_search_commands import DISTANCE_FIELD, RULE_VECTORS, STORED_FIELDS, SearchReply, text
from cachewarm_client.text import MAX_PROMPT_CHARS, canonical, cut, entry_id, sha256_hex
from cachewarm_client.words import tokens

_ID_PLACE, _RESPONSE_PLACE = STORED_FIELDS.index("entry_id"), STORED_FIELDS.index("response")

_REQUIRED = ("entry_id", "prompt", "response", "inserted_at", "updated_at")


def app_entry_id(prompt: str, agent_type: str) -> str:
    """Id of an app entry stored by ``store``: a hash of the canonical prompt, as for warmed entries.

    Unlike a warmed entry's id it covers the whole prompt, since applications append the question to a long preamble.
    A prompt whose canonical form is empty ("???") gets RedisVL's id; otherwise all such prompts would share one entry.
    """
    whole = canonical(prompt)
    return sha256_hex(whole, agent_type) if whole else stock_entry_id(prompt, agent_type)


def stock_entry_id(prompt: str, agent_type: str) -> str:
    """Id that RedisVL 0.28 gives ``store(prompt, ..., filters={"agent_type": ...})``: a hash of the exact spelling."""
    return hashlib.sha256(f"{prompt}agent_type{agent_type}".encode("utf-8", "surrogatepass")).hexdigest()


def exact_keys(name: str, generation: str, prompt: str, agent_type: str, app_only: bool = False) -> list[str]:
    """Keys where an entry of exactly this prompt would be, best first: warmed, stored by ``store``, by a stock RedisVL.

    ``app_only``: app entries alone, as the holdout sees them.
    """
    stored, stock = app_entry_id(prompt, agent_type), stock_entry_id(prompt, agent_type)
    app = [app_prefix(name) + each for each in dict.fromkeys([stored, stock])]
    if app_only:
        return app
    if len(prompt) <= MAX_PROMPT_CHARS:  # the app entry's id is then the warmed entry's: hash the prompt once
        warmed = stored if stored != stock else ""
    else:
        warmed = entry_id(prompt, agent_type) if canonical(cut(prompt)) else ""
    return [key_prefix(name, generation) + warmed, *app] if warmed else app


def served_entry(name: str, rows: Sequence[dict[str, Any]]) -> str | None:
    """Id of the warmed entry that answers: the first row's. None on a miss and for an app entry."""
    if not rows or is_app_entry(name, rows[0]["id"]):
        return None
    return str(rows[0]["id"]).rpartition(":")[2]


def exact_row(key: str, values: Sequence[Any]) -> dict[str, Any] | None:
    """The row of an exact entry, from its HMGET of STORED_FIELDS; None where no entry can be served."""
    fields = {field: text(value) for field, value in zip(STORED_FIELDS, values, strict=True) if value is not None}
    return _row(key, {**fields, DISTANCE_FIELD: "0.0"}, "exact")


def is_withdrawn(name: str, key: str, values: Sequence[Any]) -> bool:
    """Whether an exact key's HMGET of STORED_FIELDS shows a warmed entry whose answer was taken out of service."""
    return values[_RESPONSE_PLACE] is None and values[_ID_PLACE] is not None and not is_app_entry(name, key)


@dataclass(frozen=True)
class LookupResult:
    """The result of a vector search."""

    rows: list[dict[str, Any]]
    """Best first; empty on a miss."""
    decision: Decision | None = None
    """A learned rule's decision; None with another rule."""
    pick: str | None = None
    """Key of the warmed entry that the rule picked."""
    withdrawn: bool = False
    """Whether the entry that would have answered was taken out of service."""


def _with_equivalents(
    best: tuple[str, dict[str, str]], warmed: Sequence[tuple[str, dict[str, str]]]
) -> list[tuple[str, dict[str, str]]]:
    """The entry that answers, followed by the others of its answer group."""
    group = best[1]["answer_group"]
    return [best, *(other for other in warmed if other[1]["answer_group"] == group and other[0] != best[0])]


def is_app_entry(name: str, key: str) -> bool:
    """Whether a key is that of an app entry, which belongs to no generation and has no answer group."""
    return key.startswith(app_prefix(name))


def semantic_result(
    name: str,
    rules: MatchRules,
    agent_type: str,
    found: SearchReply,
    *,
    prompt: str | None,
    vector: bytes,
    num_results: int,
    max_distance: float = 2.0,
    allowed: Collection[str] | None = None,
    explain: bool = False,
) -> LookupResult:
    """At most ``num_results`` of the found entries that may answer, best first.

    A ``learned`` rule picks one warmed entry and computes how likely it is right; others of its answer group may
    follow. A ``distance`` rule serves the nearest warmed entry. Where the picked entry is out of service, no other
    warmed entry takes its place.

    App entries have no answer group. They are served by the plain distance alone, and only where their words do not
    contradict the prompt's (cachewarm_client.prompt_contradiction). An app entry whose prompt was cut answers its exact
    prompt only, since a whole family of prompts may share its vector.

    Args:
        name: The cache's name.
        rules: The match rules of the live generation.
        agent_type: The lookup's agent_type.
        found: The nearest entries.
        prompt: The lookup's prompt; None for a lookup by vector alone, which no learned rule can decide.
        vector: The lookup's vector as float32 bytes.
        num_results: How many rows the caller wants.
        max_distance: Largest cosine distance that the caller allows.
        allowed: Keys that the caller's own filter allows; None without a filter.
        explain: Whether the decision contains its parts.
    """
    rule = rules.for_agent_type(agent_type)
    served: list[tuple[str, dict[str, str]]] = []
    decision = pick = None
    withdrawn = False
    warmed = [(key, fields) for key, fields in found.rows if not is_app_entry(name, key) and "answer_group" in fields]
    if rule.model and prompt is not None:
        seen = warmed[:NEIGHBOURS]  # as many as it was fitted on, however many results are wanted
        if seen:
            decision = decide(
                rule.model,
                rules.space,
                rules.words,
                cut(prompt),
                np.frombuffer(vector, "<f4"),
                [1 - _distance(fields) for _, fields in seen],
                [fields["answer_group"] for _, fields in seen],
                [fields.get("prompt", "") for _, fields in seen],
                [fields.get(RULE_VECTORS, "") for _, fields in seen],
                explain,
            )
            pick = seen[decision.place][0]
            if decision.score >= rule.score_threshold:
                served = _with_equivalents(seen[decision.place], warmed)
    elif warmed and near_enough(rule, _distance(warmed[0][1])):
        pick = warmed[0][0]
        served = _with_equivalents(warmed[0], warmed)  # the nearest is what was certified
    if served and _lacks_its_response(served[0][1]):
        served, withdrawn = [], True  # others of its answer group may give the same wrong answer
    words = None
    app_served = False
    for key, fields in found.rows:
        if not is_app_entry(name, key) or not near_enough(rule, _distance(fields)):
            continue
        stored = fields.get("prompt", "")
        if len(stored) >= MAX_PROMPT_CHARS:
            continue
        if prompt is not None:
            words = words or tokens(cut(prompt))  # computed late: few lookups have an app entry this near
            if contradiction(words, tokens(stored)):
                continue
        served.append((key, fields))
        app_served = True
    if app_served:  # the nearest first: an app entry may have this very question
        served.sort(key=lambda pair: _distance(pair[1]))
    rows = [
        row
        for key, fields in served
        if _distance(fields) <= max_distance and (allowed is None or key in allowed)
        if (row := _row(key, fields, "semantic"))
    ]
    return LookupResult(rows[:num_results], decision, pick, withdrawn)


def explanation(rules: MatchRules, agent_type: str, result: LookupResult, found: SearchReply) -> dict[str, Any]:
    """Why a lookup without an exact hit is a semantic hit or a miss; WarmedSemanticCache.explain describes the keys."""
    rule = rules.for_agent_type(agent_type)
    decision = result.decision
    return {
        "match": "semantic" if result.rows else "withdrawn" if result.withdrawn else "miss",
        "rule": rule.rule,
        "rule_rests_on": rule.why,
        "confidence": decision and 1 / (1 + math.exp(-decision.score)),
        "score": decision and decision.score,
        "threshold": rule.score_threshold if rule.rule == "learned" else None,
        "distance_threshold": rule.distance_threshold,
        "picked": result.pick,
        "base": decision and decision.score - sum(effect for _, _, effect in decision.parts),
        "parts": [
            {"feature": feature, "value": value, "effect": effect}
            for feature, value, effect in (decision.parts if decision else ())
        ],
        "words": [{"word": word, "weight": weight} for word, weight in (decision.words if decision else ())],
        "neighbours": [
            {
                "id": key,
                "prompt": fields.get("prompt", ""),
                "distance": _distance(fields),
                "answer_group": fields.get("answer_group"),
                "withdrawn": _lacks_its_response(fields),
            }
            for key, fields in found.rows
        ],
    }


def _lacks_its_response(fields: dict[str, str]) -> bool:
    """Whether the fields are those of a warmed entry whose answer was taken out of service."""
    return "answer_group" in fields and "response" not in fields


def _distance(fields: dict[str, str]) -> float:
    return float(fields.get(DISTANCE_FIELD, "nan"))


def _row(key: str, fields: dict[str, str], match: str) -> dict[str, Any] | None:
    """The fields as a RedisVL result row, with the key as ``id``.

    None for an entry that RedisVL would skip: an application may store anything under its prefix.
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
    row.pop(RULE_VECTORS, None)
    with suppress(KeyError, ValueError):
        row["quality_score"] = float(fields["quality_score"])
    return row
