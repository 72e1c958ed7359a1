"""The `local` judge: a small calibrated model over features of the question and both answers, and a veto.

The model sees what carries the answer; the veto sees what no similarity shows: that each answer claims what the other
excludes (answers.contradictions).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import numpy as np
from cachewarm_client.embedders.embedder import Embedder
from cachewarm_client.text import embedding_key
from numpy.typing import NDArray

from cachewarm_pipeline.answers.contradictions import contradict
from cachewarm_pipeline.answers.equivalence_groups import labels_of
from cachewarm_pipeline.answers.facts import FACTS_CACHED, facts
from cachewarm_pipeline.answers.judges.answer_words_store import AnswerWordsStore
from cachewarm_pipeline.answers.judges.local_model import LocalModel, local_model
from cachewarm_pipeline.answers.languages import known_language
from cachewarm_pipeline.answers.leader_clustering import Flags, Positions, leader_groups, merge_equal, near_pairs
from cachewarm_pipeline.answers.pair_features import Texts, pair_features
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts
from cachewarm_pipeline.ports import AnswerPair, JudgeUsage, JudgeUse, QueryAnswers
from cachewarm_pipeline.query_log.response_text import canonical_response
from cachewarm_pipeline.storage.vector_store import VectorStore

VETOED = 0.01
"""Probability of a pair that contradicts itself."""

WORTH_A_VETO = 0.2
"""Probability from which a pair is searched for a contradiction: below it, no use would call it equivalent."""

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
        self._embedder = embedder
        self._vectors = vectors
        self._words = words
        self._progress = progress
        self._model = model or local_model()
        self._rarity = self._model.rarity()
        self._facts = lru_cache(FACTS_CACHED)(facts)
        self._form = lru_cache(FACTS_CACHED)(canonical_response)
        self._is_known = lru_cache(FACTS_CACHED)(known_language)
        self.usage = JudgeUsage()

    def probability(self, pairs: Sequence[AnswerPair]) -> NDArray[np.float64]:
        found = np.empty(len(pairs))
        for start in range(0, len(pairs), _PAIRS):
            if start and start % (8 * _PAIRS) == 0:
                self._progress(f"judged {start:,} of {len(pairs):,} pairs of answers")
            block = pairs[start : start + _PAIRS]
            found[start : start + len(block)] = self._block(block)
        return found

    def same(self, pairs: Sequence[AnswerPair], use: JudgeUse = JudgeUse.LABEL) -> NDArray[np.bool_]:
        return self.probability(pairs) >= self._model.operating_points[use]

    def __call__(self, queries: Sequence[QueryAnswers]) -> list[list[int]]:
        found: list[list[int]] = []
        for start in range(0, len(queries), _QUERIES):
            block = queries[start : start + _QUERIES]
            if len(queries) > _QUERIES:
                self._progress(f"judging the answers of query {start + 1:,} to {start + len(block):,} of {len(queries):,}")
            texts = [(i, query.question, text) for i, query in enumerate(block) for text in query.responses]
            groups = self._leaders(
                [question for _, question, _ in texts], [text for *_, text in texts], [i for i, *_ in texts]
            )
            for query in block:
                own, groups = groups[: len(query.responses)], groups[len(query.responses) :]
                found.append(labels_of(own))
        return found

    def groups(self, questions: Sequence[str], responses: Sequence[str]) -> NDArray[np.int64]:
        return self._leaders(questions, responses, None)

    def _leaders(
        self, questions: Sequence[str], responses: Sequence[str], queries: Sequence[int] | None
    ) -> Positions:
        """The head of each response (n,). With ``queries``, only responses of one query are grouped."""
        of_query = queries if queries is not None else [0] * len(responses)
        firsts, places = merge_equal([(q, self._form(r)) for q, r in zip(of_query, responses, strict=True)])
        asked = [questions[i] for i in firsts.tolist()]
        texts = [responses[i] for i in firsts.tolist()]
        buckets = np.array([of_query[i] for i in firsts.tolist()], np.int64)
        blank = np.array([not text.strip() for text in texts], bool)
        buckets[blank] = -1 - np.flatnonzero(blank)
        compared = np.flatnonzero(_sizes(buckets) > 1)
        groups = np.arange(len(firsts))
        if len(compared):
            vectors = self._embedded([texts[i] for i in compared.tolist()])

            def equivalent(item: Positions, other: Positions) -> Flags:
                at = [(int(compared[i]), int(compared[j])) for i, j in zip(item, other, strict=True)]
                pairs = [AnswerPair(asked[i], texts[i], texts[j]) for i, j in at]
                if queries is None:  # two questions: each person must be served as well
                    pairs += [AnswerPair(asked[j], texts[i], texts[j]) for i, j in at]
                return self.same(pairs, JudgeUse.GROUP).reshape(-1, len(at)).all(axis=0)

            floor = GROUP_FLOOR if queries is None else -1.0
            candidates = near_pairs(vectors, buckets[compared], floor)
            groups[compared] = compared[leader_groups(len(compared), candidates, equivalent)]
        return firsts[groups][places]

    def _block(self, pairs: Sequence[AnswerPair]) -> NDArray[np.float64]:
        found = np.array([1.0 if self._form(pair.left) == self._form(pair.right) else 0.0 for pair in pairs])
        judged = [
            k for k in np.flatnonzero(found == 0).tolist() if all(text.strip() for text in (pairs[k].left, pairs[k].right))
        ]
        if not judged:
            return found
        place: dict[str, int] = {}
        sides = np.array(
            [[place.setdefault(text, len(place)) for text in (p.question, p.left, p.right)] for p in map(pairs.__getitem__, judged)]
        )
        texts = list(place)
        words = self._words.of(texts)
        described = Texts([words[text] for text in texts], self._embedded(texts), texts)
        log_odds = self._model.log_odds(pair_features(described, *sides.T, self._rarity))
        known = np.array([self._is_known(text) for text in texts])
        log_odds -= UNKNOWN_LANGUAGE * ~(known[sides[:, 1]] & known[sides[:, 2]])
        probability = 1 / (1 + np.exp(-log_odds))
        for k in np.flatnonzero(probability >= WORTH_A_VETO).tolist():
            one, other = (self._facts(texts[side]) for side in sides[k, 1:])
            if contradict(one, other):
                probability[k] = min(probability[k], VETOED)
        found[judged] = probability
        return found

    def _embedded(self, texts: Iterable[str]) -> NDArray[np.float32]:
        wanted = list(texts)
        info = self._embedder.info
        tokens = embed_new_texts(self._embedder, self._vectors, wanted, self._progress).tokens
        self.usage.embedding_tokens += tokens
        self.usage.usd += tokens * info.usd_per_million_tokens / 1e6
        return self._vectors.get([embedding_key(info.id, text) for text in wanted])


def _sizes(buckets: Positions) -> Positions:
    """The size of each item's bucket (n,)."""
    _, place, count = np.unique(buckets, return_inverse=True, return_counts=True)
    return np.asarray(count[place])
