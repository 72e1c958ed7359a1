"""The match model as plain data: what fitting makes, a generation publishes and serving applies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cachewarm_client.errors import CacheError
from cachewarm_client.match_features import FEATURES, VERSION, Floats


@dataclass(frozen=True)
class MatchModel:
    """log-odds that the pick is right = intercept + sum of weight * feature. Plain data: weights by feature name."""

    version: int
    intercept: float
    weights: tuple[float, ...]
    penalty: float

    def score(self, rows: Floats) -> NDArray[np.float64]:
        """Log-odds of rows (n, len(FEATURES))."""
        return np.asarray(rows @ np.asarray(self.weights) + self.intercept)

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "features": self.version,
            "intercept": self.intercept,
            "weights": dict(zip(FEATURES, self.weights, strict=True)),
            "penalty": self.penalty,
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "MatchModel":
        """Raises CacheError for a model of other features, and KeyError, TypeError or ValueError for a damaged one."""
        if data["features"] != VERSION or set(data["weights"]) != set(FEATURES):
            raise CacheError(
                f"match model for features {data['features']!r}, this program knows {VERSION}: upgrade "
                "cachewarm-pipeline where this cache is read"
            )
        weights = tuple(float(data["weights"][name]) for name in FEATURES)
        if not np.isfinite([float(data["intercept"]), *weights]).all():
            raise ValueError("a weight is not finite")
        return MatchModel(VERSION, float(data["intercept"]), weights, float(data["penalty"]))
