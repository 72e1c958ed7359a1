"""Match rules: who may answer a semantic lookup. Plain versioned data that is published with a generation.

A rule is made and certified elsewhere; here it is only written down, read back and applied.
"""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from cachewarm_client.certificate import Certificate
from cachewarm_client.errors import CacheError
from cachewarm_client.learned_space import Space
from cachewarm_client.match_features import VERSION
from cachewarm_client.match_model import MatchModel

RULES_VERSION = 2
"""Version of the JSON form. It rises when an old reader would decide wrongly; such a reader refuses it."""

_READABLE = (1, 2)
"""1 had no learned rules and no certificates; what it holds is decided as it was then."""

RuleName = Literal["learned", "distance", "exact_only"]
_KNOWN: tuple[str, ...] = get_args(RuleName)
_UPGRADE = "upgrade cachewarm-pipeline where this cache is read"


@dataclass(frozen=True)
class MatchRule:
    """How one agent_type's lookups are answered, and the evidence for it."""

    agent_type: str
    """Empty for the default rule: agent types that the plan does not have."""
    rule: RuleName
    distance_threshold: float | None = None
    """Largest cosine distance [0, 2] that the ``distance`` rule serves, and what a stock reader can apply."""
    certified: bool = False
    model: MatchModel | None = None
    """Scores a lookup's best entry; of a ``learned`` rule."""
    certificate: Certificate | None = None
    """Of what the rule serves: log-odds of the model, or the cosine similarity. None: ``exact_only``, or version 1."""
    distance: Certificate | None = None
    """Of the plain similarity, for stock readers, whatever the rule is; None where there was nothing to test."""
    why: str = ""
    """In words: what the rule rests on, or why there is none."""

    def __post_init__(self) -> None:
        name = f"match rule of agent_type {self.agent_type!r}"
        if self.rule not in _KNOWN:
            raise CacheError(f"{name}: {self.rule!r} is unknown: {_UPGRADE}")
        if self.distance_threshold is not None and not 0 <= self.distance_threshold <= 2:
            raise CacheError(f"{name}: distance_threshold is not in [0, 2]")
        if self.rule == "distance" and self.distance_threshold is None:
            raise CacheError(f"{name}: 'distance' needs a distance_threshold")
        if (self.rule == "learned") != (self.model is not None):
            raise CacheError(f"{name}: 'learned' and a model go together")
        if self.certified != (self.certificate is not None and self.certificate.threshold is not None):
            raise CacheError(f"{name}: certified, but without a certificate, or the other way round")
        if self.rule == "learned" and not self.certified:
            raise CacheError(f"{name}: 'learned' needs a certificate")

    @property
    def score_threshold(self) -> float:
        """Least log-odds that a learned rule serves."""
        if self.certificate is None or self.certificate.threshold is None:
            return math.inf
        return self.certificate.threshold

    def exact_only(self, why: str) -> "MatchRule":
        """The same agent_type without semantic hits."""
        return MatchRule(self.agent_type, "exact_only", distance=self.distance, why=why)

    def describe(self) -> dict[str, Any]:
        """A row of the report: thresholds as a person reads them, and the evidence."""
        proof = self.certificate
        confidence = 1 / (1 + math.exp(-self.score_threshold)) if self.rule == "learned" else None
        return {
            "agent_type": self.agent_type,
            "rule": self.rule,
            "threshold": confidence,
            "distance_threshold": self.distance_threshold,
            "certified": self.certified,
            "hits": proof.hits if proof else None,
            "wrong_hits": proof.wrong if proof else None,
            "upper": proof.upper if proof else None,
            "queries": tested.queries if (tested := proof or self.distance) else 0,
            "why": self.why,
        }

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "agent_type": self.agent_type,
            "rule": self.rule,
            "distance_threshold": self.distance_threshold,
            "certified": self.certified,
            "model": self.model and self.model.as_dict(),
            "certificate": self.certificate and asdict(self.certificate),
            "distance": self.distance and asdict(self.distance),
            "why": self.why,
        }

    @staticmethod
    def from_dict(item: Mapping[str, Any]) -> "MatchRule":
        """A model of older features is no model any more: exact hits only, so that it can be read until it is replaced.

        Raises CacheError, and KeyError, TypeError or ValueError for a damaged one.
        """
        certificate, distance = (
            Certificate(**item[name]) if item.get(name) else None for name in ("certificate", "distance")
        )
        if (model := item.get("model")) and isinstance(known := model["features"], int) and known < VERSION:
            why = f"its model knows features of version {known}, this program {VERSION}: exact hits until warmed again"
            return MatchRule(str(item["agent_type"]), "exact_only", distance=distance, why=why)
        return MatchRule(
            agent_type=str(item["agent_type"]),
            rule=item["rule"],
            distance_threshold=_number(item.get("distance_threshold")),
            certified=bool(item.get("certified")),
            model=MatchModel.from_dict(item["model"]) if item.get("model") else None,
            certificate=certificate,
            distance=distance,
            why=str(item.get("why", "")),
        )


