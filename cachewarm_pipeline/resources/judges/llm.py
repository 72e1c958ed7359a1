"""The `llm` judge: a chat model has the last word on pairs that are near and whose facts agree. No pair is paid for
twice, and no more is spent than the cap allows.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.core.judging import Decide
from cachewarm_pipeline.resources.judges.chat import ChatModel, Reply
from cachewarm_pipeline.resources.judges.embedding import EmbeddingJudge
from cachewarm_pipeline.resources.judges.verdicts import VerdictStore
from cachewarm_pipeline.resources.ports import Embedder, VectorStore

ASK_FLOOR = 0.6
"""Cosine of two responses under which they are held different without asking (all-MiniLM-L6-v2).

Far under the 0.85 from which rewordings of one answer mostly stand, so little is lost; and 98% of
the pairs of the sample's responses are under it, which makes the cost bearable. Another embedder has another scale.
"""

STORE_EVERY = 16
"""Answers stored at once: a killed run loses at most these and those under way, about a cent."""

_TELL_EVERY = 500


class Spend:
    """What one run may pay a model, over all judges of the run. Prices in USD per million tokens.

    ``limit`` is never passed as long as no request takes more than its upper bound; requests that failed on the server
    are taken as free. Once a request does not fit, nothing more is asked in this run.
    """

    def __init__(self, limit: float, prompt_price: float, completion_price: float) -> None:
        self.limit = limit
        self.spent = 0.0
        """Paid, and set aside for requests under way."""
        self.closed = False
        self._prices = prompt_price / 1e6, completion_price / 1e6

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return prompt_tokens * self._prices[0] + completion_tokens * self._prices[1]

    def fits(self, usd: float) -> bool:
        return not self.closed and self.spent + usd <= self.limit


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
        model: ChatModel,
        verdicts: VerdictStore,
        spend: Spend,
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
        running: dict[Future[Reply], tuple[str, float]] = {}
        with ThreadPoolExecutor(self._concurrency, thread_name_prefix="judge") as pool:
            try:
                for key, pair in pairs.items():
                    most = self._spend.cost(*self._model.most_tokens(*pair))
                    # What was set aside comes back as answers come in: so what is asked does not depend on timing.
                    while running and (len(running) == self._concurrency or not self._spend.fits(most)):
                        self._collect(running, fresh)
                    if not self._spend.fits(most):
                        self._close(len(pairs))
                        break
                    self._spend.spent += most
                    running[pool.submit(self._model.ask, *pair)] = key, most
                while running:
                    self._collect(running, fresh)
            finally:
                # After an error too: what is under way is paid for.
                for future in list(running):
                    if not future.cancel() and future.exception() is None:
                        self._settle(future, running, fresh)
                self._verdicts.put(fresh)

    def _collect(self, running: dict[Future[Reply], tuple[str, float]], fresh: dict[str, bool]) -> None:
        """Waits for answers; those that are finished are counted, and stored when they are enough."""
        done = wait(running, return_when=FIRST_COMPLETED).done
        for future in [future for future in running if future in done]:
            self._settle(future, running, fresh)
        if len(fresh) >= STORE_EVERY:
            self._verdicts.put(fresh)
            fresh.clear()

    def _settle(
        self, future: Future[Reply], running: dict[Future[Reply], tuple[str, float]], fresh: dict[str, bool]
    ) -> None:
        key, most = running.pop(future)
        reply = future.result()
        usd = self._spend.cost(reply.prompt_tokens, reply.completion_tokens)
        self._spend.spent += usd - most
        self.usage.usd += usd
        self.usage.prompt_tokens += reply.prompt_tokens
        self.usage.completion_tokens += reply.completion_tokens
        self.usage.asked += 1
        fresh[key] = reply.equivalent
        if self.usage.asked % _TELL_EVERY == 0:
            self._progress(f"{self._model.name} judged {self.usage.asked:,} pairs for ${self.usage.usd:.2f}")

    def _close(self, pairs: int) -> None:
        if not self._spend.closed:
            self._spend.closed = True
            self._progress(
                f"{self._model.name}: the spend cap of ${self._spend.limit:g} (CACHEWARM_JUDGE_MAX_USD) is reached; of "
                f"{pairs:,} pairs those without a verdict are held different"
            )
