"""A random labelled log for tests of the match rules."""

import numpy as np
from cachewarm_client import learned_space as space
from cachewarm_client.words import tokens

from cachewarm_pipeline.match_rules import match_model_fit as fit


def labelled_log(seed: int, answers: int = 30, wordings: int = 14, d: int = 32) -> fit.Labelled:
    """Answers differ in the first eight dimensions, wordings of one answer mostly in the others."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(answers), wordings)
    noise = rng.normal(0, 1, (len(groups), d)) * np.where(np.arange(d) < 8, 0.25, 1.0)
    means = rng.normal(0, 1, (answers, d)) * (np.arange(d) < 8)
    vectors = space.unit(means[groups] + 0.7 * noise)
    prompts = [f"question {g} wording {i}" for i, g in enumerate(groups)]
    return fit.Labelled(vectors, groups, [tokens(p) for p in prompts])
