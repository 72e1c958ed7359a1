"""A lookup's pure parts: which keys may hold its exact answer, and which of the found entries may answer it."""

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
from cachewarm_client.redis_search_commands import DISTANCE_FIELD, RULE_VECTORS, STORED_FIELDS, SearchReply, text
from cachewarm_client.text import MAX_PROMPT_CHARS, canonical, cut, entry_id, sha256_hex
from cachewarm_client.words import contradiction, tokens

_ENTRY_ID, _RESPONSE = STORED_FIELDS.index("entry_id"), STORED_FIELDS.index("response")

_REQUIRED = ("entry_id", "prompt", "response", "inserted_at", "updated_at")


def app_entry_id(prompt: str, agent_type: str) -> str:
    """Id under which our ``store`` keeps an application's answer: the canonical prompt's, as warmed entries have it.

    Of the whole prompt, unlike a warmed entry's: what an application appends to a long preamble is its question.
    A prompt of which nothing is left in canonical form ("???") keeps RedisVL's own id, or all such would be one.
    """
    whole = canonical(prompt)
    return sha256_hex(whole, agent_type) if whole else stock_entry_id(prompt, agent_type)


def stock_entry_id(prompt: str, agent_type: str) -> str:
    """Id that RedisVL 0.28 gives ``store(prompt, ..., filters={"agent_type": ...})``: of the exact spelling."""
    return hashlib.sha256(f"{prompt}agent_type{agent_type}".encode("utf-8", "surrogatepass")).hexdigest()


def exact_keys(name: str, generation: str, prompt: str, agent_type: str, own_only: bool = False) -> list[str]:
    """Keys where an entry of exactly this prompt would be, best first: warmed, ours, a stock writer's.

    ``own_only``: of the application's own alone, as the holdout sees them.
    """
    own, stock = app_entry_id(prompt, agent_type), stock_entry_id(prompt, agent_type)
    app = [app_prefix(name) + each for each in dict.fromkeys([own, stock])]
    if own_only:
        return app
    if len(prompt) <= MAX_PROMPT_CHARS:  # then both ids are of one text, which is made once
        warmed = own if own != stock else ""
    else:
        warmed = entry_id(prompt, agent_type) if canonical(cut(prompt)) else ""
    return [key_prefix(name, generation) + warmed, *app] if warmed else app


def served_entry(name: str, rows: Sequence[dict[str, Any]]) -> str | None:
    """Id of the warmed entry that answers: the first row's. None on a miss, and for one of the application's own."""
    if not rows or is_own(name, rows[0]["id"]):
        return None
    return str(rows[0]["id"]).rpartition(":")[2]


def exact_row(key: str, values: Sequence[Any]) -> dict[str, Any] | None:
    """An exact entry's row from its HMGET of STORED_FIELDS; None where there is no entry that can be served."""
    fields = {field: text(value) for field, value in zip(STORED_FIELDS, values, strict=True) if value is not None}
    return _row(key, {**fields, DISTANCE_FIELD: "0.0"}, "exact")


def is_withdrawn(name: str, key: str, values: Sequence[Any]) -> bool:
    """Whether an exact key's HMGET of STORED_FIELDS is that of a warmed entry whose answer was taken out of service."""
    return values[_RESPONSE] is None and values[_ENTRY_ID] is not None and not is_own(name, key)


@dataclass(frozen=True)
class LookupResult:
    """What a vector query led to. ``rows``: best first, empty on a miss. ``decision``: of a learned rule, where one was
    asked; ``pick``: the key of the entry that it was about; ``withdrawn``: that entry's answer is out of service."""

    rows: list[dict[str, Any]]
    decision: Decision | None = None
    pick: str | None = None
    withdrawn: bool = False


def _with_equivalents(
    best: tuple[str, dict[str, str]], warmed: Sequence[tuple[str, dict[str, str]]]
) -> list[tuple[str, dict[str, str]]]:
    """The entry that answers, then the others of its answer group."""
    group = best[1]["answer_group"]
    return [best, *(other for other in warmed if other[1]["answer_group"] == group and other[0] != best[0])]


