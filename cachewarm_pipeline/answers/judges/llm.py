"""The `llm` judge: a chat model decides about pairs that the local judge is not certain of.

No pair is paid for twice, and no more is spent than the cap allows.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.answers.equivalence_groups import VectorsOf, judged_groups, query_labels
from cachewarm_pipeline.answers.judges.judge_injection import instructs_judge
from cachewarm_pipeline.answers.judges.judge_question import JudgeModel, JudgeReply
from cachewarm_pipeline.answers.judges.verdict_store import VerdictStore
from cachewarm_pipeline.answers.leader_clustering import Positions
from cachewarm_pipeline.models.budgets import ModelBudget, ModelCost, ask_within_budget
from cachewarm_pipeline.ports import AnswerPair, JudgeUsage, JudgeUse, QueryAnswers
from cachewarm_pipeline.query_log.response_text import canonical_response

LOW, HIGH = 0.02, 0.98
"""Local probabilities from which a pair is decided without the model: at most LOW, at least HIGH.

A verdict about such a pair would change fewer than one in fifty, and most pairs of a log are such pairs. The few
hard contradictions (1%, see ``contradictions.is_hard``) are below LOW, so the model never overrules them. It is asked
about the others.
"""

YES, NO, SPLIT = 0.97, 0.03, 0.5
"""Probability that two answers are equivalent after a yes, after a no, and after one of each in the two orders.

Not measured yet: a model of this kind is taken to be wrong about 3 in 100 times.
"""

SWAP_SHARE = 0.05
"""Share of the pairs that are asked in both orders, to measure how consistent the model is. It costs 5% more requests,
and in 1,000 pairs an inconsistency of 10% is known to within 8 points."""

ASK_FLOOR = 0.6
"""Cosine below which two responses of an agent type are in different groups without a look (all-MiniLM-L6-v2).

