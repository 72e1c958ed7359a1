"""The `exact` judge: two responses are equivalent when they are the same JSON, or the same text in canonical form."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.answers.leader_clustering import merge_equal
from cachewarm_pipeline.ports import AnswerPair, JudgeUsage, JudgeUse, QueryAnswers
from cachewarm_pipeline.query_log.response_text import canonical_response, exact_groups


class ExactJudge:
    """Compares JSON by value and text in canonical form. Costs nothing."""

    name = "exact"

    def __init__(self) -> None:
        self.usage = JudgeUsage()

    def probability(self, pairs: Sequence[AnswerPair]) -> NDArray[np.float64]:
        return self.same(pairs).astype(np.float64)

    def same(self, pairs: Sequence[AnswerPair], use: JudgeUse = JudgeUse.LABEL) -> NDArray[np.bool_]:
        return np.array([canonical_response(pair.left) == canonical_response(pair.right) for pair in pairs], bool)

    def operating_point(self, use: JudgeUse) -> float:
        return 1.0

    def __call__(self, queries: Sequence[QueryAnswers]) -> list[list[int]]:
        return exact_groups(queries)

    def groups(self, questions: Sequence[str], responses: Sequence[str]) -> NDArray[np.int64]:
        firsts, places = merge_equal([canonical_response(response) for response in responses])
        return firsts[places]
