"""Match features: the same alone as in a batch, and they show words that vectors overlook."""

from collections.abc import Mapping
from dataclasses import fields

import numpy as np
from cachewarm_client.match_features import (
    FEATURES,
    TEXT_FEATURES,
    Neighbours,
    features,
    similarity_features,
    text_features,
    word_features,
)
from cachewarm_client.words import tokens, word_key
from hypothesis import given
from hypothesis import strategies as st


def text(lookup: str, entry: str) -> dict[str, float]:
    return dict(zip(TEXT_FEATURES, text_features(tokens(lookup), tokens(entry)), strict=True))


def test_features_show_changed_words_that_embeddings_overlook() -> None:
    assert text("retry 3 times", "retry 5 times")["number_conflict"] == 1
    assert text("use Python 3.8", "use Python 3.12")["number_differs"] == 1
    assert text("should I commit keys", "should I not commit keys")["negation_differs"] == 1
    assert text("why shouldn't I log in", "why should I log in")["negation_differs"] == 1
    assert text("why shouldn’t I log in", "why shouldn't I log in")["negation_differs"] == 0
    assert text("is `getUser` safe", "is `setUser` safe")["name_conflict"] == 1
    assert text("how to install Flask", "how to install Django")["name_conflict"] == 1
    assert text("move from a to b", "move from b to a")["swapped"] == 1
    assert text("C++ or C", "C or C")["overlap"] < 1


@given(st.text(max_size=80))
def test_a_prompt_does_not_differ_from_itself(prompt: str) -> None:
    same = text(prompt, prompt)
    for name in (
        "only_lookup",
        "only_entry",
        "number_differs",
        "number_conflict",
        "negation_differs",
        "name_differs",
        "name_conflict",
        "swapped",
    ):
        assert same[name] == 0
    assert same["overlap"] == (1 if tokens(prompt).all else 0)


@given(st.text(max_size=60), st.text(max_size=60))
def test_text_features_are_symmetric_between_lookup_and_entry(a: str, b: str) -> None:
    there, back = text(a, b), text(b, a)
    for name in ("overlap", "number_differs", "negation_differs", "name_conflict"):
        assert there[name] == back[name]
    assert there["only_lookup"] == back["only_entry"]


def _neighbours(rng: np.random.Generator, n: int, k: int, there: int) -> Neighbours:
    similarity = -np.sort(-rng.uniform(-0.2, 1, (n, k)), axis=1)
    group = rng.integers(0, 3, (n, k))
    group[:, there:] = -1
    learned, centre, reliability = rng.uniform(-1, 1, (3, n, k))
    return Neighbours(similarity, group, learned, centre, reliability)


def _only(found: Neighbours, rows: slice) -> Neighbours:
    return Neighbours(*(np.asarray(getattr(found, field.name))[rows] for field in fields(Neighbours)))


@given(st.integers(0, 10_000), st.integers(1, 10))
def test_one_lookup_and_a_batch_give_the_same_features(seed: int, there: int) -> None:
    found = _neighbours(np.random.default_rng(seed), 7, 10, there)
    pick, rows = similarity_features(found)
    assert np.isfinite(rows).all()
    assert (pick < there).all()
    for i in range(7):
        alone_pick, alone = similarity_features(_only(found, slice(i, i + 1)))
        assert alone_pick[0] == pick[i]
        np.testing.assert_array_equal(alone[0], rows[i])


@given(st.integers(0, 10_000), st.integers(1, 9))
def test_empty_places_do_not_change_the_features(seed: int, there: int) -> None:
    found = _neighbours(np.random.default_rng(seed), 3, 10, there)
    more = Neighbours(
        *(
            np.pad(np.asarray(getattr(found, f)), ((0, 0), (0, 2)), constant_values=v)
            for f, v in (("similarity", -1), ("group", -1), ("learned", 0.9), ("centre", 0.9), ("reliability", 4))
        )
    )
    a, b = similarity_features(found), similarity_features(more)
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_allclose(a[1], b[1], atol=1e-12)


words_of = st.dictionaries(st.sampled_from("abcdefgh").map(word_key), st.floats(-3, 3).map(lambda w: round(w, 3)))
prompts = st.lists(st.sampled_from("abcdefgh"), max_size=8).map(" ".join)


@given(prompts, prompts, words_of)
def test_word_features_are_symmetric_between_lookup_and_entry(
    lookup: str, entry: str, words: Mapping[str, float]
) -> None:
    there, back = (
        word_features(tokens(lookup), tokens(entry), words),
        word_features(tokens(entry), tokens(lookup), words),
    )
    assert there == back
    assert word_features(tokens(lookup), tokens(lookup), words) == [0, 0, 0]
    assert there[1] <= 0 or there[1] <= there[2]


def test_a_shared_word_and_a_word_without_a_weight_count_nothing() -> None:
    words = {word_key(w): weight for w, weight in {"revoke": -2.0, "rotate": -1.5, "please": 0.5, "key": -9.0}.items()}
    assert word_features(tokens("please rotate a key"), tokens("revoke a key"), words) == [-3.0, -2.0, 0.5]
    assert word_features(tokens("rotate one key"), tokens("rotate that key"), words) == [0, 0, 0]


def test_the_reliability_feature_is_that_of_the_picked_entry() -> None:
    found = _neighbours(np.random.default_rng(3), 5, 10, 10)
    places = np.tile(np.arange(10), (5, 1))
    pick, rows = features(found, [tokens("x")] * 5, [tokens("x")] * 10, places, {})
    np.testing.assert_array_equal(rows[:, FEATURES.index("reliability")], found.reliability[np.arange(5), pick])
