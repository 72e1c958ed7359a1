"""What the days of a replay add up to: hit rates, lift over a cold cache, and bounds of the wrong-hit rate. Pure."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.numerics import binomial_bounds as binomial
from cachewarm_pipeline.proof.replay_simulation import COUNTS

RESAMPLES = 2000
"""Resamples of the days. With this many, the ends of the interval move by less than a fiftieth of its width from one
random seed to another."""

_T975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
"""97.5% quantiles of Student's t with 1 to 30 degrees of freedom. For more, the last one is conservative.

A table and not scipy.special.stdtrit: its further digits would change the `lift_interval` of stored replays."""


def summarise_replay(rows: pa.Table, decisions: pa.Table, *, delta: float, seed: int) -> dict[str, Any]:
    """The report's ``replay`` object for all agent types together, and under ``agent_types`` one for each.

    ``rows``: REPLAY; ``decisions``: REPLAY_DECISIONS of the same replay; ``seed``: of the bootstrap. Keys:

    - ``lookups``, and rates per lookup, None without lookups: ``hit_rate`` of the warmed cache, including the app
      entries that it stores on misses (warmed entries alone serve ``exact_hit_rate`` + ``semantic_hit_rate``);
      ``distance_rule_hit_rate`` of warmed entries under a stock reader; ``cold_hit_rate``.
    - ``lift`` = hit_rate - cold_hit_rate; ``lift_interval``: see the function of that name.
    - ``hits`` of warmed entries; ``judged_hits``: those whose logged answer was compared with the served one;
      ``wrong_hits``: those where the two differ; ``wrong_hit_rate``: their ratio, None without a judged hit.
    - ``..._lower`` and ``..._upper``: bounds, each with confidence 1 - ``delta`` (effective_bounds over distinct
      queries). ``semantic_...``: the same for semantic hits alone.

    Raises ValueError if rows and decisions are not of one replay.
    """
    names = sorted(pc.unique(rows["agent_type"]).to_pylist())
    known = pc.unique(decisions["agent_type"]).to_pylist()
    if not set(known) <= set(names):
        raise ValueError(f"replay: {sorted(set(known) - set(names))} have decisions but no rows")
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
    """95% interval [lo, hi] of the lift, by a bootstrap over days. None with fewer than two days that have lookups.

    ``gain``: warmed - cold hits of each day. Days are resampled whole, because the lookups of a day are not
    independent. The lift of a resample is a ratio of sums (all gain / all lookups), so busy days weigh more. With few
    days the plain percentile interval is too narrow: at 2, 7 and 14 days of normally distributed daily lifts it covered
    53%, 87% and 90%. So both ends are moved away from the estimate by the factor Student's t / normal quantile *
    sqrt(n / (n - 1)), which covers 94%, 94% and 94% (88% at 7 days with skewed daily lifts). The interval describes
    days like the replayed ones; a later month may differ by more.
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


def forecast_hit_rate(rows: pa.Table) -> float | None:
    """Share of lookups, 0 to 1, that the warmed cache answered in the replay. None if nothing was held out."""
    return _share(pc.sum(rows["warmed_hits"]).as_py() or 0, pc.sum(rows["lookups"]).as_py() or 0)


def _summary(rows: pa.Table, decisions: pa.Table, name: str, delta: float, seed: int) -> dict[str, Any]:
    total = {column: int(pc.sum(rows[column]).as_py() or 0) for column in COUNTS.names}
    kinds = {kind: decisions.filter(pc.equal(decisions["kind"], kind)) for kind in ("exact", "semantic")}
    for kind, part in kinds.items():
        for column, count in (("lookups", "hits"), ("judged", "judged"), ("wrong", "wrong")):
            in_rows, in_decisions = total[f"{kind}_{count}"], int(pc.sum(part[column]).as_py() or 0)
            if in_rows != in_decisions:
                raise ValueError(f"replay of {name}: {kind} {count} {in_rows} in rows, {in_decisions} in decisions")
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
