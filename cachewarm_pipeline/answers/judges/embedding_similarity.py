"""The `embedding` judge: two responses are equivalent when their facts agree and their vectors are near.

EQUIVALENT_COSINE is the similarity from which two logged responses count as equivalent.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from cachewarm_client.embedders.embedder import Embedder
from cachewarm_client.text import embedding_key
from numpy.typing import NDArray

from cachewarm_pipeline.answers.contradictions import facts_agree
from cachewarm_pipeline.answers.equivalence_groups import Decide, answer_groups, labels_of, must_match_exactly
from cachewarm_pipeline.answers.facts import FACTS_CACHED, facts
from cachewarm_pipeline.answers.leader_clustering import cosines
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts
from cachewarm_pipeline.ports import AnswerPair, JudgeUsage, JudgeUse, QueryAnswers
from cachewarm_pipeline.query_log.response_text import canonical_response, exact_groups
from cachewarm_pipeline.storage.vector_store import VectorStore

EQUIVALENT_COSINE = 0.85
"""Cosine of two responses from which they count as equivalent, if their facts agree (all-MiniLM-L6-v2).

On the synthetic sample 93% of the pairs of rewordings of one answer reach it. Another model has another scale: measure
it before you rely on it.
"""

_QUERIES = 2_000
"""Queries whose responses' vectors are in memory at once: 25 MB with 8 responses each at 384 dimensions."""

_PAIRS = 8_192
"""Pairs whose responses' vectors are in memory at once: 25 MB."""

_SCALE = 0.064
"""The probability is logistic in the cosine: 0.5 at EQUIVALENT_COSINE, and 0.02 at 0.6."""


class EmbeddingJudge:
    """Two responses are equivalent when their cosine reaches ``floor`` and their facts agree (answers.contradictions).

    A response is embedded only if neither its canonical form nor its facts decide, and its vector is stored: no
    response is embedded twice. Memory: the vectors of 2,000 queries' responses, or of all responses given to
    ``groups``.
    """

    name = "local"
    floor = EQUIVALENT_COSINE

    def __init__(self, embedder: Embedder, vectors: VectorStore, progress: Callable[[str], object]) -> None:
        self._embedder = embedder
        self._store = vectors
        self._progress = progress
        self.usage = JudgeUsage()

    def __call__(self, queries: Sequence[QueryAnswers]) -> list[list[int]]:
        result = exact_groups(queries)
        open_cases = [i for i, labels in enumerate(result) if len(set(labels)) > 1]
        for start in range(0, len(open_cases), _QUERIES):
            block = open_cases[start : start + _QUERIES]
            self._progress(
                f"judging the answers of query {start + 1:,} to {start + len(block):,} of {len(open_cases):,}"
            )
            texts = [(i, text) for i in block for text in queries[i].responses]
            groups = self._groups([text for _, text in texts], [i for i, _ in texts])
            for i in block:
                number = len(queries[i].responses)
                own, groups = groups[:number], groups[number:]
                result[i] = labels_of(own)
        return result

    def probability(self, pairs: Sequence[AnswerPair]) -> NDArray[np.float64]:
        form, facts_of = lru_cache(FACTS_CACHED)(canonical_response), lru_cache(FACTS_CACHED)(facts)
        result = np.zeros(len(pairs))
        near = []
        for k, pair in enumerate(pairs):
            exact = must_match_exactly(pair.left) or must_match_exactly(pair.right)
            if form(pair.left) == form(pair.right):
                result[k] = 1.0
            elif not exact and facts_agree(pair.left, pair.right, facts_of):
                near.append(k)
        for start in range(0, len(near), _PAIRS):
            block = near[start : start + _PAIRS]
            left, right = ([getattr(pairs[k], side) for k in block] for side in ("left", "right"))
            cosine = cosines(self._vectors([*left, *right]), np.arange(len(block)), len(block) + np.arange(len(block)))
            result[block] = 1 / (1 + np.exp((self.floor - cosine) / _SCALE))
        return result

    def same(self, asked: Sequence[AnswerPair], use: JudgeUse = JudgeUse.LABEL) -> NDArray[np.bool_]:
        pairs = [(pair.left, pair.right) for pair in asked]
        form, facts_of = lru_cache(FACTS_CACHED)(canonical_response), lru_cache(FACTS_CACHED)(facts)
        result = np.array([form(left) == form(right) for left, right in pairs], bool)
        open_pairs = [
            k
            for k in np.flatnonzero(~result).tolist()
            if not (must_match_exactly(pairs[k][0]) or must_match_exactly(pairs[k][1]))
            and facts_agree(*pairs[k], facts_of)
        ]
        for start in range(0, len(open_pairs), _PAIRS):
            block = open_pairs[start : start + _PAIRS]
            result[block] = self._near([pairs[k] for k in block])
        return result

    def groups(self, questions: Sequence[str], responses: Sequence[str]) -> NDArray[np.int64]:
        return self._groups(responses, None)

    def _decide_near(self) -> Decide | None:
        """What decides about pairs that reach the floor; None if all of them are equivalent."""
        return None

    def _groups(self, responses: Sequence[str], queries: Sequence[int] | None) -> NDArray[np.int64]:
        return answer_groups(
            responses,
            lambda positions: self._vectors([responses[position] for position in positions.tolist()]),
            self.floor,
            decide=self._decide_near(),
            queries=queries,
        )

    def _near(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.bool_]:
        """Which of the pairs (n,) are equivalent. The facts of each pair agree."""
        place: dict[str, int] = {}
        sides = np.array([[place.setdefault(text, len(place)) for text in pair] for pair in pairs])
        cosine = cosines(self._vectors(list(place)), sides[:, 0], sides[:, 1])
        same = cosine >= self.floor
        decide = self._decide_near()
        if decide is not None:
            near = np.flatnonzero(same)
            same[near] = decide([pairs[k] for k in near.tolist()], cosine[near])
        return same

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        info = self._embedder.info
        tokens = embed_new_texts(self._embedder, self._store, texts, self._progress).tokens
        self.usage.embedding_tokens += tokens
        self.usage.usd += tokens * info.usd_per_million_tokens / 1e6
        return self._store.get([embedding_key(info.id, text) for text in texts])
