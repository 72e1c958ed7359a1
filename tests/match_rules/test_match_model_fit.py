"""The learned space and the model: what they gain, and what they do with too little evidence."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
from cachewarm_client.match_features import FEATURES, LOG_FEATURES, similarity_features
from cachewarm_client.match_rules import NEIGHBOURS
from cachewarm_client.words import tokens, word_key
from hypothesis import given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.match_rules import match_model_fit as fit
from cachewarm_pipeline.match_rules import space_learning as space
from cachewarm_pipeline.match_rules.logistic_regression import log_loss, logistic
from cachewarm_pipeline.match_rules.word_weights import WordPairs
from tests.support.labelled_log import labelled_log


def test_the_learned_space_separates_answers_that_the_embedding_mixes() -> None:
    data = labelled_log(0)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(data.groups))
    entries, known, new = order[:60], order[:300], order[300:]
    scorer = fit.learn_scorer(data, entries, known)
    found, _ = fit.nearest_entries_of(data, entries, scorer, new, 10)
    rows = np.arange(len(new))
    nearest = (found.group[rows, 0] == data.groups[new]).mean()
    pick, _ = similarity_features(found)
    picked = (found.group[rows, pick] == data.groups[new]).mean()
    assert picked > nearest + 0.1


def test_without_repeated_answers_there_is_no_learned_space() -> None:
    data = labelled_log(0, answers=50, wordings=1)
    everything = np.arange(50)
    assert space.learn_space(data.vectors, data.groups) is None
    scorer = fit.learn_scorer(data, everything[:20], everything)
    rows, picked, _ = fit.describe(data, everything[:20], scorer, everything[20:])
    right = data.same(everything[20:], picked)
    assert scorer.space is None
    assert np.isfinite(rows).all()
    assert not right.any()


def test_a_query_that_is_an_entry_never_finds_itself() -> None:
    data = labelled_log(1)
    everything = np.arange(len(data.groups))
    found, places = fit.nearest_entries_of(data, everything, fit.Scorer.unlearned(len(everything)), everything, 10)
    assert (places != everything[:, None]).all()
    assert (found.group >= 0).all()
    few = everything[:4]
    found, places = fit.nearest_entries_of(data, few, fit.Scorer.unlearned(4), few, 10)
    assert ((found.group == -1) == (places == few[:, None])).all()
    assert (found.group == -1).sum(1).max() == 1


def _training(data: fit.Labelled) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features of 320 training queries, of which 60 are entries; the queries; their folds; the entries they picked.
    Without a learned space: through it, a label of one fold would change the picks of the others."""
    rng = np.random.default_rng(5)
    order = rng.permutation(len(data.groups))
    entries, queries = order[:60], order[:320]
    fold = rng.permutation(320) % fit.FOLDS
    pairs = WordPairs()
    fit.count_words(pairs, data, entries, queries, fold)
    words = [pairs.weights(without=f) for f in range(fit.FOLDS)]
    spaces = [None] * fit.FOLDS
    rows, _, picked = fit.training_rows(data, entries, queries, queries, fold, spaces, words)
    return rows, queries, fold, picked


@pytest.mark.parametrize("place", [60, 100, 200, 319])
def test_the_label_of_a_training_query_changes_no_feature_of_its_own_fold(place: int) -> None:
    data = labelled_log(2)
    before, queries, fold, picked = _training(data)
    groups = data.groups.copy()
    right = groups[queries[place]] == groups[picked[place]]
    groups[queries[place]] = 1000 if right else groups[picked[place]]
    after, _, _, _ = _training(replace(data, groups=groups))
    assert before[:, [FEATURES.index(name) for name in LOG_FEATURES]].std(0).min() > 0
    others = fold != fold[place]
    np.testing.assert_array_equal(before[~others], after[~others])
    assert (before[others] != after[others]).any()


def test_the_reliability_of_a_picked_entry_comes_from_the_picks_of_the_other_folds() -> None:
    data = labelled_log(2)
    rng = np.random.default_rng(5)
    queries = rng.permutation(len(data.groups))[:320]
    fold = np.arange(320) % fit.FOLDS
    rows, right, picked = fit.training_rows(data, queries[:60], queries, queries, fold)
    for i in (0, 61, 200):
        others = fold != fold[i]
        expected = fit.reliability(picked[others], right[others], len(data.groups))[picked[i]]
        assert rows[i, FEATURES.index("reliability")] == expected


