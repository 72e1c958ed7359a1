"""Match rules: who may answer a semantic lookup. Plain versioned data that is published with a generation.

A rule is made and certified elsewhere; here it is only written down, read back and applied.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from cachewarm_pipeline.core.errors import CacheError

RULES_VERSION = 1
"""Version of the JSON form. It rises when an old reader would decide wrongly; such a reader refuses it."""

RuleName = Literal["distance", "exact_only"]
_KNOWN: tuple[str, ...] = get_args(RuleName)
_UPGRADE = "upgrade cachewarm-pipeline where this cache is read"


@dataclass(frozen=True)
class MatchRule:
    """How one agent_type's lookups are answered, and the evidence for it. The field names are the report's."""

    agent_type: str
    """Empty for the default rule: agent types that the plan does not have."""
    rule: RuleName
    distance_threshold: float | None = None
    """Largest cosine distance [0, 2] that the ``distance`` rule serves, and what a stock reader can apply."""
    certified: bool = False
    threshold: float | None = None
    """Smallest confidence that a learned rule serves; null for the rules of version 1."""
    hits: int | None = None
    wrong_hits: int | None = None
    upper: float | None = None
    """Hits and wrong hits on held-out traffic, and the upper bound of the wrong-hit rate; null without evidence."""

    def __post_init__(self) -> None:
        if self.rule not in _KNOWN:
            raise CacheError(f"match rule {self.rule!r} of agent_type {self.agent_type!r} is unknown: {_UPGRADE}")
        if self.distance_threshold is not None and not 0 <= self.distance_threshold <= 2:
            raise CacheError(f"match rule of agent_type {self.agent_type!r}: distance_threshold is not in [0, 2]")
        if self.rule == "distance" and self.distance_threshold is None:
            raise CacheError(f"match rule of agent_type {self.agent_type!r}: 'distance' needs a distance_threshold")


@dataclass(frozen=True)
class MatchRules:
    """The rules of one generation: at most one an agent_type, and a default for the others."""

    default: MatchRule
    rules: Mapping[str, MatchRule]
    version: int = RULES_VERSION

    @classmethod
    def uniform(cls, distance_threshold: float) -> "MatchRules":
        """One uncertified distance for every agent_type."""
        return cls(MatchRule("", "distance", distance_threshold), {})

    @classmethod
    def exact_only(cls) -> "MatchRules":
        """No semantic hits for any agent_type."""
        return cls(MatchRule("", "exact_only"), {})

    def for_agent_type(self, agent_type: str) -> MatchRule:
        """The rule of an agent_type; the default one under its name where it has none."""
        return self.rules.get(agent_type) or replace(self.default, agent_type=agent_type)

    def describe(self) -> list[dict[str, Any]]:
        """The rules as rows of a report: one an agent_type, and ``*`` for the others."""
        return [*(asdict(self.rules[name]) for name in sorted(self.rules)), {**asdict(self.default), "agent_type": "*"}]

    def as_dict(self) -> dict[str, Any]:
        """JSON form; ``from_dict`` reads it back."""
        return {
            "version": self.version,
            "default": asdict(self.default),
            "rules": [asdict(self.rules[name]) for name in sorted(self.rules)],
        }

    @classmethod
    def from_dict(cls, data: Any) -> "MatchRules":
        """The rules of their JSON form; fields that are not known are left out.

        Raises CacheError for an unknown version or rule (it says to upgrade the reader) and for data that is no rules.
        """
        version = data.get("version") if isinstance(data, dict) else None
        if isinstance(version, int) and version != RULES_VERSION:
            raise CacheError(f"match rules of version {version}, this program knows {RULES_VERSION}: {_UPGRADE}")
        try:
            rules = [_rule(item) for item in data["rules"]]
            return cls(_rule(data["default"]), {rule.agent_type: rule for rule in rules}, int(data["version"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CacheError(f"the match rules in Redis are damaged ({error!r}): publish again") from None

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "MatchRules":
        """As ``from_dict``, from text."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise CacheError(f"the match rules in Redis are damaged ({error}): publish again") from None
        return cls.from_dict(data)


def decide(rule: MatchRule, distance: float) -> bool:
    """Whether an entry at this cosine distance may answer a lookup under the rule. Never for a distance that is NaN."""
    if rule.rule == "distance" and rule.distance_threshold is not None:
        return distance <= rule.distance_threshold
    return False


NEIGHBOURS = 10
"""Nearest entries that a lookup sees: enough that one whose words contradict it does not hide the next."""


def neighbours(rule: MatchRule, num_results: int) -> int:
    """Nearest entries that the rule has to see for a lookup; 0 when no vector query can help."""
    return 0 if rule.rule == "exact_only" else max(num_results, NEIGHBOURS)


def _rule(item: Any) -> MatchRule:
    return MatchRule(
        agent_type=str(item["agent_type"]),
        rule=item["rule"],
        distance_threshold=_number(item.get("distance_threshold")),
        certified=bool(item.get("certified")),
        threshold=_number(item.get("threshold")),
        hits=item.get("hits"),
        wrong_hits=item.get("wrong_hits"),
        upper=_number(item.get("upper")),
    )


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number
