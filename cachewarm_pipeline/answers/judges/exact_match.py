"""The `exact` judge: two responses are equivalent when they are the same JSON, or the same text in canonical form."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.answers.leader_clustering import merge_equal
from cachewarm_pipeline.ports import JudgeUsage
from cachewarm_pipeline.query_log.response_text import canonical_response, exact_groups


class ExactJudge:
    """Compares JSON by value and text in canonical form. Costs nothing."""

    name = "exact"

    def __init__(self) -> None:
        self.usage = JudgeUsage()

    def __call__(self, queries: Sequence[Sequence[str]]) -> list[list[int]]:
        return exact_groups(queries)

    def same(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.bool_]:
        return np.array([canonical_response(left) == canonical_response(right) for left, right in pairs], bool)

    def groups(self, responses: Sequence[str]) -> NDArray[np.int64]:
        firsts, places = merge_equal([canonical_response(response) for response in responses])
        return firsts[places]
