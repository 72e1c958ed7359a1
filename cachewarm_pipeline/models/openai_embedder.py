"""The OpenAI embedder of a run: within the spend cap and the rate limit, with every attempt in the usage ledger."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cachewarm_client.embedders.openai import OpenAIEmbedder, most_tokens, server_options

from cachewarm_pipeline.errors import SpendCapError
from cachewarm_pipeline.models.paid_server import PaidServer
from cachewarm_pipeline.models.rate_limiter import RateLimiter
from cachewarm_pipeline.models.unanswered_request_retries import UnansweredAttempts

if TYPE_CHECKING:
    from cachewarm_pipeline.models.budgets import Meter, RunBudget


class BudgetedOpenAIEmbedder(OpenAIEmbedder):
    """An ``OpenAIEmbedder`` that spends within ``run_budget``: an attempt that could exceed its limit is not sent, and
    raises SpendCapError.

    ``meter`` notes the tokens that answers report. Where an answer reports none or is lost, it notes the most that the
    answer can have taken.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 5,
        rate_limiter: RateLimiter | None = None,
        meter: "Meter | None" = None,
        run_budget: "RunBudget | None" = None,
        **options: Any,
    ) -> None:
        self._paid_server = PaidServer(
            model,
            **server_options(api_key, base_url),
            timeout=timeout,
            max_retries=max_retries,
            rate_limiter=rate_limiter,
        )
        super().__init__(model, server=self._paid_server, **options)
        self._meter, self._run_budget = meter, run_budget

    def _batch_finished(self) -> None:
        if self._meter:
            self._meter.write()

    def _answer(self, texts: list[str]) -> Any:
        """The JSON of an answer, within the budget. Its tokens are noted even where the answer turns out unusable."""
        most = most_tokens(texts)
        reserved = self._usd(most)
        if self._run_budget and not self._run_budget.reserve_or_wait(reserved):
            raise self._over_cap(texts)
        used = 0.0

        def note(tokens: int, _: int = 0) -> None:
            nonlocal used
            used += self._usd(tokens)
            self._used(tokens)
            if self._meter:
                self._meter.note(tokens)

        def reserve_attempt(*_: int) -> None:
            nonlocal reserved
            if self._run_budget and not self._run_budget.reserve(self._usd(most)):
                raise self._over_cap(texts, "; the attempt before had no answer, and may still be billed")
            reserved += self._usd(most)

        try:
            with self._paid_server.asking(UnansweredAttempts((most, 0), note, reserve_attempt)) as client:
                content = self._send(client, texts)
            return self._parsed(texts, content, note)
        finally:
            if self._run_budget:
                self._run_budget.settle_and_notify(reserved, used)

    def _usd(self, tokens: int) -> float:
        return tokens * self._price / 1e6

    def _over_cap(self, texts: Sequence[str], why: str = "") -> SpendCapError:
        assert self._run_budget is not None
        most = self._usd(most_tokens(texts))
        return SpendCapError(
            f"the spend cap of ${self._run_budget.limit:g} over all models (CACHEWARM_MAX_USD) is reached: this run "
            f"has spent ${self._run_budget.spent:.6f}, and a request for {len(texts):,} embeddings can take "
            f"${most:.6f}{why}",
            alone=self._run_budget.limit is not None and most > self._run_budget.limit,
        )
