"""Which variants are nearer to a prompt with another answer than to their own base."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.numerics.nearest_neighbours import Vectors, nearest_neighbours
from cachewarm_pipeline.ports import AnswerPair, BaseQuery

NEIGHBOURS = 16
"""Nearest other prompts that are compared with a variant. Where this many are nearer than the base and all have the
base's answer, the place belongs to that answer."""

BLOCK = 50_000
"""Other prompts whose vectors are in memory at once: 300 MB at 1,536 dimensions."""

VectorsOf = Callable[[Sequence[str]], Vectors]
"""Unit vectors float32 (n, d) of texts, in their order."""

Equivalent = Callable[[Sequence[AnswerPair]], NDArray[np.bool_]]
"""Which pairs of responses are equivalent: a judge's ``same``, as strict as for evidence (JudgeUse.LABEL).

The two prompts are not the same one. A wrong yes would warm a variant that asks the other question with the answer of
its base, as an exact hit that no match rule checks. A wrong no only costs a variant.
"""


@dataclass(frozen=True)
class KnownPrompt:
    """A prompt that exists already: a candidate or a base."""

    prompt: str
    response: str | None
    cost_usd: float | None
    """Mean cost of the call that a hit saves; None where it is not known."""


def nearer_to_another(
    bases: Sequence[BaseQuery],
    vectors: Vectors,
    to_base: NDArray[np.floating],
    known: Mapping[str, KnownPrompt],
    vectors_of: VectorsOf,
    equivalent: Equivalent,
) -> NDArray[np.bool_]:
    """Which of n variants have a prompt with another answer nearer than their base. An unknown answer counts as
    another.

    ``bases``: the base of each variant; ``vectors``: float32 (n, d) of the variants; ``to_base``: cosine of each to its
    base. ``known``: the prompts of the agent_type by entry_id, bases included. Memory: the vectors of BLOCK prompts.
    """
    found = np.zeros(len(bases), bool)
    if not len(bases):
        return found
    ids = list(known)
    pairs: list[tuple[int, AnswerPair]] = []
    places, cosine = _nearest_known(vectors, [known[id].prompt for id in ids], vectors_of)
    for i, base in enumerate(bases):
        for place, value in zip(places[i], cosine[i], strict=True):
            if value <= to_base[i]:
                break
            if ids[place] == base.entry_id:
                continue
            response, other = base.response, known[ids[place]].response
            if response is None or other is None:
                found[i] = True
            else:
                pairs.append((i, AnswerPair(base.prompt, response, other)))
    distinct = list(dict.fromkeys(pair for _, pair in pairs))
    verdicts = dict(zip(distinct, equivalent(distinct).tolist() if distinct else [], strict=True))
    for i, pair in pairs:
        found[i] |= not verdicts[pair]
    return found


def _nearest_known(
    vectors: Vectors, prompts: Sequence[str], vectors_of: VectorsOf
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places and cosines (n, NEIGHBOURS) of the nearest prompts, nearest first."""
    places, cosines = np.empty((len(vectors), 0), np.int64), np.empty((len(vectors), 0), np.float32)
    for start in range(0, len(prompts), BLOCK):
        near = nearest_neighbours(vectors, vectors_of(prompts[start : start + BLOCK]), NEIGHBOURS)
        places = np.concatenate([places, near.places + start], 1)
        cosines = np.concatenate([cosines, near.cosine], 1)
        best = np.argsort(-cosines, axis=1, kind="stable")[:, :NEIGHBOURS]
        places, cosines = np.take_along_axis(places, best, 1), np.take_along_axis(cosines, best, 1)
    return places, cosines
