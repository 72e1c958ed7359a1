"""The arguments of ``check``, ``explain`` and ``store``, checked before anything is sent to Redis."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cachewarm_client.errors import ConfigurationError
from cachewarm_client.redis_search_commands import usable_agent_type

if TYPE_CHECKING:
    from redisvl.query.filter import FilterExpression


@dataclass(frozen=True)
class CheckArguments:
    """The arguments that ``check`` shares with RedisVL's.

    Raises ValueError and TypeError for arguments that no lookup can be made of, as RedisVL does.
    """

    prompt: str | None = None
    vector: list[float] | None = None
    num_results: int = 1
    return_fields: list[str] | None = None
    filter_expression: "FilterExpression | None" = None
    distance_threshold: float | None = None

    def __post_init__(self) -> None:
        if not self.prompt and not self.vector:
            raise ValueError("Either prompt or vector must be specified.")
        if self.prompt is not None and not isinstance(self.prompt, str):
            raise TypeError("Prompt must be a string.")
        if self.return_fields and not isinstance(self.return_fields, list):
            raise TypeError("Return fields must be a list of values.")
        if self.num_results < 1:
            raise ValueError(f"num_results must be at least 1, got {self.num_results}")

    @property
    def filter_text(self) -> str:
        """The filter in Redis's query language; empty without one."""
        text = "" if self.filter_expression is None else str(self.filter_expression)
        return "" if text == "*" else text


@dataclass(frozen=True)
class StoreArguments:
    """What ``store`` was called with.

    Raises TypeError and ConfigurationError for what could not be looked up again.
    """

    prompt: str
    response: str
    vector: list[float] | None
    metadata: Mapping[str, Any] | None
    filters: Mapping[str, Any] | None
    ttl: int | None
    agent_type: str | None
    owner: str = field(init=False)
    """The agent_type of the entry: from ``agent_type``, or else from ``filters``."""

    def __post_init__(self) -> None:
        filters = {**(self.filters or {}), **({"agent_type": self.agent_type} if self.agent_type is not None else {})}
        if set(filters) != {"agent_type"}:
            names = ", ".join(sorted(map(str, filters))) or "none"
            raise ConfigurationError(
                f"store() needs an agent_type, as an argument or in filters, and accepts no other filter; got: {names}"
            )
        if not self.prompt or not isinstance(self.prompt, str) or not isinstance(self.response, str):
            raise TypeError("Prompt and response must be strings, and the prompt must not be empty.")
        if self.metadata is not None and not isinstance(self.metadata, dict):
            raise TypeError("Metadata must be a dictionary.")
        object.__setattr__(self, "owner", clean_agent_type(filters["agent_type"]))


def vector_buffer(vector: list[float] | None, dimensions: int) -> bytes | None:
    """A vector as float32 bytes; None without one. Raises ValueError unless it has ``dimensions`` numbers."""
    if not vector:
        return None
    if len(vector) != dimensions:
        raise ValueError(f"the vector has {len(vector)} dimensions, the cache has {dimensions}")
    return np.asarray(vector, dtype="<f4").tobytes()


def clean_agent_type(agent_type: str) -> str:
    """The agent_type without white space at its ends. Raises ConfigurationError when Redis could not find it again."""
    stripped = agent_type.strip() if isinstance(agent_type, str) else ""
    if not usable_agent_type(stripped):
        raise ConfigurationError(
            f"agent_type {agent_type!r:.80} cannot be used: it must be a non-empty string without control characters, "
            "of at most 4,096 bytes"
        )
    return stripped