def test_a_pair_of_two_entries_is_left_out_with_the_fold_of_either() -> None:
    data = labelled_log(2, answers=2, wordings=3)
    pair = fit.Labelled(data.vectors[[0, 0]], data.groups[[0, 0]], [tokens("rotate it"), tokens("turn it")])
    both = np.arange(2)
    pairs = WordPairs()
    for _ in range(3):
        fit.count_words(pairs, pair, both, both, both)
    assert set(pairs.weights(without=2)) == {word_key("rotate"), word_key("turn")}
    assert pairs.weights(without=0) == pairs.weights(without=1) == {}


def test_an_entry_that_no_query_picked_has_the_mean_reliability() -> None:
    picked, right = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([True] * 5 + [False] * 3)
    rely = fit.reliability(picked, right, 3).astype(float)
    mean = 5.5 / 9
    assert rely[2] == pytest.approx(np.log(mean / (1 - mean)), abs=1e-3)
    assert rely[1] < rely[2] < rely[0]
    share = (4 + fit.PSEUDO_PICKS * mean) / (4 + fit.PSEUDO_PICKS)
    assert rely[0] == pytest.approx(np.log(share / (1 - share)), abs=1e-2)


def test_without_picks_or_with_very_many_of_one_kind_reliability_stays_finite() -> None:
    assert fit.reliability(np.empty(0, int), np.empty(0, bool), 2).tolist() == [0, 0]
    assert fit.reliability(np.zeros(9000, int), np.ones(9000, bool), 1).tolist() == [fit.MOST_RELIABLE]
    assert fit.reliability(np.zeros(9000, int), np.zeros(9000, bool), 1).tolist() == [-fit.MOST_RELIABLE]


def test_labels_of_one_kind_only_still_give_a_finite_model() -> None:
    rows = np.random.default_rng(0).normal(size=(80, len(FEATURES)))
    model = logistic(rows, np.ones(80, bool), 1.0)
    assert np.isfinite(model.score(rows)).all()
    assert (model.score(rows) > 2).all()


@given(st.integers(0, 1000), st.sampled_from([0.3, 3.0, 30.0]))
@settings(max_examples=20, deadline=None)
def test_the_fit_is_where_the_gradient_of_the_penalised_loss_is_zero(seed: int, penalty: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(150, len(FEATURES)))
    right = rng.random(150) < 1 / (1 + np.exp(-2 * rows[:, 0] - 1))
    model = logistic(rows, right, penalty)
    scale = rows.std(0)
    p = 1 / (1 + np.exp(-model.score(rows)))
    slope = ((rows - rows.mean(0)) / scale).T @ (right - p) - penalty * np.asarray(model.weights) * scale
    assert np.abs(slope).max() < 1e-3 * len(rows)


def _labels(rng: np.random.Generator, n: int, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = rng.normal(size=(n, len(FEATURES)))
    return rows, rng.random(n) < 1 / (1 + np.exp(-(rows @ truth + 1)))


@pytest.mark.parametrize(("likeness", "harm", "help_"), [(1.0, 0.0, 0.03), (-1.0, 0.02, -1.0)])
def test_borrowed_weights_help_a_small_agent_type_that_is_alike_and_do_not_harm_an_unlike_one(
    likeness: float, harm: float, help_: float
) -> None:
    gains = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        truth = rng.normal(0, 0.6, len(FEATURES))
        prior = logistic(*_labels(rng, 3000, likeness * truth), 1.0)
        rows, right = _labels(rng, 120, truth)
        unseen, answers = _labels(rng, 2000, truth)
        fold = np.arange(120) % 5
        own, _, _ = fit.fit_model(rows, right, fold)
        borrowed, _, _ = fit.fit_model(rows, right, fold, prior=prior)
        gains.append(log_loss(own.score(unseen), answers) - log_loss(borrowed.score(unseen), answers))
    assert np.mean(gains) >= -harm
    assert np.mean(gains) >= help_


def test_a_model_is_fitted_on_as_many_neighbours_as_a_lookup_sees() -> None:
    assert inspect.signature(fit.describe).parameters["k"].default == NEIGHBOURS
