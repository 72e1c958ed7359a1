"""What was measured, as rows of WARMING_IMPACT."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from cachewarm_client.counters import WARMED_ARM

from cachewarm_pipeline.measurement.lift.holdout_lift import Lift
from cachewarm_pipeline.measurement.lift.measured_impact import APPLICATION, NO_EFFECT, MeasuredImpact, PlainHitRate
from cachewarm_pipeline.planning.entry_selection import SOURCES
from cachewarm_pipeline.storage.measurement_schemas import WARMING_IMPACT


def impact_table(found: MeasuredImpact, before: PlainHitRate, after: PlainHitRate) -> pa.Table:
    """WARMING_IMPACT: every figure that a page or a report shows, so that none has to be computed again.

    ``before``: from the log before the first plan. ``after``: from the counters, or from the log if no reader counts.
    """
    empty = dict.fromkeys(WARMING_IMPACT.names)
    zeros = dict.fromkeys(("hits", "lookups", "warmed_hits", "warmed_lookups", "holdout_hits", "holdout_lookups"), 0)
    rows = [{**empty, **zeros, "name": "", "days": len(found.days), "why": "", **row} for row in _rows(found)]
    for scope, plain in (("before", before), ("after", after)):
        why = plain.why or (NO_EFFECT if scope == "after" else "")
        rows.append({**empty, **zeros, "scope": scope, "name": "", "days": plain.days, "why": why, **_plain(plain)})
    return pa.Table.from_pylist(rows, schema=WARMING_IMPACT)


def _plain(plain: PlainHitRate) -> dict[str, Any]:
    return {"hits": plain.hits, "lookups": plain.lookups, "hit_rate": plain.hit_rate}


def _rows(found: MeasuredImpact) -> Iterator[dict[str, Any]]:
    total, impact = found.counts_of(WARMED_ARM), found.impact
    yield {"scope": "total", **_rate(total.hits, total.lookups), **_lift(impact.total), "why": found.why}
    for name in found.agent_types:
        counts, lift = found.counts_of(WARMED_ARM, name), impact.agent_types.get(name)
        lift_columns = _lift(lift) if lift else {"why": found.why}
        yield {"scope": "agent_type", "name": name, **_rate(counts.hits, counts.lookups), **lift_columns}
    if impact.rest:
        yield {
            "scope": "rest",
            **_lift(impact.rest),
            "hits": impact.rest.warmed_hits,
            "lookups": impact.rest.warmed_lookups,
        }
    for row, day in zip(found.compared, found.days, strict=True):
        arms: dict[str, int] = {}
        for count in day.counts:
            for what, number in (("hits", count.hits), ("lookups", count.lookups)):
                arms[f"{count.arm}_{what}"] = arms.get(f"{count.arm}_{what}", 0) + number
        hits, lookups = (sum(one[n] for (arm, _), one in day.lookups.items() if arm == WARMED_ARM) for n in (0, 1))
        yield {
            "scope": "day",
            "name": row.day.isoformat(),
            "days": 1,
            **_rate(hits, lookups),
            **arms,
            "holdout_hit_rate": arms["holdout_hits"] / arms["holdout_lookups"] if arms.get("holdout_lookups") else None,
            "lift": row.lift,
            "lift_low": row.low,
            "lift_high": row.high,
            "basis": "buckets" if row.low is not None else None,
            "generation": day.generation,
            "forecast_hit_rate": row.forecast_hit_rate,
            "forecast_lift": row.forecast_lift,
            "inside": row.inside,
            "why": row.why if day.counts else found.why,
        }
    yield from _sources(found)


def _sources(found: MeasuredImpact) -> Iterator[dict[str, Any]]:
    every = found.counts_of()
    by_app_entries = every.hits - every.warmed_hits
    hits: dict[str, int] = {**dict.fromkeys(SOURCES, 0), **found.sources, APPLICATION: by_app_entries}
    whole = sum(hits.values())
    for source, number in hits.items():
        share = number / whole if whole else None
        yield {"scope": "source", "name": source, "hits": number, "lookups": every.lookups, "share": share}


def _rate(hits: int, lookups: int) -> dict[str, Any]:
    return {"hits": hits, "lookups": lookups, "hit_rate": hits / lookups if lookups else None}


def _lift(lift: Lift) -> dict[str, Any]:
    return {
        "warmed_hits": lift.warmed_hits,
        "warmed_lookups": lift.warmed_lookups,
        "holdout_hits": lift.holdout_hits,
        "holdout_lookups": lift.holdout_lookups,
        "holdout_hit_rate": lift.holdout_hit_rate,
        "lift": lift.lift,
        "lift_low": lift.low,
        "lift_high": lift.high,
        "basis": lift.basis,
        "why": lift.why,
    }
