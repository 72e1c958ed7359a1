"""When two responses say the same: the pure part of the judges. Embedding is for resources.judges."""

from collections.abc import Sequence

import numpy as np

from cachewarm_pipeline.core.responses import canonical_response
from cachewarm_pipeline.core.words import tokens

RESPONSE_FLOOR = 0.85
"""Cosine of two responses from which the `embedding` judge may hold them equivalent (all-MiniLM-L6-v2).

On the synthetic sample 95% of two rewordings of one answer reach it, and 2.6% of responses have another answer above
it; `benchmarks/judge.py` prints the table. Another model has another scale: measure it before you rely on it.
"""

SHORT_ANSWER_TOKENS = 12
"""Up to here a negation turns an answer round ("Do not enable it"); in longer ones rewording moves negations about."""


def facts_differ(left: str, right: str) -> bool:
    """Whether two responses differ in a number or version, or, where both are short, in a negation or the word order.

    Such a difference is never a rewording, however near the vectors are.
    """
    a, b = tokens(left), tokens(right)
    if a.numbers != b.numbers:
        return True
    if max(len(a.order), len(b.order)) > SHORT_ANSWER_TOKENS:
        return False
    shared = a.all & b.all
    order_a, order_b = ([t for t in dict.fromkeys(side.order) if t in shared] for side in (a, b))
    return a.negated != b.negated or order_a != order_b


def group_by_vectors(responses: Sequence[str], vectors: np.ndarray, floor: float = RESPONSE_FLOOR) -> list[int]:
    """Labels of one query's responses: each joins the first group whose first member it is equivalent to.

    ``vectors`` float32 (len(responses), d), unit length. The order of ``responses`` decides (best supported first):
    a group is what is equivalent to its best supported response, so chains of small differences do not drift.
    """
    heads: list[int] = []
    labels: list[int] = []
    for i, response in enumerate(responses):
        same = canonical_response(response)
        for label, head in enumerate(heads):
            if same == canonical_response(responses[head]) or (
                float(vectors[i] @ vectors[head]) >= floor and not facts_differ(response, responses[head])
            ):
                labels.append(label)
                break
        else:
            labels.append(len(heads))
            heads.append(i)
    return labels
