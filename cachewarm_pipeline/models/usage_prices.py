"""Money that models took: rows by run, asset, day, purpose, model and share of the price, and what rows sum to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

EMBEDDING, GENERATION, JUDGING = "embedding", "generation", "judging"

PURPOSES = (EMBEDDING, GENERATION, JUDGING)


@dataclass(frozen=True)
class Price:
    """What a model is paid for, in USD per million tokens. ``model``: as its server calls it."""

    purpose: str
    model: str
    prompt: float
    completion: float = 0.0

    def usd(self, prompt_tokens: float, completion_tokens: float = 0, share: float = 1.0) -> float:
        """``share`` of the price is paid: 0.5 in a batch."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6 * share


@dataclass(frozen=True)
class Total:
    """Tokens (prompt and completion together) and USD."""

    tokens: int = 0
    usd: float = 0.0


def totals(rows: Iterable[Mapping[str, Any]]) -> dict[str, Total]:
    """Rows of USAGE summed by purpose; every purpose is there."""
    found = dict.fromkeys(PURPOSES, Total())
    for row in rows:
        before = found[row["purpose"]]
        tokens = row["prompt_tokens"] + row["completion_tokens"]
        found[row["purpose"]] = Total(before.tokens + tokens, before.usd + row["usd"])
    return found
