"""What a run would cost, before anything is paid: an estimate and an upper bound, in tokens and dollars. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from cachewarm_pipeline.models.usage_prices import Price

BYTES_A_TOKEN = 4.5
"""Mean bytes per token of English text, measured. A token has at least one byte, so the number of bytes is an upper
bound of the number of tokens."""

VERDICT_TOKENS = 8
"""Completion tokens of a judge's verdict on one pair."""

ANSWER_TOKENS = 200
"""Completion tokens of a short answer, a guess."""

_ITEM_TOKENS = 4
"""Tokens of the quotes and commas around one variant."""


@dataclass(frozen=True)
class TokenEstimate:
    """Tokens of one or more requests: expected ones, and upper bounds."""

    prompt: float = 0
    completion: float = 0
    most_prompt: float = 0
    most_completion: float = 0


def tokens_to_embed(texts: Iterable[str], most: int) -> TokenEstimate:
    """Tokens to embed texts. ``most``: upper bound for all of them together."""
    return TokenEstimate(ceil(sum(len(text.encode("utf-8", "replace")) for text in texts) / BYTES_A_TOKEN), 0, most, 0)


def tokens_to_judge(most: Sequence[tuple[int, int]], attempts: int) -> TokenEstimate:
    """Tokens to judge pairs, each request in one attempt. ``most``: upper bounds (prompt, completion) of each request
    with ``attempts`` attempts."""
    prompt = sum(pair[0] for pair in most)
    return TokenEstimate(
        ceil(prompt / attempts / BYTES_A_TOKEN), VERDICT_TOKENS * len(most), prompt, sum(pair[1] for pair in most)
    )


def tokens_to_write(bases: Sequence[tuple[str, int | None, tuple[int, int]]], attempts: int) -> TokenEstimate:
    """Tokens to write texts for bases, each a tuple (text, number of variants or None for an answer, upper bounds
    (prompt, completion) of one attempt)."""
    prompt = sum(most[0] for *_, most in bases)
    written = sum(
        ANSWER_TOKENS if n is None else n * (len(text.encode("utf-8", "replace")) / BYTES_A_TOKEN + _ITEM_TOKENS)
        for text, n, _ in bases
    )
    most_written = sum(most[1] for *_, most in bases)
    return TokenEstimate(
        ceil(prompt / BYTES_A_TOKEN), ceil(min(written, most_written)), attempts * prompt, attempts * most_written
    )


@dataclass(frozen=True)
class PaidStep:
    """One purpose that a run pays for."""

    number: int
    """Texts, bases or pairs."""
    tokens: TokenEstimate
    price: Price
    share: float = 1.0
    """Share of the list price that is paid: less than 1 for batches."""
    cap: float | None = None
    """Dollars that the step may cost at most, from its own setting."""

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
    steps: Mapping[str, PaidStep],
    *,
    prices_as_of: str,
    planned_with: str,
    stand_in: bool,
    local: bool,
    max_usd: float | None,
) -> dict[str, Any]:
    """The report's ``planned_cost``: each purpose, and all of them together under the run's cap ``max_usd``.

    ``planned_with``: the model whose vectors the plan uses; ``stand_in``: this is not the model in the settings;
    ``local``: the model in the settings runs on this machine.
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
