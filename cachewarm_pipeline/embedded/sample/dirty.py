"""What is wrong with one row in a hundred, on purpose. Rows stay in the file of their day, whatever their date."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

SHARE = 0.01
"""Share of log rows that are dirty."""

KINDS = {
    "null_query": 8, "empty_query": 5, "blank_query": 4, "long_query": 2, "control_characters": 9,
    "null_agent_type": 8, "empty_agent_type": 4, "bad_agent_type": 4,
    "null_response": 9, "empty_response": 6, "broken_json": 10, "plain_text_response": 8, "long_response": 2,
    "null_created_at": 7, "epoch_date": 4, "far_date": 4, "nan_cost": 8,
}  # fmt: skip
"""Kind of fault and its relative frequency."""

NO_TRUTH = frozenset(
    {"null_query", "empty_query", "blank_query", "long_query", "null_agent_type", "empty_agent_type", "bad_agent_type"}
)
"""Kinds whose row asks nothing that could be answered: they have no intent."""

LONG = 50_000
"""Characters of a text beyond any limit."""

FAR = 253_402_214_400_000_000
"""9999-12-31 in microseconds since 1970: past what nanosecond timestamps hold."""

BAD_AGENT_TYPES = ("", "   ", "security\nauditor", "agent" * 60)

# NUL is not among them: PostgreSQL cannot store it, and the sample must load anywhere.
_CONTROLS = ("\x07", "\x0b", "\x1b", "\u200b", "\u202e", "\x7f", "\ufeff")


@dataclass
class Column:
    """A text column to be: values, and which of them each row takes. Rows in ``null`` take none."""

    values: list[pa.Array]
    index: np.ndarray
    null: np.ndarray
    size: int
    added: list[str] = field(default_factory=list)

    def text(self, row: int) -> str:
        """What the row holds before it is made dirty."""
        at = int(self.index[row])
        for values in self.values:
            if at < len(values):
                return str(values[at].as_py())
            at -= len(values)
        return self.added[at]

    def put(self, row: int, text: str) -> None:
        """Gives one row a text of its own."""
        self.index[row] = self.size + len(self.added)
        self.added.append(text)

    def array(self) -> pa.Array:
        """The column."""
        values = pa.concat_arrays([*self.values, pa.array(self.added, pa.string())])
        return values.take(pa.array(self.index, mask=self.null))


def column(values: list[pa.Array], index: np.ndarray) -> Column:
    """A column without nulls."""
    return Column(values, index, np.zeros(len(index), bool), sum(map(len, values)))


@dataclass
class Rows:
    """The columns that can be dirty."""

    query: Column
    agent_type: Column
    response: Column
    created_at: np.ndarray  # microseconds since 1970
    no_date: np.ndarray
    cost_usd: np.ndarray


def _long(text: str) -> str:
    return (text + " ~ ")[:400].ljust(400, "-") * (LONG // 400)


def _with_controls(text: str, rng: np.random.Generator) -> str:
    """Control characters between the words, so that the canonical form stays."""
    words = [word + str(rng.choice(_CONTROLS)) if rng.random() < 0.5 else word for word in text.split(" ")]
    return " ".join(words) + str(rng.choice(_CONTROLS))


def soil(rows: Rows, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Makes about ``SHARE`` of the rows dirty, in place. Returns their numbers and the number of each one's kind."""
    names = list(KINDS)
    share = np.array(list(KINDS.values()), float)
    dirty = np.flatnonzero(rng.random(len(rows.created_at)) < SHARE)
    kinds = rng.choice(len(names), size=len(dirty), p=share / share.sum())
    for row, kind in zip(dirty.tolist(), kinds.tolist(), strict=True):
        _soil(rows, row, names[kind], rng)
    return dirty, kinds


def _soil(rows: Rows, row: int, kind: str, rng: np.random.Generator) -> None:
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
