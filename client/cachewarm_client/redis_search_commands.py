"""The search commands and replies of the cache's index: built and parsed here, sent elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Command = list[Any]
"""The arguments of one command: text, numbers and bytes."""

TAG_SEPARATOR = "\x1f"
"""Redis splits tags at commas by default; no agent_type can contain this control character."""

MAX_TAG_BYTES = 4096
"""Redis cuts longer tags, and two agent types with the same beginning would become one."""

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
"""An entry's vector in the learned space and its reliability (``cachewarm_client.match_decision.pack``): read with the
neighbours, never returned to the application."""

NEIGHBOUR_FIELDS = (*STORED_FIELDS, RULE_VECTORS)
"""What a learned rule needs of a neighbour besides its distance."""


def usable_agent_type(agent_type: str) -> bool:
    """Whether Redis can find entries of this agent_type again: it is not empty or too long, and has no control
    characters and no white space at its ends (which Redis strips)."""
    return (
        0 < len(agent_type.encode("utf-8", "surrogatepass")) <= MAX_TAG_BYTES
        and agent_type == agent_type.strip()
        and not any(ord(char) < 32 or ord(char) == 127 for char in agent_type)
    )


@dataclass(frozen=True)
class SearchReply:
    """The reply of FT.SEARCH."""

    total: int
    """Entries that match, whether returned or not."""
    rows: list[tuple[str, dict[str, str]]]
    """(key, fields as text), nearest first."""
    partial: bool
    """Whether the search timed out before it saw every entry: nothing may be concluded from it."""


def create_index(index: str, prefixes: Sequence[str], dimensions: int) -> Command:
    """FT.CREATE of a generation's index: only fields that lookups filter or rank by, since indexing is most of the cost
    of loading.

    FLAT is exact, and fast enough up to about 100,000 entries. Warmed entries and app entries share the index;
    only warmed ones have the field ``generation``.
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
    extra_filter: str = "",
    extra_params: Mapping[str, str] | None = None,
    fields: Sequence[str] = STORED_FIELDS,
    timeout_ms: int | None = None,
) -> Command:
    """FT.SEARCH for the ``k`` entries of one agent_type that are nearest to a vector (float32 bytes).

    The agent_type is passed as a parameter, so that no character of it is part of the query; only a backslash still
    escapes the character after it. ``extra_filter`` is one more filter in the query language, with ``extra_params`` as
    its parameters. Without ``timeout_ms`` the server's own limit applies (500 ms by default).
    """
    filters = f"@agent_type:{{$agent_type}} {extra_filter and f'({extra_filter})'}"
    params = {"agent_type": agent_type.replace("\\", "\\\\"), "vector": vector, **(extra_params or {})}
    return [
        *("FT.SEARCH", index, f"({filters})=>[KNN {k} @prompt_vector $vector AS {DISTANCE_FIELD}]"),
        *("PARAMS", 2 * len(params), *(part for pair in params.items() for part in pair)),
        *("RETURN", len(fields) + 1, DISTANCE_FIELD, *fields),
        *(("TIMEOUT", timeout_ms) if timeout_ms else ()),
        *("SORTBY", DISTANCE_FIELD, "LIMIT", 0, k, "DIALECT", 2),
    ]


def generation_command(index: str, generation: str, limit: int, timeout_ms: int, fields: Sequence[str] = ()) -> Command:
    """FT.SEARCH for the keys and ``fields`` of a generation's warmed entries; with ``limit`` 0 it only counts them."""
    return [
        *("FT.SEARCH", index, "@generation:{$generation}", "PARAMS", 2, "generation", generation),
        *(("RETURN", len(fields), *fields) if fields else ("NOCONTENT",)),
        *("LIMIT", 0, limit, "TIMEOUT", timeout_ms, "DIALECT", 2),
    ]


def parse_found(reply: Any) -> SearchReply:
    """The reply of FT.SEARCH, in RESP2 or RESP3. Rows that expired during the search have no fields."""
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
    """A reply that is a map in RESP3 and a flat list in RESP2 (FT.INFO), with its field names as text."""
    if isinstance(reply, Mapping):
        return {text(name): value for name, value in reply.items()}
    return {text(name): value for name, value in zip(reply[::2], reply[1::2], strict=True)}


def text(value: Any) -> str:
    """A string of a reply, whether the client decodes replies or not."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _fields(reply: Any) -> dict[str, str]:
    """A row's fields as text. In one pass, since a lookup reads ten rows of thirteen fields; names are cached."""
    pairs = reply.items() if isinstance(reply, Mapping) else zip(*[iter(reply or ())] * 2, strict=True)
    return {
        _NAMES.get(name) or text(name): value.decode("utf-8", "replace") if type(value) is bytes else str(value)
        for name, value in pairs
        if value is not None
    }


_NAMES = {name.encode(): name for name in (DISTANCE_FIELD, *NEIGHBOUR_FIELDS)}
"""Field names in the form of a client that does not decode replies."""
