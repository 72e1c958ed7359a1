"""The candidates of a day from the log and from the golden tables: read and decide, never write."""

from collections.abc import Sequence
from datetime import date
from functools import partial

import pyarrow as pa

from cachewarm_pipeline.candidates.golden_candidates import golden_candidates
from cachewarm_pipeline.candidates.window_rollup import RolledUp, rollup
from cachewarm_pipeline.exclusion_reasons import Counts
from cachewarm_pipeline.ports import Judge, Ports
from cachewarm_pipeline.query_log.day_weights import day_weights
from cachewarm_pipeline.query_log.mined_days import read_days


def frequent_of_days(ports: Ports, days: Sequence[date], judge: Judge) -> RolledUp:
    """What is asked often enough in these days, with the answer of each."""
    settings = ports.settings
    return rollup(
        partial(read_days, ports.datasets, days),
        weights=_weights(ports, days),
        min_frequency=settings.min_frequency,
        min_users=settings.min_users,
        min_stability=settings.min_stability,
        group_responses=judge,
    )


def golden_of_day(ports: Ports, day: date) -> tuple[pa.Table, Counts]:
    """Golden candidates as known at the end of the day."""
    settings = ports.settings
    rows = ports.source.golden(day, settings.min_quality)
    table, excluded = golden_candidates(
        rows.table, cap=settings.golden_max, max_response_bytes=settings.max_response_bytes
    )
    return table, rows.excluded + excluded


def _weights(ports: Ports, days: Sequence[date]) -> dict[date, float]:
    return day_weights(days, max(days), ports.settings.demand_half_life_days)
