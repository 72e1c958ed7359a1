"""Logs that other tools keep, read as our log: LiteLLM's SpendLogs, Langfuse's observations, OpenTelemetry's spans.

A connector maps the tool's table to the columns of ``llm_query_logs`` (DESIGN.md section 4) as one Ibis expression, so
that the engine still does one GROUP BY a day and Python never sees rows. Two columns more say why a row is left out
(columns.LEFT_OUT), or why its answer is no evidence while the row stays demand (columns.ANSWER_LEFT_OUT).
"""

from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.query_log.log_formats.langfuse import LANGFUSE
from cachewarm_pipeline.query_log.log_formats.litellm import LITELLM
from cachewarm_pipeline.query_log.log_formats.log_format import Connector
from cachewarm_pipeline.query_log.log_formats.otel import OTEL

__all__ = ["CONNECTORS", "OWN", "VERSION", "Connector", "connector_of"]

OWN = "own"
"""The format of our own columns."""

CONNECTORS = {connector.format: connector for connector in (LITELLM, LANGFUSE, OTEL)}

VERSION = 1
"""Raise it whenever a connector reads a row otherwise than before: days that were mined before are mined again."""


def connector_of(log_format: str) -> Connector | None:
    """The connector of a format; None for our own columns. Raises ConfigurationError for an unknown one."""
    if log_format == OWN:
        return None
    if log_format not in CONNECTORS:
        raise ConfigurationError(
            f"CACHEWARM_LOG_FORMAT={log_format} is not known; the formats are {', '.join((OWN, *CONNECTORS))}"
        )
    return CONNECTORS[log_format]
