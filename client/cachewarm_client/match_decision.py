"""``decide`` applies a learned match rule to a lookup; ``pack`` and ``unpack`` store what it needs of each entry.

Each entry stores its vector and its answer group's centre in the learned space, and its reliability, as text. So the
published rule does not grow with the number of entries.
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


@dataclass(frozen=True)
class Decision:
    """Which neighbour a learned rule picked, and how sure it is."""

    place: int
    """The picked neighbour's place among the nearest entries, from 0."""
    score: float
    """Log-odds that it is a right answer."""
    parts: tuple[tuple[str, float, float], ...] = ()
    """(feature, value, what it added to the log-odds), largest effect first; only with ``explain``."""
    words: tuple[tuple[str, float], ...] = ()
    """(differing word, its weight), largest weight first; only with ``explain``."""


def pack(vector: Floats, centre: Floats, reliability: float) -> str:
    """One entry's text: its vector (rank,) and its answer group's centre (rank,) in the learned space, then its
    reliability (log-odds). Half precision, base64.

    It is text because a client that decodes replies could not read bytes; 688 characters at 128 directions.
    """
    return b2a_base64(np.concatenate((vector, centre, [reliability])).astype("<f2").tobytes(), newline=False).decode()


def packed_length(space: Space | None) -> int:
    """Number of characters that ``pack`` returns for entries in this space."""
    return -(-_packed_bytes(_rank(space)) // 3) * 4


def _packed_bytes(rank: int) -> int:
    return 2 * (2 * rank + 1)


def _rank(space: Space | None) -> int:
    return space.projection.shape[1] if space else 0


def unpack(stored: Sequence[str], rank: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What ``pack`` stored, for k neighbours: vectors and centres (k, 2, rank), and reliabilities (k,).

    Raises CacheError for a text of another space.
    """
    try:
        parts = [a2b_base64(text) for text in stored]
    except ValueError:
        parts = [b""]
    if any(len(part) != _packed_bytes(rank) for part in parts):
        raise CacheError(
            f"the entries' stored vectors do not belong to the match rule, which has {rank} directions: publish again"
        )
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
    """Which of the nearest entries answers best, and how sure that is.

    Args:
        model: The model of the lookup's agent_type.
        space: The learned space that all models share; None where there is none.
        words: Weights of differing words by ``word_key``, shared as well.
        text: The lookup's prompt.
        vector: Its embedding (dimensions,).
        similarity: 1 - distance of each neighbour, best first; at least one, all of the lookup's agent_type.
        groups: Their answer groups.
        prompts: Their prompts.
        stored: Their texts of ``pack``.
        explain: Also compute ``parts`` and ``words`` of the decision.

    Raises CacheError for stored texts of another space.
    """
    cosine = np.asarray(similarity, np.float32)[None]
    codes: dict[str, int] = {}
    group = np.array([[codes.setdefault(g, len(codes)) for g in groups]])
    learned, reliability = unpack(stored, _rank(space))
    if space is None:
        found = Neighbours(cosine, group, cosine, cosine, reliability[None])
    else:
        both = learned @ space.project(np.asarray(vector)[None])[0]
        found = Neighbours(cosine, group, both[None, :, 0], both[None, :, 1], reliability[None])
    lookup = tokens(text)
    pick, rows = features(found, [lookup], _LazyTokens(prompts), np.arange(len(groups))[None], words)
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


class _LazyTokens(Sequence[Any]):
    """Tokens of the neighbours' prompts, computed only for the one that was picked."""

    def __init__(self, prompts: Sequence[str]) -> None:
        self._prompts = prompts

    def __len__(self) -> int:
        return len(self._prompts)

    def __getitem__(self, place: Any) -> Any:
        return tokens(self._prompts[place])
