"""The one function that applies a learned match rule to a lookup, and the entries' bytes that it needs.

Each entry carries its vector and its answer's centre in the learned space and its reliability as text, so the rule does
not grow with them.
"""

from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cachewarm_client.errors import CacheError
from cachewarm_client.learned_space import Space
from cachewarm_client.match_features import FEATURES, Floats, Neighbours, features
from cachewarm_client.match_model import MatchModel
from cachewarm_client.words import tokens, word_key

_AGAIN = "publish again"


@dataclass(frozen=True)
class Decision:
    """``place``: the neighbour that is the best answer. ``score``: log-odds that it is a right one.
    Only where asked for: ``parts``: (feature, value, what it added to the log-odds), largest effect first; ``words``:
    (differing word, its weight), likewise."""

    place: int
    score: float
    parts: tuple[tuple[str, float, float], ...] = ()
    words: tuple[tuple[str, float], ...] = ()


def pack(own: Floats, centre: Floats, reliability: float) -> str:
    """One entry's text: its vector and its answer's centre in the learned space (rank,), then its reliability; half
    precision, base64.

    Text, since a client that decodes replies could not read bytes; 688 characters at 128 directions.
    """
    return b2a_base64(np.concatenate((own, centre, [reliability])).astype("<f2").tobytes(), newline=False).decode()


def packed_length(space: Space | None) -> int:
    """Characters of ``pack`` for entries in this space."""
    return -(-_packed_bytes(_rank(space)) // 3) * 4


def _packed_bytes(rank: int) -> int:
    return 2 * (2 * rank + 1)


def _rank(space: Space | None) -> int:
    return space.projection.shape[1] if space else 0


def unpack(stored: Sequence[str], rank: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Places (k, 2, rank) and reliabilities (k,) of the neighbours' texts. Raises CacheError if one is of another
    space."""
    try:
        parts = [a2b_base64(text) for text in stored]
    except ValueError:
        parts = [b""]
    if any(len(part) != _packed_bytes(rank) for part in parts):
        raise CacheError(f"the entries' stored values are not of a rule with {rank} directions: {_AGAIN}")
    values = np.frombuffer(b"".join(parts), "<f2").astype(np.float32).reshape(len(stored), 2 * rank + 1)
    return values[:, :-1].reshape(len(stored), 2, rank), values[:, -1]


def decide(
    model: MatchModel,
    space: Space | None,
    words: Mapping[str, float],
    text: str,
    vector: Floats,
    similarity: Sequence[float],
    groups: Sequence[str],
    prompts: Sequence[str],
    stored: Sequence[str],
    explain: bool = False,
) -> Decision:
    """Which of the nearest entries (best first, own agent_type, at least one) answers best, and how surely.

    ``space``, ``words``: what the rules share. ``text``, ``vector`` (d,): the lookup. ``similarity``: 1 - distance.
    ``stored``: the entries' texts of ``pack``.
    """
    cosine = np.asarray(similarity, np.float32)[None]
    codes: dict[str, int] = {}
    group = np.array([[codes.setdefault(g, len(codes)) for g in groups]])
    places, reliability = unpack(stored, _rank(space))
    if space is None:
        found = Neighbours(cosine, group, cosine, cosine, reliability[None])
    else:
        both = places @ space.project(np.asarray(vector)[None])[0]
        found = Neighbours(cosine, group, both[None, :, 0], both[None, :, 1], reliability[None])
    lookup = tokens(text)
    pick, rows = features(found, [lookup], _Lazy(prompts), np.arange(len(groups))[None], words)
    place, score = int(pick[0]), float(model.score(rows)[0])
    if not explain:
        return Decision(place, score)
    effects = [(n, float(x), w * float(x)) for n, w, x in zip(FEATURES, model.weights, rows[0], strict=True)]
    differing = ((word, words.get(word_key(word))) for word in lookup.all ^ tokens(prompts[place]).all)
    weighed = [(word, weight) for word, weight in differing if weight is not None]
    return Decision(
        place,
        score,
        tuple(sorted(effects, key=lambda e: -abs(e[2]))),
        tuple(sorted(weighed, key=lambda w: (-abs(w[1]), w[0]))),
    )


class _Lazy(Sequence[Any]):
    """Tokens of the neighbours, made only for the one that is looked at."""

    def __init__(self, prompts: Sequence[str]) -> None:
        self._prompts = prompts

    def __len__(self) -> int:
        return len(self._prompts)

    def __getitem__(self, place: Any) -> Any:
        return tokens(self._prompts[place])
