"""Base queries: what synthetic variants are written of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Base:
    """One query of an agent_type. ``response``: its verified answer as JSON or text; None where there is none yet.
    ``origin``: configured, golden or query_log."""

    agent_type: str
    prompt: str
    response: str | None = None
    origin: str = "configured"
