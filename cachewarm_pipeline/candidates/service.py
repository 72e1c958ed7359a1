"""The candidates of a day from the golden tables and from the log. Reads and decides, never writes."""

from collections.abc import Sequence
from datetime import date
from functools import partial

import pyarrow as pa

from cachewarm_pipeline.candidates.golden_candidates import choose_golden_candidates
from cachewarm_pipeline.candidates.window_rollup import FrequentQueries, roll_up_frequent_queries
from cachewarm_pipeline.exclusion_reasons import Counts
from cachewarm_pipeline.ports import Judge, JudgeUse, Ports
from cachewarm_pipeline.query_log.day_weights import day_weights
from cachewarm_pipeline.query_log.mined_days import read_days


def frequent_of_days(ports: Ports, days: Sequence[date], judge: Judge) -> FrequentQueries:
    """The frequent queries of a window of days, each with its answer."""
    settings = ports.settings
    return roll_up_frequent_queries(
        partial(read_days, ports.datasets, days),
        weights=day_weights(days, max(days), settings.demand_half_life_days),
        min_frequency=settings.min_frequency,
        min_users=settings.min_users,
        min_stability=settings.min_stability,
        judge=judge.probability,
        label_point=judge.operating_point(JudgeUse.LABEL),
    )


def golden_of_day(ports: Ports, day: date) -> tuple[pa.Table, Counts]:
    """The golden candidates as known at the end of the day, and the findings that were excluded."""
    settings = ports.settings
    rows = ports.source.golden(day, settings.min_quality)
    table, excluded = choose_golden_candidates(
        rows.table, cap=settings.golden_max, max_response_bytes=settings.max_response_bytes
    )
    return table, rows.excluded + excluded
