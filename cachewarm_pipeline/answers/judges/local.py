"""The `local` judge: a small calibrated model over features of the question and both answers, and a veto.

The model sees what carries the answer; the veto sees what no similarity shows: that each answer claims what the other
excludes (answers.contradictions).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from cachewarm_client.embedders.embedder import Embedder
from numpy.typing import NDArray

from cachewarm_pipeline.answers.contradictions import contradict, is_hard
from cachewarm_pipeline.answers.equivalence_groups import is_blank, judged_groups, labels_of
from cachewarm_pipeline.answers.facts import FACTS_CACHED, facts
from cachewarm_pipeline.answers.judges.answer_words_store import AnswerWordsStore
from cachewarm_pipeline.answers.judges.local_model import LocalModel, local_model
from cachewarm_pipeline.answers.judges.response_vectors import response_vectors
from cachewarm_pipeline.answers.languages import known_language
from cachewarm_pipeline.answers.pair_features import Texts, pair_features
from cachewarm_pipeline.ports import AnswerPair, JudgeUsage, JudgeUse, QueryAnswers
from cachewarm_pipeline.query_log.response_text import canonical_response
from cachewarm_pipeline.storage.vector_store import VectorStore

HARD = -4.6
"""Log-odds (1%) of two answers that contradict each other, whatever else they share."""

SOFT, SOFT_AT_MOST = 1.0, -0.3
"""Log-odds taken off two answers that seem to contradict each other, and the most that remain (43%): under every
operating point. People call 40% of such pairs of real answers equivalent, because a place is found by words alone. So
the model of the `llm` judge may overrule it."""

WORTH_A_VETO = -1.5
"""Log-odds from which a pair is searched for a contradiction. Below it, no use would call it equivalent."""

UNKNOWN_LANGUAGE = 1.5
"""Log-odds taken off where an answer is in a language whose negations are not known: no veto would see them."""

GROUP_FLOOR = 0.5
"""Cosine of two answers to different questions below which they are not compared: of the pairs of open_answers that
people call equivalent 1% is below it."""

_PAIRS = 8_192
"""Pairs whose vectors and words are in memory at once: 25 MB of vectors, 40 MB of words of 250-word answers."""

_QUERIES = 2_000
"""Queries whose pairs are judged at once."""


class LocalJudge:
    """Probability that a person who asked the question would be served as well by one answer as by the other.

    Answers with one canonical form have probability 1. Answers that contradict each other, and a blank answer beside
    another one, have at most VETOED. Vectors and words of a text are computed once and stored. Memory: blocks, and the
    vectors of all responses given to ``groups``.
    """

    name = "local"

    def __init__(
        self,
        embedder: Embedder,
        vectors: VectorStore,
        words: AnswerWordsStore,
        progress: Callable[[str], object],
        model: LocalModel | None = None,
    ) -> None:
        self.usage = JudgeUsage()
        self._vectors_of = response_vectors(embedder, vectors, progress, self.usage)
        self._words = words
        self._progress = progress
        self._model = model or local_model()
        self._rarity = self._model.rarity()
        self._facts = lru_cache(FACTS_CACHED)(facts)
        self._form = lru_cache(FACTS_CACHED)(canonical_response)
        self._is_known = lru_cache(FACTS_CACHED)(known_language)

    def probability(self, pairs: Sequence[AnswerPair]) -> NDArray[np.float64]:
        found = np.empty(len(pairs))
        for start in range(0, len(pairs), _PAIRS):
            if start and start % (8 * _PAIRS) == 0:
                self._progress(f"judged {start:,} of {len(pairs):,} pairs of answers")
            block = pairs[start : start + _PAIRS]
            found[start : start + len(block)] = self._block(block)
        return found

    def same(self, pairs: Sequence[AnswerPair], use: JudgeUse = JudgeUse.LABEL) -> NDArray[np.bool_]:
        return self.probability(pairs) >= self.operating_point(use)

    def operating_point(self, use: JudgeUse) -> float:
        return self._model.operating_points[use]

    def __call__(self, queries: Sequence[QueryAnswers]) -> list[list[int]]:
        found: list[list[int]] = []
        for start in range(0, len(queries), _QUERIES):
            block = queries[start : start + _QUERIES]
            if len(queries) > _QUERIES:
                self._progress(
                    f"judging the answers of query {start + 1:,} to {start + len(block):,} of {len(queries):,}"
                )
            texts = [(i, query.question, text) for i, query in enumerate(block) for text in query.responses]
            groups = self._groups(
                [question for _, question, _ in texts], [text for *_, text in texts], queries=[i for i, *_ in texts]
            )
            for query in block:
                own, groups = groups[: len(query.responses)], groups[len(query.responses) :]
                found.append(labels_of(own))
        return found

    def groups(self, questions: Sequence[str], responses: Sequence[str]) -> NDArray[np.int64]:
        return self._groups(questions, responses, vectors_of=self._vectors_of, floor=GROUP_FLOOR)

    def _groups(self, questions: Sequence[str], responses: Sequence[str], **limits: Any) -> NDArray[np.int64]:
        point = self._model.operating_points[JudgeUse.GROUP]
        return judged_groups(
            questions,
            responses,
            self.probability,
            lambda pairs: self.same(pairs, JudgeUse.GROUP),
            possible=float(np.nextafter(point, 0)),
            **limits,
        )

    def _block(self, pairs: Sequence[AnswerPair]) -> NDArray[np.float64]:
        found = np.array([1.0 if self._form(pair.left) == self._form(pair.right) else 0.0 for pair in pairs])
        judged = [
            k for k in np.flatnonzero(found == 0).tolist() if not (is_blank(pairs[k].left) or is_blank(pairs[k].right))
        ]
        if not judged:
            return found
        place: dict[str, int] = {}
        sides = np.array([[place.setdefault(text, len(place)) for text in pairs[k][:3]] for k in judged])
        texts = list(place)
        words = self._words.of(texts)
        described = Texts([words[text] for text in texts], self._vectors_of(texts), texts)
        log_odds = self._model.log_odds(pair_features(described, sides, self._rarity))
        known = np.array([self._is_known(text) for text in texts])
        # A list of names has no words of any language: then the question says which one it is.
        log_odds -= UNKNOWN_LANGUAGE * ~(known[sides[:, 0]] | known[sides[:, 1:]].all(axis=1))
        for k in np.flatnonzero(log_odds >= WORTH_A_VETO).tolist():
            one, other = (self._facts(texts[side]) for side in sides[k, 1:])
            if reason := contradict(one, other):
                log_odds[k] = HARD if is_hard(reason) else min(log_odds[k] - SOFT, SOFT_AT_MOST)
        found[judged] = 1 / (1 + np.exp(-log_odds))
        return found