98% of the pairs of the sample's responses are below it, so the groups of thousands of responses stay possible. The
responses of one query, and single pairs, are not bound to it. Another embedder has another scale.
"""

STORE_EVERY = 16
"""Verdicts stored at once: a killed run loses at most these and the requests under way, about a cent."""

_REPORT_EVERY = 500
"""Verdicts between two progress messages."""


class LocalProbability(Protocol):
    """The judge on this machine that the `llm` judge relies on where it does not ask."""

    usage: JudgeUsage

    def probability(self, pairs: Sequence[AnswerPair]) -> NDArray[np.float64]:
        """As in ``Judge``: 1 for equal answers, at most 0.01 for contradictions."""
        ...

    def same(self, pairs: Sequence[AnswerPair], use: JudgeUse = JudgeUse.LABEL) -> NDArray[np.bool_]:
        """As in ``Judge``."""
        ...

    def operating_point(self, use: JudgeUse) -> float:
        """As in ``Judge``."""
        ...


class _Opinion(NamedTuple):
    """What is known about k pairs."""

    probability: NDArray[np.float64]
    clear: NDArray[np.bool_]
    """The local judge is certain, or the model gave one clear verdict. Not so for pairs that are over the cap, that
    instruct the judge, or that got two different verdicts."""
    unjudged: NDArray[np.bool_]
    """The pairs over the cap."""


class PairAsk(NamedTuple):
    """A pair to ask about."""

    pair: AnswerPair
    orders: tuple[bool, ...]
    """``swapped`` of each request."""

    def most_tokens(self, model: JudgeModel) -> tuple[int, int]:
        """Upper bound of the (prompt, completion) tokens of all its requests."""
        prompt, completion = model.most_tokens(self.pair)
        return len(self.orders) * prompt, len(self.orders) * completion


class LlmJudge:
    """Asks a chat model about pairs whose local probability is between LOW and HIGH, and trusts ``local`` elsewhere.

    The most uncertain pairs are asked first. Verdicts are stored in batches as they arrive, so a crash or an error
    keeps what was paid for. Where there is no clear verdict, a pair is different; for ``JudgeUse.EXCLUDE`` the local
    judge decides it, so that no withdrawn answer comes back. For ``JudgeUse.CHANGED`` the local judge decides pairs
    over the cap, so that a spent budget does not look like changed answers. ``usage`` is the local judge's, with the
    model's on top.
    Memory: the stored verdicts, and the vectors of all responses given to ``groups``.
    """

    name = "llm"
    unjudged_is_local = False
    """Whether the local judge decides pairs over the cap for any use."""

    def __init__(
        self,
        local: LocalProbability,
        vectors_of: VectorsOf,
        progress: Callable[[str], object],
        *,
        model: JudgeModel,
        verdicts: VerdictStore,
        spend: ModelBudget,
        concurrency: int = 8,
    ) -> None:
        """``vectors_of`` returns unit vectors of responses, for ``groups``."""
        self._local = local
        self._vectors_of = vectors_of
        self._progress = progress
        self._model = model
        self._verdicts = verdicts
        self._spend = spend
        self._concurrency = concurrency
        self._counted: set[str] = set()
        self.usage = local.usage

    def probability(self, pairs: Sequence[AnswerPair]) -> NDArray[np.float64]:
        return self._opinion(pairs).probability

    def same(self, pairs: Sequence[AnswerPair], use: JudgeUse = JudgeUse.LABEL) -> NDArray[np.bool_]:
        opinion = self._opinion(pairs)
        result: NDArray[np.bool_] = opinion.clear & (opinion.probability > SPLIT)
        unjudged_is_local = self.unjudged_is_local or use is JudgeUse.CHANGED
        by_local = ~opinion.clear if use is JudgeUse.EXCLUDE else opinion.unjudged & unjudged_is_local
        places = np.flatnonzero(by_local)
        if len(places):
            result[places] = self._local.same([pairs[k] for k in places.tolist()], use)
        return result

    def operating_point(self, use: JudgeUse) -> float:
        return self._local.operating_point(use)

    def __call__(self, queries: Sequence[QueryAnswers]) -> list[list[int]]:
        return query_labels(queries, self._group_within, self._progress)

    def _group_within(self, questions: Sequence[str], responses: Sequence[str], queries: Sequence[int]) -> Positions:
        return judged_groups(
            questions, responses, self._local.probability, self._same_group, possible=LOW, queries=queries
        )

    def groups(self, questions: Sequence[str], responses: Sequence[str]) -> NDArray[np.int64]:
        return judged_groups(
            questions,
            responses,
            self._local.probability,
            self._same_group,
            possible=LOW,
            vectors_of=self._vectors_of,
            floor=ASK_FLOOR,
        )

    def _same_group(self, pairs: Sequence[AnswerPair]) -> NDArray[np.bool_]:
        return self.same(pairs, JudgeUse.GROUP)

    def _opinion(self, pairs: Sequence[AnswerPair]) -> _Opinion:
        """The opinion on each pair, after asking about those that need it, as far as the cap allows."""
        probability = np.array(self._local.probability(pairs), np.float64)
        clear, unjudged = np.ones(len(pairs), bool), np.zeros(len(pairs), bool)
        keys: dict[int, str] = {}
        for k in np.flatnonzero(probability > LOW).tolist():
            pair = pairs[k]
            if canonical_response(pair.left) == canonical_response(pair.right):
                continue
            if any(map(instructs_judge, (pair.question, pair.left, pair.right, pair.model or ""))):
                self.usage.suspicious += self._count_once(self._verdicts.key(pair))
                probability[k], clear[k] = NO, False
            elif probability[k] < HIGH:
                keys[k] = self._verdicts.key(pair)
        order = sorted(keys, key=lambda k: (round(abs(float(probability[k]) - SPLIT), 6), keys[k]))
        unknown: dict[str, PairAsk] = {}
        for k in order:
            if self._verdicts.get(keys[k]) is None:
                unknown.setdefault(keys[k], PairAsk(pairs[k], (False, True) if in_swap_sample(keys[k]) else (False,)))
        if unknown:
            self._ask(unknown)
        for k, key in keys.items():
            verdict, swapped = self._verdict(key, pairs[k])
            if verdict is None:
                clear[k], unjudged[k] = False, True
                continue
            agreed = swapped is None or swapped == verdict
            if self._count_once(key):
                self.usage.known += key not in unknown
                self.usage.swapped += swapped is not None
                self.usage.inconsistent += not agreed
            probability[k] = (YES if verdict else NO) if agreed else SPLIT
            clear[k] = agreed
        return _Opinion(probability, clear, unjudged)

    def _verdict(self, key: str, pair: AnswerPair) -> tuple[bool | None, bool | None]:
        """The stored verdicts in the first and in the other order."""
        verdict = self._verdicts.get(key)
        if verdict is None or not in_swap_sample(key):
            return verdict, None
        return verdict, self._verdicts.get(self._verdicts.key(pair, swapped=True))

    def _count_once(self, key: str) -> bool:
        """Whether the pair is counted for the first time."""
        first = key not in self._counted
        self._counted.add(key)
        return first

    def _ask(self, asks: dict[str, PairAsk]) -> None:
        """Asks about the pairs in order, as far as the cap allows, and stores the verdicts by key."""
        fresh: dict[str, bool] = {}

        def ask(one: PairAsk) -> list[JudgeReply]:
            reserve = self._spend.attempt_reserver("CACHEWARM_JUDGE_MAX_USD")
            return [self._model.ask(one.pair, reserve, swapped=swapped) for swapped in one.orders]

        def finished(key: str, replies: list[JudgeReply]) -> ModelCost:
            one = asks[key]
            for swapped, reply in zip(one.orders, replies, strict=True):
                fresh[self._verdicts.key(one.pair, swapped=swapped)] = reply.equivalent
            if len(fresh) >= STORE_EVERY:
                self._verdicts.put(fresh)
                self._model.write()
                fresh.clear()
            return self._count(replies)

        closed = self._spend.closed
        try:
            ask_within_budget(
                self._spend,
                asks,
                ask,
                most=lambda one: self._spend.cost(*one.most_tokens(self._model)),
                finished=finished,
                concurrency=self._concurrency,
                name="judge",
            )
        finally:
            self._model.write()
            self._verdicts.put(fresh)
        left = [key for key in asks if self._verdicts.get(key) is None]
        self.usage.unjudged += sum(map(self._count_once, left))
        if self._spend.closed and not closed:
            self._progress(
                f"{self._model.name}: the {self._spend.cap('CACHEWARM_JUDGE_MAX_USD')} is reached; those of the "
                f"{len(asks):,} pairs that have no verdict yet count as different"
            )

    def _count(self, replies: Sequence[JudgeReply]) -> ModelCost:
        """Adds the replies about one pair to the usage. Returns their cost to the budget, without the attempts that got
        no answer: each of those was charged to the budget when it was made."""
        prompt, completion = sum(reply.prompt_tokens for reply in replies), sum(r.completion_tokens for r in replies)
        lost = sum(reply.lost[0] for reply in replies), sum(reply.lost[1] for reply in replies)
        self.usage.usd += self._spend.cost(prompt, completion).usd
        self.usage.prompt_tokens += prompt
        self.usage.completion_tokens += completion
        self.usage.asked += 1
        if self.usage.asked % _REPORT_EVERY == 0:
            self._progress(f"{self._model.name} judged {self.usage.asked:,} pairs for ${self.usage.usd:.2f}")
        return self._spend.cost(prompt - lost[0], completion - lost[1])


def in_swap_sample(key: str) -> bool:
    """Whether the pair with this key is asked in both orders. The same in every run."""
    return int(key[:8], 16) < SWAP_SHARE * 2**32
