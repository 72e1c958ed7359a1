"""What models cost: prices, the rows of the usage ledger, and their sums by purpose."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypedDict

EMBEDDING, GENERATION, JUDGING = "embedding", "generation", "judging"

PURPOSES = (EMBEDDING, GENERATION, JUDGING)


@dataclass(frozen=True)
class Price:
    """The price of a model, in USD per million tokens."""

    purpose: str
    """One of PURPOSES."""
    model: str
    """As its server calls it."""
    prompt: float
    completion: float = 0.0

    def usd(self, prompt_tokens: float, completion_tokens: float = 0, share: float = 1.0) -> float:
        """USD for these tokens. ``share`` is the part of the price that is paid: 0.5 in a batch."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6 * share


class UsageRow(TypedDict):
    """A row of USAGE (storage.measurement_schemas), which describes the fields."""

    at: datetime
    run_id: str
    asset: str
    day: date
    purpose: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    usd_per_million_prompt_tokens: float
    usd_per_million_completion_tokens: float
    share: float
    usd: float
    prices_as_of: date


@dataclass(frozen=True)
class Total:
    """A sum of usage rows."""

    tokens: int = 0
    """Prompt and completion tokens together."""
    usd: float = 0.0


def totals(rows: Iterable[UsageRow]) -> dict[str, Total]:
    """The rows summed by purpose. Every purpose is a key, with zeros where it has no rows."""
    found = dict.fromkeys(PURPOSES, Total())
    for row in rows:
        before = found[row["purpose"]]
        tokens = row["prompt_tokens"] + row["completion_tokens"]
        found[row["purpose"]] = Total(before.tokens + tokens, before.usd + row["usd"])
    return found
