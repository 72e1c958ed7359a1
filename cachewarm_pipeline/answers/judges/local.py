"""The `local` judge: a small calibrated model over features of the question and both answers, and a veto.

The model sees what carries the answer; the veto sees what no similarity shows: that each answer claims what the other
excludes (answers.veto.contradictions).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from cachewarm_client.embedders.embedder import Embedder
from numpy.typing import NDArray

from cachewarm_pipeline.answers.equivalence_groups import grouped, is_blank, query_labels
from cachewarm_pipeline.answers.judges.answer_words_store import AnswerWordsStore
from cachewarm_pipeline.answers.judges.local_model import LocalModel, local_model
from cachewarm_pipeline.answers.judges.pair_features import Texts, pair_features
from cachewarm_pipeline.answers.judges.response_vectors import response_vectors
from cachewarm_pipeline.answers.leader_clustering import Ask, Flags, Positions
from cachewarm_pipeline.answers.veto.contradictions import contradict, is_hard
from cachewarm_pipeline.answers.veto.facts import FACTS_CACHED, facts
from cachewarm_pipeline.answers.veto.languages import known_language, mostly_names
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

UNKNOWN_LANGUAGE, UNKNOWN_AT_MOST = 1.5, 2.0
"""Log-odds taken off where an answer is in a language whose negations are not known, and the most that remain (88%):
under the points of evidence and of groups. No veto sees a negation there, and nothing else separates the two."""

GROUP_FLOOR = 0.6
"""Cosine of two answers below which they are not compared across questions. On 1,500 answers of one agent type of the
sample, 0.5 compares five times as many pairs and finds 3% fewer groups."""

_PAIRS = 8_192
"""Pairs whose vectors and words are in memory at once: 25 MB of vectors, 40 MB of words of 250-word answers."""


class LocalJudge:
    """Probability that a person who asked the question would be served as well by one answer as by the other.

    Answers with one canonical form have probability 1. Answers that contradict each other, and a blank answer beside
    another one, are not equivalent for any use. Vectors and words of a text are computed once and stored. Memory:
    blocks, 64 MB of vectors, 1,024 facts of up to 100 KB, and the vectors and words of all responses given to
    ``groups``.
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
        self._is_known = lru_cache(FACTS_CACHED)(lambda text: known_language(text) or mostly_names(text))

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
        return query_labels(queries, self._group_within, self._progress)

    def _group_within(self, questions: Sequence[str], responses: Sequence[str], queries: Sequence[int]) -> Positions:
        return grouped(
            questions,
            responses,
            lambda asked, texts: self._asker(asked, texts, both_questions=False),
            queries=queries,
        )

    def groups(self, questions: Sequence[str], responses: Sequence[str]) -> NDArray[np.int64]:
        return grouped(
            questions,
            responses,
            lambda asked, texts: self._asker(asked, texts, both_questions=True),
            vectors_of=self._vectors_of,
            floor=GROUP_FLOOR,
        )

    def _asker(self, asked: list[str], texts: list[str], *, both_questions: bool) -> Ask:
        """What decides about pairs of these texts. They are read once for all pairs."""
        place = {text: number for number, text in enumerate(dict.fromkeys([*texts, *asked]))}
        described = self._describe(list(place))
        answer, question = (np.array([place[text] for text in side]) for side in (texts, asked))
        point = self._model.operating_points[JudgeUse.GROUP]
        floor = float(np.log(point / (1 - point)))

        def equivalent(item: Positions, other: Positions) -> Flags:
            same = np.zeros(len(item), bool)
            for start in range(0, len(item), _PAIRS):
                one, two = item[start : start + _PAIRS], other[start : start + _PAIRS]
                yes = self._log_odds(described, np.column_stack((question[one], answer[one], answer[two])), floor)
                open_pairs = np.flatnonzero(yes >= floor)
                if both_questions and len(open_pairs):
                    one, two = one[open_pairs], two[open_pairs]
                    sides = np.column_stack((question[two], answer[one], answer[two]))
                    # The veto does not depend on the question, so it has decided already.
                    open_pairs = open_pairs[self._log_odds(described, sides, np.inf) >= floor]
                same[start + open_pairs] = True
            return same

        return equivalent

    def _block(self, pairs: Sequence[AnswerPair]) -> NDArray[np.float64]:
        found = np.array([1.0 if self._form(pair.left) == self._form(pair.right) else 0.0 for pair in pairs])
        judged = [
            k for k in np.flatnonzero(found == 0).tolist() if not (is_blank(pairs[k].left) or is_blank(pairs[k].right))
        ]
        if judged:
            place: dict[str, int] = {}
            sides = np.array([[place.setdefault(text, len(place)) for text in pairs[k][:3]] for k in judged])
            found[judged] = 1 / (1 + np.exp(-self._log_odds(self._describe(list(place)), sides, WORTH_A_VETO)))
        return found

    def _describe(self, texts: list[str]) -> Texts:
        words = self._words.of(texts)
        return Texts([words[text] for text in texts], self._vectors_of(texts), texts)

    def _log_odds(self, described: Texts, sides: NDArray[np.int64], veto_from: float) -> NDArray[np.float64]:
        """Log-odds (m,) of pairs; ``sides`` (m, 3) as for ``pair_features``. Pairs from ``veto_from`` on are searched
        for a contradiction."""
        texts = described.texts
        log_odds = self._model.log_odds(pair_features(described, sides, self._rarity))
        used, place = np.unique(sides, return_inverse=True)
        known = np.array([self._is_known(texts[i]) for i in used.tolist()])[place].reshape(sides.shape)
        unknown = ~known[:, 1:].all(axis=1)
        log_odds = np.where(unknown, np.minimum(log_odds - UNKNOWN_LANGUAGE, UNKNOWN_AT_MOST), log_odds)
        suspects = np.flatnonzero(log_odds >= veto_from)
        for k in suspects[np.argsort(sides[suspects, 2], kind="stable")].tolist():  # by text, so that facts are cached
            if reason := contradict(self._facts(texts[sides[k, 1]]), self._facts(texts[sides[k, 2]])):
                log_odds[k] = HARD if is_hard(reason) else min(log_odds[k] - SOFT, SOFT_AT_MOST)
        return log_odds