@dataclass(frozen=True)
class MatchRules:
    """The rules of one generation: at most one an agent_type, and a default for the others."""

    default: MatchRule
    rules: Mapping[str, MatchRule] = field(default_factory=dict)
    space: Space | None = None
    """The learned space that all models share; None where none of them has one."""
    words: Mapping[str, float] = field(default_factory=dict)
    """Weights of differing words (match_rules.word_weights), which all models share too."""
    version: int = RULES_VERSION

    @classmethod
    def uniform(cls, distance_threshold: float) -> "MatchRules":
        """One uncertified distance for every agent_type, as version 1 published it. Nothing publishes it now."""
        return cls(MatchRule("", "distance", distance_threshold))

    @classmethod
    def exact_only(cls, why: str = "") -> "MatchRules":
        """No semantic hits for any agent_type."""
        return cls(MatchRule("", "exact_only", why=why))

    def for_agent_type(self, agent_type: str) -> MatchRule:
        """The rule of an agent_type; the default one under its name where it has none."""
        return self.rules.get(agent_type) or replace(self.default, agent_type=agent_type)

    def withhold(self, agent_types: Mapping[str, str]) -> "MatchRules":
        """The rules with these agent types (name to reason) reduced to exact hits."""
        rules = {name: r.exact_only(agent_types[name]) if name in agent_types else r for name, r in self.rules.items()}
        return replace(self, rules=rules)

    def describe(self) -> list[dict[str, Any]]:
        """The rules as rows of a report: one an agent_type, and ``*`` for the others."""
        return [
            *(self.rules[name].describe() for name in sorted(self.rules)),
            {**self.default.describe(), "agent_type": "*"},
        ]

    def shared_dict(self) -> dict[str, Any]:
        """What all rules share, in JSON form: about 130 KB with a 384 x 128 space, and 90 KB with the most words."""
        space = None
        if self.space:
            flat = np.ascontiguousarray(self.space.projection, "<f2")
            space = {"shape": flat.shape, "f2": base64.b64encode(flat.tobytes()).decode()}
        return {"version": self.version, "default": self.default.as_dict(), "space": space, "words": dict(self.words)}

    def as_dict(self) -> dict[str, Any]:
        """JSON form; ``from_dict`` reads it back."""
        return {**self.shared_dict(), "rules": [self.rules[name].as_dict() for name in sorted(self.rules)]}

    @classmethod
    def from_dict(cls, data: Any) -> "MatchRules":
        """The rules of their JSON form; fields that are not known are left out.

        Raises CacheError for an unknown version or rule (it says to upgrade the reader) and for data that is no rules.
        """
        version = data.get("version") if isinstance(data, dict) else None
        if isinstance(version, int) and version not in _READABLE:
            raise CacheError(f"match rules of version {version}, this program knows {RULES_VERSION}: {_UPGRADE}")
        try:
            rules = [MatchRule.from_dict(item) for item in data["rules"]]
            return cls(
                MatchRule.from_dict(data["default"]),
                {rule.agent_type: rule for rule in rules},
                _space(data.get("space")),
                # Without them a model would score something else than it was certified for.
                _words(data["words"] if any(rule.model for rule in rules) else data.get("words", {})),
                int(data["version"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CacheError(f"the match rules are damaged ({error!r}): publish again") from None

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "MatchRules":
        """As ``from_dict``, from text."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise CacheError(f"the match rules are damaged ({error}): publish again") from None
        return cls.from_dict(data)


def _space(data: Any) -> Space | None:
    if not data:
        return None
    rows, columns = data["shape"]
    raw = np.frombuffer(base64.b64decode(data["f2"], validate=True), "<f2")
    return Space(raw.reshape(rows, columns).astype(np.float16))


def _words(data: Any) -> dict[str, float]:
    words = {str(word): float(weight) for word, weight in data.items()}
    if not all(map(math.isfinite, words.values())):
        raise ValueError("a word's weight is not finite")
    return words


def near_enough(rule: MatchRule, distance: float) -> bool:
    """Whether the rule's plain distance serves an entry at this cosine distance; never one that is NaN."""
    return rule.distance_threshold is not None and distance <= rule.distance_threshold


NEIGHBOURS = 10
"""Nearest entries that a lookup sees, and that a model is fitted on: more did not help on four data sets."""


def neighbours(rule: MatchRule, num_results: int) -> int:
    """Nearest entries that the rule has to see for a lookup; 0 when no vector query can help."""
    return 0 if rule.rule == "exact_only" and rule.distance_threshold is None else max(num_results, NEIGHBOURS)


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number
