"""The `llm` judge: a chat model has the last word on pairs that are near and whose facts agree. No pair is paid for
twice, and no more is spent than the cap allows.
"""

from collections.abc import Callable, Sequence

import numpy as np
from cachewarm_client.embedders.embedder import Embedder
from numpy.typing import NDArray

from cachewarm_pipeline.answers.contradictions import Decide
from cachewarm_pipeline.answers.judges.embedding_similarity import EmbeddingJudge
from cachewarm_pipeline.answers.judges.judge_question import JudgeModel, JudgeReply
from cachewarm_pipeline.answers.judges.verdict_store import VerdictStore
from cachewarm_pipeline.models.budgets import ModelBudget, ModelCost, ask_within_budget
from cachewarm_pipeline.storage.vector_store import VectorStore

ASK_FLOOR = 0.6
"""Cosine of two responses under which they are held different without asking (all-MiniLM-L6-v2).

Far under the 0.85 from which rewordings of one answer mostly stand, so little is lost; and 98% of
the pairs of the sample's responses are under it, which makes the cost bearable. Another embedder has another scale.
"""

STORE_EVERY = 16
"""Answers stored at once: a killed run loses at most these and those under way, about a cent."""

_TELL_EVERY = 500


class LlmJudge(EmbeddingJudge):
    """Responses are equivalent when their facts agree, their cosine reaches ASK_FLOOR and the model says so.

    Each finished batch of answers is stored at once, so a crash or an error keeps what was paid for. Pairs over the
    spend cap are held different and counted; the nearest pairs are asked first. Memory as the `embedding` judge's, and
    the stored verdicts.
    """

    name = "llm"
    floor = ASK_FLOOR

    def __init__(
        self,
        embedder: Embedder,
        vectors: VectorStore,
        progress: Callable[[str], object],
        *,
        model: JudgeModel,
        verdicts: VerdictStore,
        spend: ModelBudget,
        concurrency: int = 8,
    ) -> None:
        super().__init__(embedder, vectors, progress)
        self._model = model
        self._verdicts = verdicts
        self._spend = spend
        self._concurrency = concurrency
        self._counted: set[str] = set()

    def _last_word(self) -> Decide | None:
        return self._decide

    def _decide(self, pairs: Sequence[tuple[str, str]], cosine: NDArray[np.float64]) -> NDArray[np.bool_]:
        keys = [self._verdicts.key(*pair) for pair in pairs]
        open_pairs: dict[str, tuple[str, str]] = {}
        for k in np.argsort(-cosine, kind="stable").tolist():
            if self._verdicts.get(keys[k]) is None:
                open_pairs.setdefault(keys[k], pairs[k])
            elif keys[k] not in self._counted:
                self._counted.add(keys[k])
                self.usage.known += 1
        if open_pairs:
            self._ask(open_pairs)
            left = [key for key in open_pairs if self._verdicts.get(key) is None]
            self.usage.unjudged += len(set(left) - self._counted)
            self._counted.update(open_pairs)
        return np.array([self._verdicts.get(key) or False for key in keys], bool)

    def _ask(self, pairs: dict[str, tuple[str, str]]) -> None:
        """Asks about pairs in order, as far as the cap allows, and stores the verdicts by key."""
        fresh: dict[str, bool] = {}

        def finished(key: str, reply: JudgeReply) -> ModelCost:
            cost = self._count(reply)
            fresh[key] = reply.equivalent
            if len(fresh) >= STORE_EVERY:
                self._verdicts.put(fresh)
                self._model.write()
                fresh.clear()
            return cost

        closed = self._spend.closed
        try:
            ask_within_budget(
                self._spend,
                pairs,
                lambda pair: self._model.ask(*pair, self._spend.attempt_reserver("CACHEWARM_JUDGE_MAX_USD")),
                most=lambda pair: self._spend.cost(*self._model.most_tokens(*pair)),
                finished=finished,
                concurrency=self._concurrency,
                name="judge",
            )
        finally:
            self._model.write()
            self._verdicts.put(fresh)
        if self._spend.closed and not closed:
            self._progress(
                f"{self._model.name}: the {self._spend.cap('CACHEWARM_JUDGE_MAX_USD')} is reached; of {len(pairs):,} "
                "pairs those without a verdict are held different"
            )

    def _count(self, reply: JudgeReply) -> ModelCost:
        """What it cost of what was set aside before it was asked: further tries set theirs aside themselves."""
        self.usage.usd += self._spend.cost(reply.prompt_tokens, reply.completion_tokens).usd
        self.usage.prompt_tokens += reply.prompt_tokens
        self.usage.completion_tokens += reply.completion_tokens
        self.usage.asked += 1
        if self.usage.asked % _TELL_EVERY == 0:
            self._progress(f"{self._model.name} judged {self.usage.asked:,} pairs for ${self.usage.usd:.2f}")
        return self._spend.cost(reply.prompt_tokens - reply.lost[0], reply.completion_tokens - reply.lost[1])
