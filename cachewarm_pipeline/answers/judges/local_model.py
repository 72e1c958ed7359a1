"""The weights of the `local` judge: plain data beside this file, fitted by ``python -m benchmarks.fit_judge``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.answers.judges.pair_features import FEATURES, Rarity
from cachewarm_pipeline.ports import JudgeUse

WEIGHTS = "local_weights.json"


@dataclass(frozen=True)
class LocalModel:
    """A logistic regression over FEATURES. Its probability is calibrated to people's verdicts on the pairs that it was
    fitted on."""

    weights: NDArray[np.float64]
    """(len(FEATURES),): of the features as they are, not standardised."""
    intercept: float
    frequent_words: Mapping[str, float]
    """Rarity of the frequent stems, 0..1; all others have 1."""
    operating_points: Mapping[JudgeUse, float]
    """Probability from which a pair counts as equivalent, by use."""
    fitted_on: str

    def log_odds(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-odds (n,) that the pairs with these features (n, len(FEATURES)) are equivalent."""
        return np.asarray(features @ self.weights + self.intercept)

    def rarity(self) -> Rarity:
        """How rare words are."""
        return Rarity(self.frequent_words)


@cache
def local_model() -> LocalModel:
    """The model of this version of the package. Raises ValueError if the file has other features than the code."""
    return model_of(json.loads((files(__package__) / WEIGHTS).read_text("utf-8")))


def model_of(data: Mapping[str, object]) -> LocalModel:
    """The model of a weights file. Raises ValueError if it has other features than the code."""
    weights = data["weights"]
    if not isinstance(weights, dict) or tuple(weights) != FEATURES:
        raise ValueError(f"{WEIGHTS} has other features than pair_features: fit it again")
    return LocalModel(
        np.array(list(weights.values()), np.float64),
        float(data["intercept"]),  # type: ignore[arg-type]
        dict(data["frequent_words"]),  # type: ignore[call-overload]
        {JudgeUse(use): float(point) for use, point in data["operating_points"].items()},  # type: ignore[attr-defined]
        str(data["fitted_on"]),
    )
