"""What the days of a replay add up to: rates, lift over a cold cache and bounds of the wrong-hit rate, and the curve
that shows what another threshold would have done."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cachewarm_pipeline.numerics import binomial_bounds as binomial
from cachewarm_pipeline.proof.replay_simulation import COUNTS

Floats = NDArray[np.float64]

RESAMPLES = 2000
"""Of the days: the ends of the interval then move by less than a fiftieth of its width from seed to seed."""

_T975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
"""97.5% quantiles of Student's t with 1 to 30 degrees of freedom; for more, the last one is on the safe side."""

CURVE_POINTS = 200
"""Of a curve at most: more than a plot of 700 pixels shows."""


def summary(rows: pa.Table, decisions: pa.Table, *, delta: float, seed: int) -> dict[str, Any]:
    """The report's ``replay`` object of all agent types together, and under ``agent_types`` the same of each.

    ``rows``: REPLAY; ``decisions``: REPLAY_DECISIONS of the same replay. Rates are of ``lookups``, null without any:
    ``hit_rate`` of the warmed cache with what it stored itself (the part that warmed entries served is
    ``exact_hit_rate`` + ``semantic_hit_rate``), ``distance_rule_hit_rate`` of warmed entries under a stock reader.
    ``lift`` = hit_rate - cold_hit_rate, ``lift_interval`` see there. ``hits`` are those of warmed entries;
    ``judged_hits`` logged answers were compared, ``wrong_hits`` of them differ, and ``wrong_hit_rate`` is their ratio,
    null without a judged one. ``_lower`` and ``_upper``: each holds with confidence 1 - delta (effective_bounds over
    distinct queries). ``semantic_...``: the same of semantic hits alone.

    Raises ValueError for rows and decisions that are not of one replay.
    """
    names = sorted(pc.unique(rows["agent_type"]).to_pylist())
    known = pc.unique(decisions["agent_type"]).to_pylist()
    if not set(known) <= set(names):
        raise ValueError(f"replay: decisions of {sorted(set(known) - set(names))}, which have no row")
    parts = {
        name: _summary(
            rows.filter(pc.equal(rows["agent_type"], name)),
            decisions.filter(pc.equal(decisions["agent_type"], name)),
            name,
            delta,
            seed,
        )
        for name in names
    }
    return {**_summary(rows, decisions, "all", delta, seed), "agent_types": parts}


def lift_interval(gain: Iterable[float], lookups: Iterable[int], seed: int) -> list[float] | None:
    """95% interval [lo, hi] of the lift, by a bootstrap over days; None with fewer than two days that have lookups.

    ``gain``: warmed - cold hits of each day. A day is drawn whole, since its lookups are not independent, and the lift
    of a draw is the ratio of sums (all gain / all lookups), so that a busy day weighs more. The plain percentile
    interval is too narrow for few days: it covered 53%, 87% and 90% at 2, 7 and 14 days of normal daily lifts. So its
    ends are pushed from the estimate by Student's t over the normal quantile and by sqrt(n / (n - 1)): 94%, 94% and
    94% (88% at 7 days where daily lifts are skewed). It speaks of days like these: a later month may differ by more.
    """
    pairs = np.array([(g, n) for g, n in zip(gain, lookups, strict=True) if n > 0], np.float64).reshape(-1, 2)
    days = len(pairs)
    if days < 2:
        return None
    drawn = pairs[np.random.default_rng(seed).integers(0, days, (RESAMPLES, days))].sum(1)
    lift = pairs[:, 0].sum() / pairs[:, 1].sum()
    ends = np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975))
    wider = _T975[min(days - 2, len(_T975) - 1)] / 1.960 * (days / (days - 1)) ** 0.5
    low, high = np.clip(lift + (ends - lift) * wider, -1.0, 1.0)
    return [float(low), float(high)]


@dataclass(frozen=True)
class Curve:
    """Precision against hit rate as a threshold loosens, strictest first; all of shape (p,), p <= CURVE_POINTS."""

    threshold: Floats
    hit_rate: Floats
    precision: Floats


