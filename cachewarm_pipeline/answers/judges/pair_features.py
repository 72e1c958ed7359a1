"""The features of (question, one answer, another answer) that the `local` judge weighs.

Similarity of the answers' vectors, as they are and with the question's direction taken out; and how the words that the
question does not have stand in both: rare ones, names, numbers, those of the first sentence. Everything is symmetric in
the two answers. Words of all pairs of a block are compared at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.answers.judges.answer_words import (
    FIRST,
    NAME,
    NAMED_FIRST,
    NUMBER,
    AnswerWords,
    word_hash,
)
from cachewarm_pipeline.answers.judges.question_kinds import asks_for_name, asks_for_number, asks_how

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEATURES = (
    "cosine",
    "cosine_beyond_question",
    "question_least",
    "question_gap",
    "covered",
    "covered_longer",
    "rare_covered",
    "rare_covered_longer",
    "nothing_new",
    "first_best",
    "first_first",
    "name_shared",
    "name_clash",
    "name_added",
    "number_clash",
    "number_none",
    "first_name_best",
    "first_number_best",
    "asks_name_name_clash",
    "asks_name_name_none",
    "asks_name_first_name_best",
    "asks_name_first_name_worst",
    "asks_number_number_clash",
    "asks_number_number_none",
    "asks_number_first_number_best",
    "asks_number_first_number_worst",
    "asks_number_cosine",
    "asks_number_cosine_beyond_question",
    "asks_number_covered",
    "asks_number_rare_covered",
    "asks_number_first_first",
    "asks_how",
    "asks_how_cosine_beyond_question",
    "asks_how_covered",
    "asks_how_rare_covered",
    "asks_how_number_clash",
    "length_ratio",
)
"""Names of the columns. A change needs new weights (benchmarks.fit_judge)."""

KINDS = {"asks_name": asks_for_name, "asks_number": asks_for_number, "asks_how": asks_how}
"""Kinds of questions. A feature ``asks_name_covered`` is ``covered`` where the question asks for a name, else 0."""

RARE = 0.55
"""Rarity from which a word counts as rare: about one answer in 50 of those that the weights were fitted on has it."""

_UNKNOWN = 0.5
"""Share where there is nothing to share."""


@dataclass(frozen=True)
class Texts:
    """Distinct questions and answers with their words and vectors."""

    words: Sequence[AnswerWords]
    vectors: NDArray[np.float32]
    """(n, d), unit rows."""
    texts: Sequence[str]
    """The texts themselves; only those used as questions are read."""

    @cached_property
    def log_lengths(self) -> Floats:
        """log(1 + words) of each text (n,)."""
        return np.log1p(np.array([words.length for words in self.words], np.float64))


class Rarity:
    """How rare a word is, 0 (in every answer) to 1 (not among the frequent words)."""

    def __init__(self, frequent: Mapping[str, float]) -> None:
        hashes = {word_hash(stem): value for stem, value in frequent.items()}
        self._hashes = np.array(sorted(hashes), np.uint64)
        self._values = np.array([hashes[key] for key in sorted(hashes)])

    def of(self, hashes: NDArray[np.uint64]) -> Floats:
        """Rarity (n,) of words by their hashes."""
        if not len(self._hashes):
            return np.ones(len(hashes))
        place = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        return np.where(self._hashes[place] == hashes, self._values[place], 1.0)


def pair_features(texts: Texts, sides: Ints, rarity: Rarity) -> Floats:
    """Features (m, len(FEATURES)) of m pairs. ``sides`` (m, 3): places of question and answers in ``texts``.

    Memory: the words of the m pairs, about 100 bytes a word. The caller passes blocks.
    """
    question, left, right = sides.T
    found = _of_vectors(texts.vectors, question, left, right)
    found.update(_of_words(texts.words, question, left, right, rarity))
    found["length_ratio"] = np.abs(texts.log_lengths[left] - texts.log_lengths[right])
    for kind, asks in KINDS.items():
        found[kind] = np.array([asks(texts.texts[i]) for i in question.tolist()], np.float64)
        for name in FEATURES:
            if name.startswith(f"{kind}_"):
                found[name] = found[kind] * found[name.removeprefix(f"{kind}_")]
    return np.column_stack([found[name] for name in FEATURES])


def _of_vectors(vectors: NDArray[np.float32], question: Ints, left: Ints, right: Ints) -> dict[str, Floats]:
    asked, one, other = (vectors[side].astype(np.float64) for side in (question, left, right))

    def dot(a: Floats, b: Floats) -> Floats:
        return np.asarray(np.einsum("nd,nd->n", a, b), np.float64)

    to_one, to_other = dot(asked, one), dot(asked, other)
    cosine = dot(one, other)
    # The parts of both that do not point towards the question: their product and lengths follow from the cosines.
    lengths = np.sqrt(np.maximum(1 - to_one**2, 1e-6) * np.maximum(1 - to_other**2, 1e-6))
    beyond = np.clip((cosine - to_one * to_other) / lengths, -1, 1)
    return {
        "cosine": cosine,
        "cosine_beyond_question": beyond,
        "question_least": np.minimum(to_one, to_other),
        "question_gap": np.abs(to_one - to_other),
    }


@dataclass(frozen=True)
class _Side:
    """The words of one side of all pairs that the question does not have, all of shape (k,)."""

    pair: Ints
    key: Ints
    """pair * vocabulary + word, ascending."""
    flags: NDArray[np.uint8]
    rarity: Floats


def _of_words(
    words: Sequence[AnswerWords], question: Ints, left: Ints, right: Ints, rarity: Rarity
) -> dict[str, Floats]:
    m = len(question)
    used = np.unique(np.concatenate((question, left, right)))
    vocabulary = np.unique(np.concatenate([words[i].words for i in used.tolist()] or [np.empty(0, np.uint64)]))
    rare_of = rarity.of(vocabulary)
    ids = {i: np.searchsorted(vocabulary, words[i].words) for i in used.tolist()}

    def keys(places: Ints) -> tuple[Ints, Ints]:
        lengths = np.array([len(ids[i]) for i in places.tolist()], np.int64)
        pair = np.repeat(np.arange(m), lengths)
        word = np.concatenate([ids[i] for i in places.tolist()] or [np.empty(0, np.int64)])
        return pair, pair * len(vocabulary) + word

    _, asked = keys(question)

    def side(places: Ints) -> tuple[_Side, Ints]:
        pair, key = keys(places)
        flags = np.concatenate([words[i].flags for i in places.tolist()] or [np.empty(0, np.uint8)])
        new = ~_contains(asked, key)
        kept = key[new]
        return _Side(pair[new], kept, flags[new], rare_of[kept % max(len(vocabulary), 1)]), key

    one, all_of_one = side(left)
    other, all_of_other = side(right)
    one_in, other_in = _contains(all_of_other, one.key), _contains(all_of_one, other.key)

    def total(of: _Side, chosen: NDArray[np.bool_], weighted: bool = False) -> Floats:
        return np.bincount(of.pair[chosen], of.rarity[chosen] if weighted else None, minlength=m).astype(np.float64)

    found: dict[str, Floats] = {}
    weight_one, weight_other = (total(of, np.ones(len(of.pair), bool), True) for of in (one, other))
    least, most = np.minimum(weight_one, weight_other), np.maximum(weight_one, weight_other)
    shared = total(one, one_in, True)
    found["covered"], found["covered_longer"] = _share(shared, least), _share(shared, most)
    found["nothing_new"] = (least == 0).astype(float)
    rare_one, rare_other = one.rarity > RARE, other.rarity > RARE
    count_one, count_other = total(one, rare_one), total(other, rare_other)
    both = total(one, rare_one & one_in)
    found["rare_covered"] = _share(both, np.minimum(count_one, count_other))
    found["rare_covered_longer"] = _share(both, np.maximum(count_one, count_other))
    first_one, first_other = ((of.flags & FIRST) > 0 for of in (one, other))
    in_first_one, in_first_other = total(one, first_one, True), total(other, first_other, True)
    found["first_best"] = np.maximum(
        _share(total(one, first_one & one_in, True), in_first_one),
        _share(total(other, first_other & other_in, True), in_first_other),
    )
    in_both = first_one & _contains(other.key[first_other], one.key)
    found["first_first"] = _share(total(one, in_both, True), np.minimum(in_first_one, in_first_other))
    for name, flag, in_first in (("name", NAME, NAMED_FIRST), ("number", NUMBER, NUMBER | FIRST)):
        is_one, is_other = ((of.flags & flag) > 0 for of in (one, other))
        lost_one, lost_other = total(one, is_one & ~one_in), total(other, is_other & ~other_in)
        # A word may be a name on one side only: what stands in the other in any form counts as shared.
        known = total(one, is_one & one_in) + total(other, is_other & other_in & ~_contains(one.key[is_one], other.key))
        smaller = np.minimum(total(one, is_one), total(other, is_other))
        found[f"{name}_clash"] = np.log1p(np.minimum(lost_one, lost_other))
        if name == "name":
            found["name_shared"] = np.log1p(known)
            found["name_added"] = np.log1p(np.maximum(lost_one, lost_other))
        found[f"{name}_none"] = ((known == 0) & (smaller > 0)).astype(float)
        shares = []
        for of, present in ((one, one_in), (other, other_in)):
            here = (of.flags & in_first) == in_first
            number = total(of, here)
            share = total(of, here & present) / np.maximum(number, 1)
            shares.append(np.where(number > 0, share, np.nan))
        found[f"first_{name}_best"] = _either(np.fmax(*shares))
        found[f"first_{name}_worst"] = _either(np.fmin(*shares))
    return found


def _contains(keys: Ints, of: Ints) -> NDArray[np.bool_]:
    """Which of ``of`` (n,) are among ``keys``, which are ascending."""
    if not len(keys):
        return np.zeros(len(of), bool)
    place = np.minimum(np.searchsorted(keys, of), len(keys) - 1)
    return np.asarray(keys[place] == of)


def _share(part: Floats, of: Floats) -> Floats:
    return np.where(of > 0, part / np.where(of > 0, of, 1), _UNKNOWN)


def _either(values: Floats) -> Floats:
    return np.where(np.isnan(values), _UNKNOWN, values)
