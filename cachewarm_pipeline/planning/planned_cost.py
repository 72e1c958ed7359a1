"""What a run would pay, before anything is paid: an estimate, and the most that it can be."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from cachewarm_pipeline.models.usage_prices import Price

BYTES_A_TOKEN = 4.5
"""Of English text, measured. A token is one byte at least: so bytes are the most."""

VERDICT_TOKENS = 8
"""What a judge writes about a pair."""

ANSWER_TOKENS = 200
"""A guess of what a short answer takes."""

_ITEM_TOKENS = 4
"""Quotes and commas around a variant."""


@dataclass(frozen=True)
class Tokens:
    """Of one or more requests, prompt and completion; ``most``: upper bounds of both."""

    prompt: float = 0
    completion: float = 0
    most_prompt: float = 0
    most_completion: float = 0


def of_texts(texts: Iterable[str], most: int) -> Tokens:
    """To embed texts. ``most``: upper bound, over all of them."""
    return Tokens(ceil(sum(len(text.encode("utf-8", "replace")) for text in texts) / BYTES_A_TOKEN), 0, most, 0)


def of_pairs(most: Sequence[tuple[int, int]], asks: int) -> Tokens:
    """To judge pairs, asked once each. ``most``: upper bounds, of ``asks`` tries each."""
    prompt = sum(pair[0] for pair in most)
    return Tokens(
        ceil(prompt / asks / BYTES_A_TOKEN), VERDICT_TOKENS * len(most), prompt, sum(pair[1] for pair in most)
    )


def of_bases(bases: Sequence[tuple[str, int | None, tuple[int, int]]], tries: int) -> Tokens:
    """To write for bases: (text, variants or None for an answer, upper bound of one try)."""
    prompt = sum(most[0] for *_, most in bases)
    written = sum(
        ANSWER_TOKENS if n is None else n * (len(text.encode("utf-8", "replace")) / BYTES_A_TOKEN + _ITEM_TOKENS)
        for text, n, _ in bases
    )
    most_written = sum(most[1] for *_, most in bases)
    return Tokens(ceil(prompt / BYTES_A_TOKEN), ceil(min(written, most_written)), tries * prompt, tries * most_written)


@dataclass(frozen=True)
class Step:
    """One purpose. ``number`` of texts, bases or pairs; ``cap``: what it may cost at most, by its own setting."""

    number: int
    tokens: Tokens
    price: Price
    share: float = 1.0
    cap: float | None = None

    def as_dict(self) -> dict[str, Any]:
        at = self.tokens
        usd = self.price.usd(at.prompt, at.completion, self.share)
        most = self.price.usd(at.most_prompt, at.most_completion, self.share)
        cap = self.cap if self.cap is not None else most
        return {
            "number": self.number,
            "model": self.price.model,
            "tokens": int(at.prompt + at.completion),
            "tokens_at_most": int(at.most_prompt + at.most_completion),
            "usd": min(usd, cap),
            "usd_at_most": min(most, cap),
            "usd_per_million_prompt_tokens": self.price.prompt,
            "usd_per_million_completion_tokens": self.price.completion,
            "share": self.share,
            "capped": most > cap,
        }


def planned_cost(
    steps: Mapping[str, Step],
    *,
    prices_as_of: str,
    planned_with: str,
    stand_in: bool,
    local: bool,
    max_usd: float | None,
) -> dict[str, Any]:
    """The report's ``planned_cost``: each purpose, and all together under the cap of the run.

    ``planned_with``: the model whose vectors the plan rests on; ``stand_in``: that this is not the one of the settings;
    ``local``: that the one of the settings runs on this machine.
    """
    each = {purpose: step.as_dict() for purpose, step in steps.items()}
    usd, most = (sum(found[name] for found in each.values()) for name in ("usd", "usd_at_most"))
    cap = most if max_usd is None else max_usd
    return {
        "planned_with": planned_with,
        "stand_in": stand_in,
        "local": local,
        "prices_as_of": prices_as_of,
        **each,
        "usd": min(usd, cap),
        "usd_at_most": min(most, cap),
        "max_usd": max_usd,
        "may_reach_max_usd": most > cap,
    }
