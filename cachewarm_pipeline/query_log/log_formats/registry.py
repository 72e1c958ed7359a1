"""The known log formats, by the name that CACHEWARM_LOG_FORMAT gives."""

from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.query_log.log_formats.connector import Connector
from cachewarm_pipeline.query_log.log_formats.langfuse import LANGFUSE
from cachewarm_pipeline.query_log.log_formats.litellm import LITELLM
from cachewarm_pipeline.query_log.log_formats.otel import OTEL

OWN = "own"
"""The name of our own format: no connector."""

CONNECTORS = {connector.format: connector for connector in (LITELLM, LANGFUSE, OTEL)}

VERSION = 1
"""Raise it whenever a connector reads a row differently: days mined before are then mined again."""


def connector_of(log_format: str) -> Connector | None:
    """The connector of a format; None for our own columns. Raises ConfigurationError for an unknown one."""
    if log_format == OWN:
        return None
    if log_format not in CONNECTORS:
        raise ConfigurationError(
            f"CACHEWARM_LOG_FORMAT={log_format} is not known; the formats are {', '.join((OWN, *CONNECTORS))}"
        )
    return CONNECTORS[log_format]
