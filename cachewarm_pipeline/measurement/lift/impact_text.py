"""What was measured, as WARMING_IMPACT and in sentences."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from cachewarm_client.counters import WARMED_ARM

from cachewarm_pipeline.measurement.lift.holdout_lift import Lift
from cachewarm_pipeline.measurement.lift.measured_impact import APPLICATION, NO_EFFECT, Measured, Plain
from cachewarm_pipeline.planning.entry_selection import SOURCES
from cachewarm_pipeline.storage.measurement_schemas import WARMING_IMPACT


def impact_table(found: Measured, before: Plain, after: Plain) -> pa.Table:
    """WARMING_IMPACT: all that a page or a report shows, nothing to be computed again.

    ``before``: of the log before the first plan; ``after``: of the counters, or of the log where nobody counts.
    """
    empty = dict.fromkeys(WARMING_IMPACT.names)
    zeros = dict.fromkeys(("hits", "lookups", "warmed_hits", "warmed_lookups", "holdout_hits", "holdout_lookups"), 0)
    rows = [{**empty, **zeros, "name": "", "days": len(found.days), "why": "", **row} for row in _rows(found)]
    for scope, plain in (("before", before), ("after", after)):
        why = plain.why or (NO_EFFECT if scope == "after" else "")
        rows.append({**empty, **zeros, "scope": scope, "name": "", "days": plain.days, "why": why, **_plain(plain)})
    return pa.Table.from_pylist(rows, schema=WARMING_IMPACT)


def _plain(plain: Plain) -> dict[str, Any]:
    return {"hits": plain.hits, "lookups": plain.lookups, "hit_rate": plain.hit_rate}


def _rows(found: Measured) -> Iterator[dict[str, Any]]:
    total, impact = found.of(WARMED_ARM), found.impact
    yield {"scope": "total", **_rate(total.hits, total.lookups), **_lift(impact.total), "why": found.why}
    for name in found.agent_types:
        own, lift = found.of(WARMED_ARM, name), impact.agent_types.get(name)
        why = {} if lift else {"why": found.why}
        told = {**_rate(own.hits, own.lookups), **(_lift(lift) if lift else {}), **why}
        yield {"scope": "agent_type", "name": name, **told}
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
        hits, lookups = (sum(one[n] for (arm, _), one in day.asked.items() if arm == WARMED_ARM) for n in (0, 1))
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


def _sources(found: Measured) -> Iterator[dict[str, Any]]:
    every = found.of()
    own = every.hits - every.warmed_hits
    hits: dict[str, int] = {**dict.fromkeys(SOURCES, 0), **found.sources, APPLICATION: own}
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


def lift_sentence(found: Measured) -> str:
    """One sentence: what warming added, or what is missing to tell."""
    total, every = found.impact.total, found.of(WARMED_ARM)
    rate = f"{every.hits / every.lookups:.1%} of {every.lookups:,} lookups hit; " if every.lookups else ""
    if total.lift is None:
        return f"{rate}no lift: {found.why}"
    span = (
        f" ({_points(total.low)} to {_points(total.high)})" if total.low is not None and total.high is not None else ""
    )
    days = f"{len(found.days)} day{'s' if len(found.days) != 1 else ''}"
    why = f"; {found.why}" if found.why else ""
    return (
        f"warming adds {_points(total.lift)} points{span} to the hit rate: {total.warmed_hit_rate or 0:.1%} of "
        f"{total.warmed_lookups:,} lookups against {total.holdout_hit_rate or 0:.1%} of {total.holdout_lookups:,} "
        f"that a cold cache that everybody fills would hit, in {days}{why}"
    )


def before_after_sentence(before: Plain, after: Plain) -> str:
    """One sentence with the plain rates, and why they are not the effect."""
    told = [
        f"{when} {plain.hit_rate:.1%}" if plain.hit_rate is not None else f"{when} not known ({plain.why})"
        for when, plain in (("before", before), ("after", after))
    ]
    return f"{', '.join(told)}: {NO_EFFECT}"


def forecast_sentence(found: Measured) -> str:
    """One sentence: how far the hit rate was from the forecast, and on how many days the lift's interval holds it."""
    off = [row.off for row in found.compared if row.off is not None]
    if not off:
        return "no day has both a forecast and lookups"
    inside = [row.inside for row in found.compared if row.inside is not None]
    told = f"the hit rate was {_points(sum(off) / len(off))} points off the forecast on average of {len(off)} days"
    return f"{told}; the forecast lift lies in the interval of {sum(inside)} of {len(inside)} days" if inside else told


def _points(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:+.1f}"
