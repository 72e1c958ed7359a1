"""What is stored about the freshness of answers, as of a day: read and decide, never write."""

from datetime import date

import pyarrow as pa

from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.freshness.answer_age import AgeLimits
from cachewarm_pipeline.freshness.change_rate import age_limit, ttl_of
from cachewarm_pipeline.freshness.stale_answers import Present
from cachewarm_pipeline.freshness.withdrawn_entries import empty
from cachewarm_pipeline.ports import Ports
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.storage.datasets import DatasetStore

WITHDRAWN = "withdrawn_entries"


def withdrawn_entries(datasets: DatasetStore) -> pa.Table:
    """Everything that was ever withdrawn, and what of it was reinstated: the newest file is the whole."""
    there = datasets.newest(WITHDRAWN, date.max)
    return datasets.read(WITHDRAWN, there) if there else empty()


def present_sources(ports: Ports) -> Present:
    """What answers, and embeds, now."""
    settings = ports.settings
    return Present(settings.answer_model, settings.prompt_version, ports.embedder.info.id)


def ttl_days_by_agent(datasets: DatasetStore, day: date, settings: Settings) -> dict[str, float]:
    """TTL in days of the agent types whose change rate is measured, from the newest ``change_rates`` at or before the
    day and today's settings; the others have ``settings.ttl_days``."""
    there = datasets.newest("change_rates", day)
    rows = datasets.read("change_rates", there, ["agent_type", "high", "measured"]).to_pylist() if there else []
    bounds = {
        "max_stale_share": settings.max_stale_share,
        "ttl_days": settings.ttl_days,
        "ttl_min_days": settings.ttl_min_days,
    }
    return {row["agent_type"]: ttl_of(row["high"], **bounds) for row in rows if row["measured"]}


def age_limits(ports: Ports, day: date) -> AgeLimits:
    """How old answers may be at the end of a day, by agent_type: from the newest ``change_rates`` at or before it and
    today's settings. Agent types whose rate is not measured have no limit."""
    settings, datasets = ports.settings, ports.datasets
    there = datasets.newest("change_rates", day)
    rows = datasets.read("change_rates", there, ["agent_type", "high", "measured"]).to_pylist() if there else []
    bounds = {
        "max_stale_share": settings.max_stale_share,
        "ttl_days": settings.ttl_days,
        "ttl_min_days": settings.ttl_min_days,
    }
    limits = {row["agent_type"]: age_limit(row["high"], **bounds) for row in rows if row["measured"]}
    return AgeLimits(limits, end_of(day))
