"""What a lookup and its neighbours say: the same alone as in a batch, and words that vectors overlook."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.core.rules.features import TEXT_FEATURES, Neighbours, similarity_features, text_features
from cachewarm_pipeline.core.words import tokens


def text(lookup: str, entry: str) -> dict[str, float]:
    return dict(zip(TEXT_FEATURES, text_features(tokens(lookup), tokens(entry)), strict=True))


def test_changed_words_that_embeddings_overlook_are_seen() -> None:
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
def test_what_the_lookup_lacks_is_what_the_entry_has_more(a: str, b: str) -> None:
    there, back = text(a, b), text(b, a)
    for name in ("overlap", "number_differs", "negation_differs", "name_conflict"):
        assert there[name] == back[name]
    assert there["only_lookup"] == back["only_entry"]


def _neighbours(rng: np.random.Generator, n: int, k: int, there: int) -> Neighbours:
    similarity = -np.sort(-rng.uniform(-0.2, 1, (n, k)), axis=1)
    group = rng.integers(0, 3, (n, k))
    group[:, there:] = -1
    return Neighbours(similarity, group, rng.uniform(-1, 1, (n, k)), rng.uniform(-1, 1, (n, k)))


@given(st.integers(0, 10_000), st.integers(1, 10))
def test_one_lookup_and_a_batch_give_the_same_features(seed: int, there: int) -> None:
    found = _neighbours(np.random.default_rng(seed), 7, 10, there)
    pick, rows = similarity_features(found)
    assert np.isfinite(rows).all()
    assert (pick < there).all()
    for i in range(7):
        one = Neighbours(
            *(np.asarray(getattr(found, f))[i : i + 1] for f in ("similarity", "group", "learned", "centre"))
        )
        alone_pick, alone = similarity_features(one)
        assert alone_pick[0] == pick[i]
        np.testing.assert_array_equal(alone[0], rows[i])


@given(st.integers(0, 10_000), st.integers(1, 9))
def test_empty_places_do_not_change_the_features(seed: int, there: int) -> None:
    found = _neighbours(np.random.default_rng(seed), 3, 10, there)
    more = Neighbours(
        *(
            np.pad(np.asarray(getattr(found, f)), ((0, 0), (0, 2)), constant_values=v)
            for f, v in (("similarity", -1), ("group", -1), ("learned", 0.9), ("centre", 0.9))
        )
    )
    a, b = similarity_features(found), similarity_features(more)
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_allclose(a[1], b[1], atol=1e-12)
