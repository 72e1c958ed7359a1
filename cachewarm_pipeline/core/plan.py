"""The warming plan: which candidates become entries, in which order, and why the others do not."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from cachewarm_pipeline.core.errors import ConfigurationError
from cachewarm_pipeline.core.reasons import Counts, LeftOut
from cachewarm_pipeline.core.responses import canonical_response
from cachewarm_pipeline.core.schemas import CANDIDATE_FIELDS, WARMING_PLAN, conform
from cachewarm_pipeline.core.text import embedding_key, sha256_hex

SOURCES = ("golden", "query_log", "synthetic")
"""Order of admission, as the seed warms: best answers first, then what users ask, then what they may ask."""

_CANDIDATE_COLUMNS = [field.name for field in CANDIDATE_FIELDS]


def answer_group(agent_type: str, response: str) -> str:
    """Id of the group of equivalent answers under the `exact` judge: 16 hex characters."""
    return sha256_hex(agent_type, canonical_response(response))[:16]


def build_plan(
    candidates: Sequence[pa.Table],
    *,
    model_id: str,
    embedded: set[str],
    floors: Mapping[str, float],
    budget: int,
) -> tuple[pa.Table, Counts]:
    """Union of the candidate tables, gated by quality, one entry a canonical prompt and agent_type, cut at the budget.

    ``candidates`` come in the order of admission, each best first; ``floors`` is the lowest quality_score a source.
    A prompt that two sources know is warmed once: with the first source's answer and the highest demand of all.
    ``embedded`` are the embedding keys that have vectors. Memory: the candidates once.

    Returns a ``WARMING_PLAN`` table by rank, and the counts of what was left out.
    Raises ConfigurationError for a budget below 1.
    """
    if budget < 1:
        raise ConfigurationError(f"the budget is {budget}; it must be at least 1 entry (CACHEWARM_BUDGET or --budget)")
    left_out = Counts()
    chosen: dict[str, dict[str, Any]] = {}
    for table in candidates:
        for row in table.select(_CANDIDATE_COLUMNS).to_pylist():
            kept = chosen.get(row["entry_id"])
            if kept is not None:
                kept["demand"] = max(kept["demand"], row["demand"])
                if kept["cost_usd"] is None:
                    kept["cost_usd"] = row["cost_usd"]
                left_out[LeftOut.DUPLICATE_PROMPT] += 1
            elif row["quality_score"] < floors[row["source"]]:
                left_out[LeftOut.LOW_QUALITY] += 1
            elif (key := embedding_key(model_id, row["prompt"])) not in embedded:
                left_out[LeftOut.NO_EMBEDDING] += 1
            elif len(chosen) >= budget:
                left_out[LeftOut.OVER_BUDGET] += 1
            else:
                group = answer_group(row["agent_type"], row["response"])
                chosen[row["entry_id"]] = {**row, "answer_group": group, "embedding_key": key, "rank": len(chosen)}
    plan = pa.Table.from_pylist(list(chosen.values()), schema=WARMING_PLAN)
    return conform("warming_plan", plan), left_out


def plan_hash(plan: pa.Table, rules: Mapping[str, Any]) -> str:
    """Hash of all that a generation of this plan holds: entries in order and match rules. Equal hash, equal cache."""
    stored = [
        "entry_id",
        "prompt",
        "response",
        "source",
        "quality_score",
        "answer_group",
        "embedding_key",
        "provenance",
    ]
    rows = plan.select(stored).to_pylist()
    return sha256_hex(json.dumps(rows, sort_keys=True), json.dumps(rules, sort_keys=True))
