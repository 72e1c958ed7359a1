"""The match model as plain data: the pipeline fits it, a generation publishes it, and a reader applies it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cachewarm_client.errors import CacheError
from cachewarm_client.match_features import FEATURES, VERSION, Floats


@dataclass(frozen=True)
class MatchModel:
    """A logistic regression: log-odds that the pick is right = intercept + sum of weight * feature."""

    version: int
    """``match_features.VERSION`` that it was fitted on."""
    intercept: float
    weights: tuple[float, ...]
    """One per feature, in the order of ``match_features.FEATURES``."""
    penalty: float
    """The L2 penalty that cross-validation chose; not used for scoring."""

    def score(self, rows: Floats) -> NDArray[np.float64]:
        """Log-odds, float64 (n,), of feature rows (n, len(FEATURES))."""
        return np.asarray(rows @ np.asarray(self.weights) + self.intercept)

    def as_dict(self) -> dict[str, Any]:
        """JSON form, weights by feature name."""
        return {
            "features": self.version,
            "intercept": self.intercept,
            "weights": dict(zip(FEATURES, self.weights, strict=True)),
            "penalty": self.penalty,
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "MatchModel":
        """The model of its JSON form.

        Raises CacheError for a model of other features, and KeyError, TypeError or ValueError for a damaged one.
        """
        if data["features"] != VERSION or set(data["weights"]) != set(FEATURES):
            raise CacheError(
                f"match model for features of version {data['features']!r}, this reader knows {VERSION}: upgrade "
                "cachewarm-client where this cache is read"
            )
        weights = tuple(float(data["weights"][name]) for name in FEATURES)
        if not np.isfinite([float(data["intercept"]), *weights]).all():
            raise ValueError("a weight is not finite")
        return MatchModel(VERSION, float(data["intercept"]), weights, float(data["penalty"]))
