"""A run that failed: the reason goes to the log, and to a webhook where one is set."""

import logging
from typing import Any

import dagster as dg
import requests

from cachewarm_pipeline.automation.run_state import failure_of
from cachewarm_pipeline.automation.tags import STARTED_BY
from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.settings import Settings, load_settings

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10
"""A tick has a minute; a webhook that takes longer is taken for dead."""


def message(run: dg.DagsterRun, reason: str, name: str) -> dict[str, Any]:
    """What is posted: ``text`` for a person (Slack's form), the rest for a program."""
    partition = run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_end")
    who = run.tags.get(STARTED_BY, "a person in Dagster's UI")
    about = f" for {partition}" if partition else ""
    text = f"cachewarm {name!r}: {run.job_name}{about} failed (started by {who}): {reason}"
    return {
        "text": f"{text}\nThe live generation serves on. Run {run.run_id}",
        "name": name,
        "job": run.job_name,
        "partition": partition,
        "started_by": who,
        "reason": reason,
        "run_id": run.run_id,
    }


def post(url: str, body: dict[str, Any]) -> None:
    """Send it. Raises CachewarmError, without the URL (it is a secret), where it did not arrive."""
    try:
        answer = requests.post(url, json=body, timeout=TIMEOUT_SECONDS)
    except requests.RequestException as error:
        why = type(error).__name__  # its own words repeat the URL
        raise CachewarmError(f"the alert could not be posted ({why}): check CACHEWARM_ALERT_WEBHOOK") from None
    if not answer.ok:
        raise CachewarmError(f"the alert was refused (HTTP {answer.status_code}): check CACHEWARM_ALERT_WEBHOOK")


@dg.run_failure_sensor(
    name="failed_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes why a run failed to the log, and posts it to CACHEWARM_ALERT_WEBHOOK where that is set.",
)
def failed_runs(context: dg.RunFailureSensorContext) -> None:
    settings = load_settings()
    alert(context, settings)


def alert(context: dg.RunFailureSensorContext, settings: Settings) -> None:
    """Log and post why the run of the context failed. A webhook that does not take it is logged; nothing is retried:
    the log has the reason."""
    run = context.dagster_run
    body = message(run, failure_of(context.instance, run.run_id).reason, settings.name)
    context.log.error(body["text"])
    logger.error(body["text"])
    if settings.alert_webhook is None:
        return
    try:
        post(settings.alert_webhook.get_secret_value(), body)
    except CachewarmError as error:
        context.log.error(str(error))
        logger.error(str(error))
