"""The JSON report of `cachewarm warm`: one stable, documented shape. Parts without a measurement are null."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict


class Report(TypedDict):
    """DESIGN: keys never go away and never change their type; new ones may come."""

    as_of: str
    generation: str | None  # the live generation after this run
    published: bool  # whether this run's plan is what is live
    blocked_by: list[str]  # names of the gates that stopped it
    reason: str | None  # why it did not publish, or what is wrong after publishing; null when all is well
    budget: int
    entries: dict[str, int]
    replay: dict[str, Any] | None
    match_rules: list[dict[str, Any]]
    cost: dict[str, float | int | None]
    savings: dict[str, float | None] | None
    timings: dict[str, float]  # asset to seconds
    counts: dict[str, int]  # left-out reason to rows


def build_report(
    *,
    as_of: str,
    generation: str | None,
    published: bool,
    blocked_by: Sequence[str],
    reason: str | None,
    budget: int,
    metadata: Mapping[str, Mapping[str, Any]],
    left_out: Mapping[str, int],
    match_rules: Sequence[Mapping[str, Any]],
    timings: Mapping[str, float],
    seconds: float,
) -> Report:
    """The report from what the assets recorded.

    ``metadata`` maps an asset's name to its metadata of this run; ``left_out`` counts rows
    by reason over everything that this run read. Embedding tokens include those of judging answers.
    """
    plan = metadata.get("warming_plan", {})
    embeddings = metadata.get("embeddings", {})
    judged = metadata.get("frequent_queries", {})
    return Report(
        as_of=as_of,
        generation=generation,
        published=published,
        blocked_by=list(blocked_by),
        reason=reason,
        budget=budget,
        entries={
            "total": plan.get("dagster/row_count", 0),
            **{source: plan.get(source, 0) for source in ("golden", "query_log", "synthetic")},
        },
        replay=None,
        match_rules=[dict(rule) for rule in match_rules],
        cost={
            "embedding_tokens": embeddings.get("tokens", 0) + judged.get("judge_tokens", 0),
            "embedding_usd": embeddings.get("usd", 0.0) + judged.get("judge_usd", 0.0),
            "generation_tokens": None,
            "generation_usd": None,
            "seconds": round(seconds, 3),
        },
        savings=None,
        timings={asset: round(value, 3) for asset, value in timings.items()},
        counts=dict(sorted(left_out.items(), key=lambda item: -item[1])),
    )
