"""The learned space and the model: what they win, and what they do with too little to learn from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.core import match
from cachewarm_pipeline.core.rules import fit, space
from cachewarm_pipeline.core.rules.features import FEATURES, similarity_features
from tests.rules_log import labelled_log


def test_the_learned_space_tells_answers_apart_that_the_embedding_mixes() -> None:
    data = labelled_log(0)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(data.groups))
    entries, known, new = order[:60], order[:300], order[300:]
    scorer = fit.learn_scorer(data, entries, known)
    found, _ = fit.nearest(data, entries, scorer, new, 10)
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
    none = fit.Scorer(None, np.empty((len(everything), 0), np.float16), np.empty((len(everything), 0), np.float16))
    found, places = fit.nearest(data, everything, none, everything, 10)
    assert (places != everything[:, None]).all()
    assert (found.group >= 0).all()
    few = everything[:4]
    found, places = fit.nearest(data, few, none, few, 10)
    assert ((found.group == -1) == (places == few[:, None])).all()
    assert (found.group == -1).sum(1).max() == 1


def test_labels_of_one_kind_only_still_give_a_finite_model() -> None:
    rows = np.random.default_rng(0).normal(size=(80, len(FEATURES)))
    model = fit.logistic(rows, np.ones(80, bool), 1.0)
    assert np.isfinite(model.score(rows)).all()
    assert (model.score(rows) > 2).all()


@given(st.integers(0, 1000), st.sampled_from([0.3, 3.0, 30.0]))
@settings(max_examples=20, deadline=None)
def test_the_fit_stands_where_its_penalised_loss_is_flat(seed: int, penalty: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(150, len(FEATURES)))
    right = rng.random(150) < 1 / (1 + np.exp(-2 * rows[:, 0] - 1))
    model = fit.logistic(rows, right, penalty)
    scale = rows.std(0)
    p = 1 / (1 + np.exp(-model.score(rows)))
    slope = ((rows - rows.mean(0)) / scale).T @ (right - p) - penalty * np.asarray(model.weights) * scale
    assert np.abs(slope).max() < 1e-3 * len(rows)


def _labels(rng: np.random.Generator, n: int, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = rng.normal(size=(n, len(FEATURES)))
    return rows, rng.random(n) < 1 / (1 + np.exp(-(rows @ truth + 1)))


@pytest.mark.parametrize(("likeness", "harm", "help_"), [(1.0, 0.0, 0.03), (-1.0, 0.02, -1.0)])
def test_borrowed_weights_help_a_small_alike_agent_type_and_do_not_harm_an_unlike_one(
    likeness: float, harm: float, help_: float
) -> None:
    gains = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        truth = rng.normal(0, 0.6, len(FEATURES))
        prior = fit.logistic(*_labels(rng, 3000, likeness * truth), 1.0)
        rows, right = _labels(rng, 120, truth)
        unseen, answers = _labels(rng, 2000, truth)
        fold = np.arange(120) % 5
        own, _, _ = fit.fit_model(rows, right, fold)
        borrowed, _, _ = fit.fit_model(rows, right, fold, prior=prior)
        gains.append(fit.log_loss(own.score(unseen), answers) - fit.log_loss(borrowed.score(unseen), answers))
    assert np.mean(gains) >= -harm
    assert np.mean(gains) >= help_


def test_a_model_is_fitted_on_as_many_neighbours_as_a_lookup_sees() -> None:
    assert fit.NEIGHBOURS == match.NEIGHBOURS
