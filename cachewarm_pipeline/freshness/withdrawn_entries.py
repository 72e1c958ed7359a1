"""The ledger of answers that were withdrawn because they are wrong: what later plans exclude, and until when.

It is one table (WITHDRAWN_ENTRIES), and each of its files has all of it. Rows are added and reinstated, never removed.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from cachewarm_client.personal_data import mask

from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.query_log.response_text import canonical_response
from cachewarm_pipeline.storage.answer_schemas import WITHDRAWN_ENTRIES
from cachewarm_pipeline.storage.schemas import conform

Rows = Sequence[Mapping[str, Any]]

BY = ("reports", "log", "person")
"""Who can withdraw an entry: reports from clients, negative feedback in the log, a person."""


def empty() -> pa.Table:
    """The table before anything is withdrawn."""
    return WITHDRAWN_ENTRIES.empty_table()


def active_rows(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of the answers that are withdrawn and not reinstated."""
    return [row for row in table.to_pylist() if row["reinstated_at"] is None]


def active(table: pa.Table) -> set[str]:
    """The entry_ids with at least one withdrawn answer."""
    return {row["entry_id"] for row in active_rows(table)}


def reinstated(table: pa.Table) -> dict[str, datetime]:
    """When each reinstated entry was last reinstated, by entry_id."""
    last: dict[str, datetime] = {}
    for row in table.to_pylist():
        if (at := row["reinstated_at"]) is not None:
            last[row["entry_id"]] = max(at, last.get(row["entry_id"], at))
    return last


def add(previous: pa.Table, rows: Rows, now: datetime) -> pa.Table:
    """``previous`` with further withdrawals.

    ``rows``: entry_id, agent_type, prompt, response, why, reports, by (of BY). An answer that is already withdrawn
    stays one row, with the larger number of reports. Another answer of the same entry, or one that was reinstated, gets
    a row of its own. Prompts and reasons are stored masked. Calling it twice with the same rows gives the same table.
    Raises ConfigurationError for another ``by``.
    """
    table: list[dict[str, Any]] = previous.to_pylist()
    place = {_key(row): i for i, row in enumerate(table) if row["reinstated_at"] is None}
    for row in rows:
        if row["by"] not in BY:
            names = ", ".join(BY)
            raise ConfigurationError(f"withdrawn entry {row['entry_id']}: by is one of {names}, not {row['by']!r}")
        at = place.setdefault(_key(row), len(table))
        if at == len(table):
            texts = {"prompt": mask(row["prompt"]), "why": mask(row["why"])}
            kept = {name: row[name] for name in ("entry_id", "agent_type", "response", "reports", "by")}
            table.append({**kept, **texts, "withdrawn_at": now, "reinstated_at": None})
        else:
            table[at]["reports"] = max(table[at]["reports"], row["reports"])
    return _table(table)


def reinstate(table: pa.Table, entry_ids: Collection[str], now: datetime) -> pa.Table:
    """The table with all answers of these entries reinstated: they may be warmed again.

    Raises ConfigurationError where some are not withdrawn, and names these.
    """
    rows = table.to_pylist()
    if unknown := sorted(set(entry_ids) - active(table)):
        raise ConfigurationError(f"not withdrawn, so there is nothing to reinstate: {', '.join(unknown)}")
    for row in rows:
        if row["entry_id"] in entry_ids and row["reinstated_at"] is None:
            row["reinstated_at"] = now
    return _table(rows)


def withdrawn_answers(table: pa.Table) -> dict[str, list[str]]:
    """The answers that are withdrawn and not reinstated, by entry_id."""
    answers: dict[str, list[str]] = {}
    for row in active_rows(table):
        answers.setdefault(row["entry_id"], []).append(row["response"])
    return answers


def variants_of(entry_ids: Collection[str], plan_rows: Rows) -> list[str]:
    """The planned entries that are variants of these entries and have the same response, in the plan's order: they are
    withdrawn together. ``entry_ids`` themselves, and variants of entries that are not planned, are not among them.

    ``plan_rows``: entry_id, response and provenance (JSON; with ``base_id`` for a variant) of WARMING_PLAN.
    """
    gone = {row["entry_id"]: canonical_response(row["response"]) for row in plan_rows if row["entry_id"] in entry_ids}
    found = []
    for row in plan_rows if gone else ():
        base = gone.get(json.loads(row["provenance"]).get("base_id") or "")
        if base is not None and row["entry_id"] not in gone and canonical_response(row["response"]) == base:
            found.append(row["entry_id"])
    return found


def near_withdrawn(prompt: np.ndarray, candidates: np.ndarray, radius: float) -> list[int]:
    """Row numbers of the candidates (n, d) within a cosine distance of ``radius`` of a withdrawn prompt (d,): other
    wordings of it, for which its answer is wrong too. All are unit vectors."""
    return np.flatnonzero(1.0 - candidates @ prompt <= radius).tolist() if len(candidates) else []


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["entry_id"], canonical_response(row["response"])


def _table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    return conform("withdrawn_entries", pa.Table.from_pylist(list(rows), schema=WITHDRAWN_ENTRIES))
