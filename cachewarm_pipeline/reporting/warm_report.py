"""The JSON report of `cachewarm warm`: one stable, documented shape. Parts without a measurement are null."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from cachewarm_pipeline.models.usage_prices import EMBEDDING, GENERATION, JUDGING, UsageRow, totals


class Report(TypedDict):
    """DESIGN: keys never go away and never change their type; new ones may come."""

    as_of: str
    generation: str | None  # the live generation after this run
    published: bool  # whether this run's plan is what is live
    blocked_by: list[str]  # names of the gates that stopped it
    reason: str | None  # why it did not publish, or what is wrong after publishing; null when all is well
    loading: dict[str, int] | None  # entries loaded so far, of how many, where loading is progressive and goes on
    budget: int
    entries: dict[str, int]
    plan: dict[str, Any] | None  # what the entries are expected to bring, and what more would
    replay: dict[str, Any] | None
    match_rules: list[dict[str, Any]]
    cost: dict[str, Any]  # what this run paid, by the usage ledger
    savings: dict[str, float | None] | None  # USD a day, days; null where the run did not get so far
    timings: dict[str, float]  # asset to seconds
    counts: dict[str, int]  # left-out reason to rows
    synthetic: dict[str, Any]  # what wrote variants: llm and model null where nothing did; fault null where none
    savings_told: list[str]  # the same in a sentence: expected, and measured where there are counts of a holdout
    dry_run: bool  # whether nothing was to be published or paid; then `planned_cost` says what would be
    planned_cost: dict[str, Any] | None


def build_report(
    *,
    as_of: str,
    generation: str | None,
    published: bool,
    blocked_by: Sequence[str],
    reason: str | None,
    budget: int,
    metadata: Mapping[str, Mapping[str, Any]],
    excluded: Mapping[str, int],
    match_rules: Sequence[Mapping[str, Any]],
    curve: Sequence[Mapping[str, Any]],
    timings: Mapping[str, float],
    seconds: float,
    usage: Sequence[UsageRow] = (),
    prices_as_of: str | None = None,
    planned_cost: dict[str, Any] | None = None,
) -> Report:
    """The report from what the assets recorded.

    ``curve``: rows of PLAN_CURVE. ``metadata`` maps an asset's name to its metadata of this run; ``excluded`` counts
    rows by reason over everything that this run read. ``usage``: rows of USAGE of this run, which the cost is the sum
    of: also where an asset failed after it had paid. Embedding tokens include those of judging answers;
    ``judge_tokens`` are those that a chat model read and wrote to judge. ``planned_cost``: of a dry run.
    """
    plan, variants = metadata.get("warming_plan", {}), metadata.get("synthetic_variants", {})
    cache = metadata.get("cache_entries", {})
    paid = totals(usage)
    written = bool(variants.get("llm")) or paid[GENERATION].tokens > 0
    return Report(
        as_of=as_of,
        generation=generation,
        published=published,
        blocked_by=list(blocked_by),
        reason=reason,
        loading={"loaded": cache["loaded"], "of": cache["of"]}
        if "loaded" in cache and not (published or cache.get("pinned"))
        else None,
        budget=budget,
        entries={
            "total": plan.get("dagster/row_count", 0),
            **{source: plan.get(source, 0) for source in ("golden", "query_log", "synthetic")},
        },
        plan=_plan(plan, curve),
        replay=_replay(metadata.get("replay", {})),
        match_rules=[dict(rule) for rule in match_rules],
        cost={
            "embedding_tokens": paid[EMBEDDING].tokens,
            "embedding_usd": paid[EMBEDDING].usd,
            "generation_tokens": paid[GENERATION].tokens if written else None,
            "generation_usd": paid[GENERATION].usd if written else None,
            "judge_tokens": paid[JUDGING].tokens,
            "judge_usd": paid[JUDGING].usd,
            "seconds": round(seconds, 3),
            "prices_as_of": prices_as_of,
        },
        savings=_savings(metadata.get("net_return", {})),
        timings={asset: round(value, 3) for asset, value in timings.items()},
        counts=dict(sorted(excluded.items(), key=lambda item: -item[1])),
        synthetic={
            "llm": variants.get("llm"),
            "model": variants.get("llm_model"),
            "variants": variants.get("dagster/row_count", 0),
            "fault": variants.get("fault"),
        },
        savings_told=_savings_told(metadata.get("net_return", {})),
        dry_run=planned_cost is not None,
        planned_cost=planned_cost,
    )


_SAVINGS = {
    "per_day_usd": "savings_usd_a_day",
    "per_day_usd_low": "savings_usd_a_day_low",
    "per_day_usd_high": "savings_usd_a_day_high",
    "payback_days": "payback_days",
    "payback_days_low": "payback_days_low",
    "payback_days_high": "payback_days_high",
    "break_even_harm_usd": "break_even_harm_usd",
    "break_even_harm_low_usd": "break_even_harm_low_usd",
}


def _savings(found: Mapping[str, Any]) -> dict[str, float | None] | None:
    """What is expected, and under ``measured_`` what was measured; null where it is not known."""
    if "expected_told" not in found:
        return None
    return {
        **{name: found.get(f"expected_{recorded}") for name, recorded in _SAVINGS.items()},
        **{f"measured_{name}": found.get(f"measured_{recorded}") for name, recorded in _SAVINGS.items()},
        **{name: found.get(name) for name in ("warming_usd", "running_usd_a_day", "wrong_hit_usd")},
    }


def _savings_told(found: Mapping[str, Any]) -> list[str]:
    told = [f"expected: {found['expected_told']}"] if "expected_told" in found else []
    return told + ([f"measured: {found['measured_told']}"] if found.get("days_measured") else [])


_REPLAY = (
    "lookups",
    "hit_rate",
    "exact_hit_rate",
    "semantic_hit_rate",
    "distance_rule_hit_rate",
    "cold_hit_rate",
    "lift",
    "lift_interval",
    "hits",
    "judged_hits",
    "wrong_hits",
    "wrong_hit_rate",
    "wrong_hit_rate_upper",
    "semantic_judged_hits",
    "semantic_wrong_hits",
    "semantic_wrong_hit_rate",
    "semantic_wrong_hit_rate_upper",
)


def _plan(recorded: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Null where the run did not get so far; without a curve where entries were chosen by frequency."""
    if not recorded:
        return None
    told = (
        "selection",
        "places",
        "expected_hits_a_day",
        "expected_hits_a_day_after_first_pass",
        "second_pass_changed",
        "expected_lookups_a_day",
        "next_100",
    )
    shown = ("entries", "plan", "frequency", "random", "planned")
    return {
        **{name: recorded.get(name) for name in told},
        "curve": [{name: row[name] for name in shown} for row in curve],
    }


def _replay(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """The forecast, null where nothing was held out; parts without a measurement are null."""
    if not found.get("lookups"):
        return None
    return {name: found.get(name) for name in _REPLAY}
