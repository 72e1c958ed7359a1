"""The one function that applies a learned match rule to a lookup, and the entries' bytes that it needs.

Each entry carries its vector and its answer's centre in the learned space as text, so the rule does not grow with them.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.core.errors import CacheError
from cachewarm_pipeline.core.rules.features import FEATURES, Floats, Neighbours, features
from cachewarm_pipeline.core.rules.model import Model
from cachewarm_pipeline.core.rules.space import Space
from cachewarm_pipeline.core.words import tokens

_AGAIN = "publish again"


@dataclass(frozen=True)
class Decision:
    """``place``: the neighbour that is the best answer. ``score``: log-odds that it is a right one.
    ``parts``: (feature, value, what it added to the log-odds), largest effect first; only where asked for."""

    place: int
    score: float
    parts: tuple[tuple[str, float, float], ...] = ()


def pack(own: Floats, centre: Floats) -> str:
    """One entry's text: its vector and its answer's centre in the learned space, half precision, base64.

    Text, since a client that decodes replies could not read bytes; 683 characters at 128 directions.
    """
    return base64.b64encode(np.concatenate((own, centre)).astype("<f2").tobytes()).decode()


def packed_length(rank: int) -> int:
    """Characters of ``pack`` at so many directions."""
    return -(-4 * rank // 3) * 4


def unpack(stored: Sequence[str], rank: int) -> NDArray[np.float32]:
    """float32 (k, 2, rank) of the neighbours' texts. Raises CacheError if one is of another space."""
    try:
        parts = [base64.b64decode(text) for text in stored]
    except ValueError:
        parts = [b""]
    if any(len(part) != 4 * rank for part in parts):
        raise CacheError(f"the entries' stored vectors do not have the {rank} directions of the rule: {_AGAIN}")
    return np.frombuffer(b"".join(parts), "<f2").reshape(len(stored), 2, rank).astype(np.float32)


def decide(
    model: Model,
    space: Space | None,
    text: str,
    vector: Floats,
    similarity: Sequence[float],
    groups: Sequence[str],
    prompts: Sequence[str],
    stored: Sequence[str],
    explain: bool = False,
) -> Decision:
    """Which of the nearest entries (best first, own agent_type, at least one) answers best, and how surely.

    ``text``, ``vector`` (d,): the lookup. ``similarity``: 1 - distance. ``stored``: the entries' packed vectors, read
    where the rule has a space.
    """
    cosine = np.asarray(similarity, np.float32)[None]
    codes: dict[str, int] = {}
    group = np.array([[codes.setdefault(g, len(codes)) for g in groups]])
    if space is None:
        found = Neighbours(cosine, group, cosine, cosine)
    else:
        here = space.project(np.asarray(vector)[None])[0]
        both = unpack(stored, space.projection.shape[1]) @ here
        found = Neighbours(cosine, group, both[None, :, 0], both[None, :, 1])
    pick, rows = features(found, [tokens(text)], _Lazy(prompts), np.arange(len(groups))[None])
    parts: tuple[tuple[str, float, float], ...] = ()
    if explain:
        effects = [(n, float(x), w * float(x)) for n, w, x in zip(FEATURES, model.weights, rows[0], strict=True)]
        parts = tuple(sorted(effects, key=lambda e: -abs(e[2])))
    return Decision(int(pick[0]), float(model.score(rows)[0]), parts)


class _Lazy(Sequence[Any]):
    """Tokens of the neighbours, made only for the one that is looked at."""

    def __init__(self, prompts: Sequence[str]) -> None:
        self._prompts = prompts

    def __len__(self) -> int:
        return len(self._prompts)

    def __getitem__(self, place: Any) -> Any:
        return tokens(self._prompts[place])
