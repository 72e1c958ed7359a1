"""What is stored about the freshness of answers, as of a day, for other stages. Reads datasets and writes none."""

from datetime import date

import pyarrow as pa

from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.freshness.answer_age import AgeLimits
from cachewarm_pipeline.freshness.stale_reasons import CurrentSources
from cachewarm_pipeline.freshness.ttl import age_limit, ttl_bounds, ttl_of
from cachewarm_pipeline.freshness.withdrawn_entries import empty
from cachewarm_pipeline.ports import Ports
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.storage.datasets import DatasetStore

WITHDRAWN = "withdrawn_entries"


def withdrawn_entries(datasets: DatasetStore) -> pa.Table:
    """WITHDRAWN_ENTRIES: everything that was ever withdrawn, and what of it was reinstated. The newest file has it
    all."""
    newest = datasets.newest(WITHDRAWN, date.max)
    return datasets.read(WITHDRAWN, newest) if newest else empty()


def current_sources(ports: Ports) -> CurrentSources:
    """What answers depend on today, by the settings and the embedder."""
    settings = ports.settings
    return CurrentSources(settings.answer_model, settings.prompt_version, ports.embedder.info.id)


def ttl_days_by_agent(datasets: DatasetStore, day: date, settings: Settings) -> dict[str, float]:
    """The TTL in days of the agent types whose change rate is measured, from the newest ``change_rates`` at or before
    the day and today's settings. The others have ``settings.ttl_days``."""
    bounds = ttl_bounds(settings)
    return {name: ttl_of(high, **bounds) for name, high in _measured_rates(datasets, day).items()}


def age_limits(ports: Ports, day: date) -> AgeLimits:
    """How old answers may be at the end of a day, by agent_type, from the newest ``change_rates`` at or before it and
    today's settings. Agent types whose rate is not measured have no limit."""
    bounds = ttl_bounds(ports.settings)
    rates = _measured_rates(ports.datasets, day)
    return AgeLimits({name: age_limit(high, **bounds) for name, high in rates.items()}, end_of(day))


def _measured_rates(datasets: DatasetStore, day: date) -> dict[str, float]:
    """The upper end of each measured change rate, by agent_type, from the newest ``change_rates`` at or before the
    day."""
    newest = datasets.newest("change_rates", day)
    rows = datasets.read("change_rates", newest, ["agent_type", "high", "measured"]).to_pylist() if newest else []
    return {row["agent_type"]: row["high"] for row in rows if row["measured"]}