def is_own(name: str, key: str) -> bool:
    """Whether a key is one of the application's own entries: no generation holds it, no answer group is known."""
    return key.startswith(app_prefix(name))


def semantic(
    name: str,
    rules: MatchRules,
    agent_type: str,
    found: SearchReply,
    *,
    prompt: str | None,
    vector: bytes,
    num_results: int,
    strictest: float = 2.0,
    allowed: Collection[str] | None = None,
    explain: bool = False,
) -> LookupResult:
    """At most ``num_results`` of the found entries that may answer, best first.

    A ``learned`` rule picks one warmed entry and says how surely it is right; others of its answer group may follow.
    A certified ``distance`` serves the nearest; an uncertified one (rules of version 1) all that are near. The
    application's own entries have no answer group, so they are served by the certified distance alone, and only where
    their words do not contradict the prompt's (cachewarm_client.words); one whose prompt was cut answers its exact
    prompt only, since a whole family of prompts may share its vector. Where the entry that the rule picks is out of
    service, no other warmed one takes its place. ``allowed``: keys that a caller's own filter lets through;
    ``strictest``: the largest distance that the caller allows.
    """
    rule = rules.for_agent_type(agent_type)
    served: list[tuple[str, dict[str, str]]] = []
    decision = pick = None
    withdrawn = False
    warmed = [(key, fields) for key, fields in found.rows if not is_own(name, key) and "answer_group" in fields]
    if rule.model and prompt is not None:
        seen = warmed[:NEIGHBOURS]  # as many as it was fitted on, however many results are asked for
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
    elif rule.certified and warmed and near_enough(rule, _distance(warmed[0][1])):
        pick = warmed[0][0]
        served = _with_equivalents(warmed[0], warmed)  # the nearest is what was certified
    if served and _is_out(served[0][1]):
        served, withdrawn = [], True  # others of its answer group may give the same wrong answer
    any_warmed = False
    words = None
    for key, fields in found.rows:
        own = is_own(name, key)
        if not near_enough(rule, _distance(fields)) or not (own or (rule.rule == "distance" and not rule.certified)):
            continue
        stored = fields.get("prompt", "")
        if own and len(stored) >= MAX_PROMPT_CHARS:
            continue
        if prompt is not None:
            words = words or tokens(cut(prompt))  # few lookups have an entry that comes so far
            if contradiction(words, tokens(stored)):
                continue
        withdrawn |= not own and _is_out(fields) and not any_warmed
        any_warmed |= not own
        if own or not withdrawn:
            served.append((key, fields))
    if any(is_own(name, key) for key, _ in served):  # the surest is the nearest: an own entry may be the very question
        served.sort(key=lambda pair: _distance(pair[1]))
    rows = [
        row
        for key, fields in served
        if _distance(fields) <= strictest and (allowed is None or key in allowed)
        if (row := _row(key, fields, "semantic"))
    ]
    return LookupResult(rows[:num_results], decision, pick, withdrawn)


def explanation(rules: MatchRules, agent_type: str, looked: LookupResult, found: SearchReply) -> dict[str, Any]:
    """Why a lookup without an exact hit was served, or not: the rule, its score and its parts, and the neighbours."""
    rule = rules.for_agent_type(agent_type)
    decision = looked.decision
    return {
        "match": "semantic" if looked.rows else "withdrawn" if looked.withdrawn else "miss",
        "rule": rule.rule,
        "rule_rests_on": rule.why,
        "confidence": decision and 1 / (1 + math.exp(-decision.score)),
        "score": decision and decision.score,
        "threshold": rule.score_threshold if rule.rule == "learned" else None,
        "distance_threshold": rule.distance_threshold,
        "picked": looked.pick,
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
                "withdrawn": _is_out(fields),
            }
            for key, fields in found.rows
        ],
    }


def _is_out(fields: dict[str, str]) -> bool:
    """Whether found fields are those of a warmed entry whose answer was taken out of service."""
    return "answer_group" in fields and "response" not in fields


def _distance(fields: dict[str, str]) -> float:
    return float(fields.get(DISTANCE_FIELD, "nan"))


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
    row.pop(RULE_VECTORS, None)
    with suppress(KeyError, ValueError):
        row["quality_score"] = float(fields["quality_score"])
    return row
