"""Reports a failed run: its reason goes to the log, and to a webhook if one is set."""

import logging
from typing import Any

import dagster as dg
import requests

from cachewarm_pipeline.automation.run_state import failure_of
from cachewarm_pipeline.automation.tags import STARTED_BY
from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.settings import Settings, load_settings

logger = logging.getLogger(__name__)

WEBHOOK_TIMEOUT_SECONDS = 10
"""A sensor's tick may take a minute, so a webhook that takes longer than this counts as down."""


def alert_body(run: dg.DagsterRun, reason: str, name: str) -> dict[str, Any]:
    """The JSON body of an alert: ``text`` for a person (Slack's format), the other fields for a program.

    ``name``: the cache's name.
    """
    partition = run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_end")
    who = run.tags.get(STARTED_BY, "a person in Dagster's UI")
    about = f" for {partition}" if partition else ""
    text = f"cachewarm {name!r}: {run.job_name}{about} failed (started by {who}): {reason}"
    return {
        "text": f"{text}\nThe live generation keeps serving. Run {run.run_id}",
        "name": name,
        "job": run.job_name,
        "partition": partition,
        "started_by": who,
        "reason": reason,
        "run_id": run.run_id,
    }


def post_alert(url: str, body: dict[str, Any]) -> None:
    """Post an alert. Raises CachewarmError, without the URL (it is a secret), when it did not arrive."""
    try:
        answer = requests.post(url, json=body, timeout=WEBHOOK_TIMEOUT_SECONDS)
    except requests.RequestException as error:
        why = type(error).__name__  # the error's own message repeats the URL
        raise CachewarmError(f"the alert could not be posted ({why}): check CACHEWARM_ALERT_WEBHOOK") from None
    if not answer.ok:
        raise CachewarmError(f"the alert was refused (HTTP {answer.status_code}): check CACHEWARM_ALERT_WEBHOOK")


@dg.run_failure_sensor(
    name="failed_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Logs why a run failed, and posts the reason to CACHEWARM_ALERT_WEBHOOK if that is set.",
)
def failed_runs(context: dg.RunFailureSensorContext) -> None:
    settings = load_settings()
    alert(context, settings)


def alert(context: dg.RunFailureSensorContext, settings: Settings) -> None:
    """Log and post why a run failed. A failed post is logged and not retried: the log has the reason already."""
    run = context.dagster_run
    body = alert_body(run, failure_of(context.instance, run.run_id).reason, settings.name)
    context.log.error(body["text"])
    logger.error(body["text"])
    if settings.alert_webhook is None:
        return
    try:
        post_alert(settings.alert_webhook.get_secret_value(), body)
    except CachewarmError as error:
        context.log.error(str(error))
        logger.error(str(error))
