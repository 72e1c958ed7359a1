"""Does the 95% interval of the lift cover the true lift in 95% of the trials? On simulated traffic of two arms.

    uv run python -m benchmarks.impact [--trials 300] [--storing]

Each column: share of trials whose 95% interval covers the true lift, and the median half width of the interval.
`16 buckets`: the method of the project. `own`: the jackknife of 16 buckets without the design effect of the other arm.
`days`: days are left out instead, for counts without buckets. `lookups`: as if all lookups were independent. `off`:
mean error of plain before/after. `beyond`: share of trials in which it exceeds the half width of `16 buckets`.

Then applications that store their own answers, in three worlds with the same lookups. `true`: hit rate with all users
warmed minus hit rate with no user warmed. `raw`: difference between the arms as they were served. `corrected`: with the
shadow of what a cold cache filled by all users would contain. With 300 trials each (one minute): true lifts of 12.4,
0.0, 18.3 and 12.4 points; raw 41.4, 7.8, 46.9 and 27.4 (the interval covers the true lift in 0 to 3%); corrected 12.2,
0.0, 16.9 and 12.3 (in 95 to 98%). If answers expire without being renewed by hits, the corrected lift is too low.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.lift_simulation import EVEN, HEAVY, SMALL, Kind, Traffic, trials
from benchmarks.spillover_simulation import LARGE, STORED, World, worlds
from cachewarm_pipeline.measurement.lift import BUCKETS, ArmCount, impact
from cachewarm_pipeline.measurement.lift.arm_counts import cells
from cachewarm_pipeline.measurement.lift.jackknife import lift_groups, student_quantile

COLD = Traffic(
    (Kind(0.6, 0.5, 0.03, 0.2), Kind(0.37, 3, 0.03, 0.3), Kind(0.03, 30, 0.04, 0.5)), drift=0.02, spread=0.02
)
"""Hardly any hits without warming, for all users; with warming, heavy users gain most."""

WORKLOADS = {
    "heavy": HEAVY,
    "heavy, 16,000 users": replace(HEAVY, users=16_000),
    "heavy, half held out": replace(HEAVY, holdout=0.5),
    "heavy, 600 users": SMALL,
    "heavy, 150 users": replace(HEAVY, users=150),
    "even": EVEN,
    "even, 150 users": replace(EVEN, users=150),
    "cold": COLD,
}

STORING = {
    "stored for a day": STORED,
    "for a week": LARGE,
    "for a day, not renewed": replace(STORED, renewed=False),
    "a fifth held out": replace(STORED, holdout=0.2),
}

AT_ONCE = 50
"""Worlds simulated together, as memory allows."""

Interval = tuple[float, float] | None


def project(counts: Sequence[ArmCount], buckets: int) -> Interval:
    found = impact([count._replace(bucket=(count.bucket or 0) % buckets) for count in counts]).total
    return None if found.low is None or found.high is None else (found.low, found.high)


def own_buckets(counts: Sequence[ArmCount]) -> Interval:
    table = cells([count._replace(bucket=(count.bucket or 0) % BUCKETS) for count in counts])
    if (table.lookups.sum(1) > 0).sum(1).min() < 5:
        return None
    groups = lift_groups(table, np.zeros(len(table.agent), np.int64), 1, by_day=False)
    variance = [
        (values.shape[1] - 1) / values.shape[1] * float(((values - groups.lift[0]) ** 2).sum())
        for values in groups.replicates
    ]
    freedom = [max(1.0, float((n**2).sum()) ** 2 / float((n**4).sum()) - 1) for n in table.lookups.sum(1)]
    welch = sum(variance) ** 2 / sum(v**2 / f for v, f in zip(variance, freedom, strict=True))
    half = student_quantile(max(1.0, welch)) * sum(variance) ** 0.5
    return float(groups.lift[0]) - half, float(groups.lift[0]) + half


def days(counts: Sequence[ArmCount]) -> Interval:
    found = impact([count._replace(bucket=None) for count in counts], returning=False).total
    return None if found.low is None or found.high is None else (found.low, found.high)


def independent_lookups(counts: Sequence[ArmCount]) -> Interval:
    found = impact(counts).total
    if found.lift is None or found.warmed_hit_rate is None or found.holdout_hit_rate is None:
        return None
    p, q = found.warmed_hit_rate, found.holdout_hit_rate
    half = 1.96 * (p * (1 - p) / found.warmed_lookups + q * (1 - q) / found.holdout_lookups) ** 0.5
    return found.lift - half, found.lift + half


def plain(counts: Sequence[ArmCount]) -> float:
    return sum(count.hits for count in counts) / sum(count.lookups for count in counts)


METHODS: dict[str, Callable[[Sequence[ArmCount]], Interval]] = {
    "16 buckets": lambda counts: project(counts, BUCKETS),
    "64 buckets": lambda counts: project(counts, 64),
    "own": own_buckets,
    "days": days,
    "lookups": independent_lookups,
}


def spillover(number: int) -> None:
    head = f"{'true':>8}{'raw':>8}{'covers':>8}{'corrected':>11}{'covers':>8}{'half width':>12}"
    print(f"\nan application that stores its own answers\n{'':24}{head}")
    for name, traffic in STORING.items():
        found = [world for seed in range(-(-number // AT_ONCE)) for world in worlds(traffic, AT_ONCE, seed)][:number]
        true = np.mean([world.lift for world in found])
        raw, corrected = (_over(found, counts) for counts in ("raw", "corrected"))
        print(
            f"{name:24}{true:8.3f}{raw[0]:8.3f}{raw[1]:8.1%}{corrected[0]:11.3f}{corrected[1]:8.1%}"
            f"{corrected[2]:12.3f}",
            flush=True,
        )


def _over(found: Sequence[World], counts: str) -> tuple[float, float, float]:
    """Mean lift, share of intervals that cover the true lift, median half width."""
    lifts = [(world.lift, impact(getattr(world, counts)).total) for world in found]
    known = [
        (true, one.lift, one.low, one.high)
        for true, one in lifts
        if one.lift is not None and one.low is not None and one.high is not None
    ]
    return (
        float(np.mean([lift for _, lift, _, _ in known])),
        float(np.mean([low <= true <= high for true, _, low, high in known])),
        float(np.median([(high - low) / 2 for _, _, low, high in known])),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--storing", action="store_true", help="only applications that store their own answers")
    arguments = parser.parse_args()
    number: int = arguments.trials
    if arguments.storing:
        spillover(number)
        return
    print(f"{'':22}{'lift':>6}" + "".join(f"{name:>16}" for name in METHODS) + f"{'off':>8}{'beyond':>8}")
    for name, traffic in WORKLOADS.items():
        found: dict[str, list[tuple[bool, float]]] = {method: [] for method in METHODS}
        off, beyond = [], 0
        for trial in trials(traffic, number, seed=7, buckets=64):
            for method, interval in METHODS.items():
                ends = interval(trial.after)
                if ends is not None:
                    found[method].append((ends[0] <= traffic.lift <= ends[1], (ends[1] - ends[0]) / 2))
            warmed = [count for count in trial.after if count.arm == "warmed"]
            off.append(plain(warmed) - plain(trial.before) - traffic.lift)
            beyond += bool(found["16 buckets"]) and abs(off[-1]) > found["16 buckets"][-1][1]
        columns = "".join(
            f"{np.mean([hit for hit, _ in rows]):8.1%} ±{np.median([half for _, half in rows]):.4f}"
            for rows in found.values()
        )
        print(f"{name:22}{traffic.lift:6.3f}{columns}{np.mean(off):+8.3f}{beyond / number:8.0%}", flush=True)
    spillover(number)


if __name__ == "__main__":
    main()
