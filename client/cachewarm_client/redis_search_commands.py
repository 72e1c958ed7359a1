"""The search commands and replies of the cache's index, as data: built and parsed here, sent elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Command = list[Any]
"""Words of one command: text, numbers and bytes."""

TAG_SEPARATOR = "\x1f"
"""Tags split at commas by default; no agent_type can hold this control character."""

MAX_TAG_BYTES = 4096
"""The engine cuts longer tags, and two agent types that begin alike would become one."""

DISTANCE_FIELD = "vector_distance"

STORED_FIELDS = (
    "entry_id",
    "prompt",
    "response",
    "inserted_at",
    "updated_at",
    "metadata",
    "agent_type",
    "source",
    "quality_score",
    "answer_group",
)
"""Fields of an entry that a lookup returns: all but the vector."""


RULE_VECTORS = "rule_vectors"
"""An entry's place in the learned space and its reliability (match_rules.rule.pack): read with the neighbours, never
handed out."""

NEIGHBOUR_FIELDS = (*STORED_FIELDS, RULE_VECTORS)
"""What a learned rule needs of a neighbour besides its distance."""


def usable_agent_type(agent_type: str) -> bool:
    """Whether entries of this agent_type can be found again: not empty, no control characters, no blanks at its ends
    (the engine strips them), not too long."""
    return (
        0 < len(agent_type.encode("utf-8", "surrogatepass")) <= MAX_TAG_BYTES
        and agent_type == agent_type.strip()
        and not any(ord(char) < 32 or ord(char) == 127 for char in agent_type)
    )


@dataclass(frozen=True)
class SearchReply:
    """Rows of a search reply, nearest first: (key, fields as text)."""

    total: int
    rows: list[tuple[str, dict[str, str]]]
    partial: bool
    """The search timed out and did not see every entry: nothing may be concluded from it."""


def create_index(index: str, prefixes: Sequence[str], dimensions: int) -> Command:
    """FT.CREATE of a generation's index: only what lookups filter or rank by, since indexing is what loading costs.

    FLAT is exact, and fast enough to about 100,000 entries. ``generation`` tells warmed entries from the
    application's own, which share the index.
    """
    vector = ["TYPE", "FLOAT32", "DIM", dimensions, "DISTANCE_METRIC", "COSINE"]
    return [
        *("FT.CREATE", index, "ON", "HASH", "PREFIX", len(prefixes), *prefixes, "SCHEMA"),
        *("prompt_vector", "VECTOR", "FLAT", len(vector), *vector),
        *("agent_type", "TAG", "SEPARATOR", TAG_SEPARATOR, "CASESENSITIVE"),
        *("source", "TAG"),
        *("quality_score", "NUMERIC"),
        *("generation", "TAG"),
    ]


def knn_command(
    index: str,
    agent_type: str,
    vector: bytes,
    k: int,
    *,
    also: str = "",
    also_values: Mapping[str, str] | None = None,
    fields: Sequence[str] = STORED_FIELDS,
    timeout_ms: int | None = None,
) -> Command:
    """FT.SEARCH for the ``k`` entries of one agent_type that are nearest to a float32 vector.

    The agent_type travels as a parameter, so that no character of it is part of the query; only a backslash still
    escapes what follows it there. ``also`` is one more filter in the query language. Without ``timeout_ms`` the
    server's own limit holds (500 ms by default).
    """
    filters = f"@agent_type:{{$agent_type}} {also and f'({also})'}"
    values = {"agent_type": agent_type.replace("\\", "\\\\"), "vector": vector, **(also_values or {})}
    return [
        *("FT.SEARCH", index, f"({filters})=>[KNN {k} @prompt_vector $vector AS {DISTANCE_FIELD}]"),
        *("PARAMS", 2 * len(values), *(part for pair in values.items() for part in pair)),
        *("RETURN", len(fields) + 1, DISTANCE_FIELD, *fields),
        *(("TIMEOUT", timeout_ms) if timeout_ms else ()),
        *("SORTBY", DISTANCE_FIELD, "LIMIT", 0, k, "DIALECT", 2),
    ]


def of_generation(index: str, generation: str, limit: int, timeout_ms: int, fields: Sequence[str] = ()) -> Command:
    """FT.SEARCH for the keys, and ``fields``, of a generation's own entries; with ``limit`` 0 it only counts them."""
    return [
        *("FT.SEARCH", index, "@generation:{$generation}", "PARAMS", 2, "generation", generation),
        *(("RETURN", len(fields), *fields) if fields else ("NOCONTENT",)),
        *("LIMIT", 0, limit, "TIMEOUT", timeout_ms, "DIALECT", 2),
    ]


def parse_found(reply: Any) -> SearchReply:
    """A reply of FT.SEARCH in either protocol version. Rows that expired during the search have no fields."""
    if isinstance(reply, Mapping):
        data = {text(name): value for name, value in reply.items()}
        rows = []
        for item in data["results"]:
            row = {text(name): value for name, value in item.items()}
            rows.append((text(row["id"]), _fields(row.get("extra_attributes"))))
        return SearchReply(int(data["total_results"]), rows, bool(data.get("warning")))
    total, *rest = reply
    rows = []
    for item in rest:
        if isinstance(item, list | None):
            rows[-1] = (rows[-1][0], _fields(item))
        else:
            rows.append((text(item), {}))
    return SearchReply(int(total), rows, False)


def as_mapping(reply: Any) -> dict[str, Any]:
    """A reply that is a map in RESP3 and a flat list in RESP2 (FT.INFO), with its names as text."""
    if isinstance(reply, Mapping):
        return {text(name): value for name, value in reply.items()}
    return {text(name): value for name, value in zip(reply[::2], reply[1::2], strict=True)}


def text(value: Any) -> str:
    """A reply's string; clients decode or not."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _fields(reply: Any) -> dict[str, str]:
    """In one pass: a lookup reads ten rows of thirteen fields, and names repeat."""
    pairs = reply.items() if isinstance(reply, Mapping) else zip(*[iter(reply or ())] * 2, strict=True)
    return {
        _NAMES.get(name) or text(name): value.decode("utf-8", "replace") if type(value) is bytes else str(value)
        for name, value in pairs
        if value is not None
    }


_NAMES = {name.encode(): name for name in (DISTANCE_FIELD, *NEIGHBOUR_FIELDS)}
"""Field names as a client that does not decode has them."""