def curve(score: Floats, right_weight: Floats, wrong_weight: Floats, lookups_total: float) -> Curve:
    """What each threshold would serve: a query is a hit where its score >= threshold.

    One row for each distinct query, all (m,): ``right_weight`` and ``wrong_weight`` are its lookups that would be
    answered rightly and wrongly (of a query judged in part, its lookups in the proportion of the judged). A query with
    neither is left out, and so is one that no threshold serves (score -inf or NaN). ``lookups_total``: what the hit
    rate is of. Equal scores stand or fall together; points are thinned evenly in hit rate, both ends kept.
    """
    weight = right_weight + wrong_weight
    used = (weight > 0) & (score > -np.inf)
    if not used.any():
        return Curve(*(np.empty(0) for _ in range(3)))
    order = np.argsort(-score[used], kind="stable")
    ranked = score[used][order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of each run of equal scores
    hits = np.cumsum(weight[used][order])[last]
    right = np.cumsum(right_weight[used][order])[last]
    if len(last) > CURVE_POINTS:
        levels = np.linspace(hits[0], hits[-1], CURVE_POINTS)
        at = np.unique(np.searchsorted(hits, levels).clip(0, len(hits) - 1))
    else:
        at = np.arange(len(last))
    return Curve(ranked[last[at]], hits[at] / lookups_total, right[at] / hits[at])


def forecast_hit_rate(rows: pa.Table) -> float | None:
    """Share of lookups, 0 to 1, that the warmed cache answered in the replay; None where nothing was held out."""
    return _share(pc.sum(rows["warmed_hits"]).as_py() or 0, pc.sum(rows["lookups"]).as_py() or 0)


def _summary(rows: pa.Table, decisions: pa.Table, name: str, delta: float, seed: int) -> dict[str, Any]:
    total = {column: int(pc.sum(rows[column]).as_py() or 0) for column in COUNTS.names}
    kinds = {kind: decisions.filter(pc.equal(decisions["kind"], kind)) for kind in ("exact", "semantic")}
    for kind, part in kinds.items():
        for column, told in (("lookups", "hits"), ("judged", "judged"), ("wrong", "wrong")):
            here, there = total[f"{kind}_{told}"], int(pc.sum(part[column]).as_py() or 0)
            if here != there:
                raise ValueError(f"replay of {name}: {kind} {told} {here} in rows, {there} in decisions")
    lookups = total["lookups"]
    sums = [(column, "sum") for column in ("warmed_hits", "cold_hits", "lookups")]
    days = rows.group_by("date").aggregate(sums).sort_by("date")
    gain = pc.subtract(days["warmed_hits_sum"], days["cold_hits_sum"])
    every = pa.concat_tables(kinds.values())
    return {
        "lookups": lookups,
        "hit_rate": _share(total["warmed_hits"], lookups),
        "exact_hit_rate": _share(total["exact_hits"], lookups),
        "semantic_hit_rate": _share(total["semantic_hits"], lookups),
        "distance_rule_hit_rate": _share(total["distance_hits"], lookups),
        "cold_hit_rate": _share(total["cold_hits"], lookups),
        "lift": _share(total["warmed_hits"] - total["cold_hits"], lookups),
        "lift_interval": lift_interval(gain.to_pylist(), days["lookups_sum"].to_pylist(), seed),
        "hits": total["exact_hits"] + total["semantic_hits"],
        **_wrong("", every, delta),
        **_wrong("semantic_", kinds["semantic"], delta),
    }


def _wrong(prefix: str, decisions: pa.Table, delta: float) -> dict[str, Any]:
    judged, wrong = decisions["judged"].to_pylist(), decisions["wrong"].to_pylist()
    lower, upper = binomial.effective_bounds(judged, wrong, delta)
    return {
        f"{prefix}judged_hits": sum(judged),
        f"{prefix}wrong_hits": sum(wrong),
        f"{prefix}wrong_hit_rate": _share(sum(wrong), sum(judged)),
        f"{prefix}wrong_hit_rate_upper": upper,
        f"{prefix}wrong_hit_rate_lower": lower,
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
