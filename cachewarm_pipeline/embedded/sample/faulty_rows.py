"""Deliberate faults in one log row of a hundred. A faulty row stays in the file of its day, whatever its date says."""

import json
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

FAULT_SHARE = 0.01
"""Share of log rows with a fault."""

FAULT_KINDS = {
    "null_query": 8, "empty_query": 5, "blank_query": 4, "long_query": 2, "control_characters": 9,
    "null_agent_type": 8, "empty_agent_type": 4, "bad_agent_type": 4,
    "null_response": 9, "empty_response": 6, "broken_json": 10, "plain_text_response": 8, "long_response": 2,
    "null_created_at": 7, "epoch_date": 4, "far_date": 4, "nan_cost": 8,
}  # fmt: skip
"""Kinds of faults and their relative frequencies."""

NO_TRUTH = frozenset(
    {"null_query", "empty_query", "blank_query", "long_query", "null_agent_type", "empty_agent_type", "bad_agent_type"}
)
"""Kinds whose row asks nothing that could be answered; such a row has no intent."""

LONG = 50_000
"""Characters of a text that exceeds every limit."""

FAR = 253_402_214_400_000_000
"""9999-12-31 in microseconds since 1970: beyond the range of nanosecond timestamps."""

BAD_AGENT_TYPES = ("", "   ", "security\nauditor", "agent" * 60)

# Without NUL: PostgreSQL cannot store it, and the sample must load into any database.
_CONTROLS = ("\x07", "\x0b", "\x1b", "\u200b", "\u202e", "\x7f", "\ufeff")


@dataclass
class TextColumn:
    """A text column under construction."""

    values: list[pa.Array]
    """Parts of the list of values."""
    index: np.ndarray
    """The value that each row takes."""
    null: np.ndarray
    """Rows without a value."""
    size: int
    """Number of values in all parts."""
    added: list[str] = field(default_factory=list)
    """Further values, each for one row."""

    def text(self, row: int) -> str:
        """The value of a row."""
        at = int(self.index[row])
        for values in self.values:
            if at < len(values):
                return str(values[at].as_py())
            at -= len(values)
        return self.added[at]

    def put(self, row: int, text: str) -> None:
        """Gives one row a new text."""
        self.index[row] = self.size + len(self.added)
        self.added.append(text)

    def array(self) -> pa.Array:
        """The finished column."""
        values = pa.concat_arrays([*self.values, pa.array(self.added, pa.string())])
        return values.take(pa.array(self.index, mask=self.null))


def text_column(values: list[pa.Array], index: np.ndarray) -> TextColumn:
    """A column without nulls."""
    return TextColumn(values, index, np.zeros(len(index), bool), sum(map(len, values)))


@dataclass
class LogColumns:
    """The columns that can have faults."""

    query: TextColumn
    agent_type: TextColumn
    response: TextColumn
    created_at: np.ndarray  # microseconds since 1970
    no_date: np.ndarray
    cost_usd: np.ndarray


def _long(text: str) -> str:
    return (text + " ~ ")[:400].ljust(400, "-") * (LONG // 400)


def _with_controls(text: str, rng: np.random.Generator) -> str:
    """Adds control characters between the words, which do not change the canonical form."""
    words = [word + str(rng.choice(_CONTROLS)) if rng.random() < 0.5 else word for word in text.split(" ")]
    return " ".join(words) + str(rng.choice(_CONTROLS))


def add_faults(rows: LogColumns, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Adds a fault to about ``FAULT_SHARE`` of the rows, in place. Returns the numbers of these rows, and the number of
    each one's kind in FAULT_KINDS."""
    names = list(FAULT_KINDS)
    share = np.array(list(FAULT_KINDS.values()), float)
    faulty = np.flatnonzero(rng.random(len(rows.created_at)) < FAULT_SHARE)
    kinds = rng.choice(len(names), size=len(faulty), p=share / share.sum())
    for row, kind in zip(faulty.tolist(), kinds.tolist(), strict=True):
        _add_fault(rows, row, names[kind], rng)
    return faulty, kinds


def _add_fault(rows: LogColumns, row: int, kind: str, rng: np.random.Generator) -> None:
    if kind.startswith("null_") and kind != "null_created_at":
        getattr(rows, kind.removeprefix("null_")).null[row] = True
    elif kind.startswith("empty_"):
        getattr(rows, kind.removeprefix("empty_")).put(row, "")
    elif kind == "blank_query":
        rows.query.put(row, str(rng.choice([" ", "\n\n", "\t ", "?", " ... "])))
    elif kind == "long_query":
        rows.query.put(row, _long(f"paste {rng.integers(1 << 30)} {rows.query.text(row)}"))
    elif kind == "control_characters":
        rows.query.put(row, _with_controls(rows.query.text(row), rng))
    elif kind == "bad_agent_type":
        rows.agent_type.put(row, str(rng.choice(BAD_AGENT_TYPES)))
    elif kind == "broken_json":
        text = rows.response.text(row)
        text = text if text.startswith("{") else json.dumps({"summary": text}, ensure_ascii=False)
        rows.response.put(row, text[: len(text) * 2 // 3])
    elif kind == "plain_text_response":
        rows.response.put(row, "I'm sorry, but I can only help with code.")
    elif kind == "long_response":
        rows.response.put(row, '{"summary": "' + _long("very long größe 大 ") + '", "severity": "low"}')
    elif kind == "null_created_at":
        rows.no_date[row] = True
    elif kind == "epoch_date":
        rows.created_at[row] = 0
    elif kind == "far_date":
        rows.created_at[row] = FAR
    elif kind == "nan_cost":
        rows.cost_usd[row] = np.nan
