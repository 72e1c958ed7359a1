"""Match rules: which entry may answer a semantic lookup. Plain versioned data, published with a generation.

The pipeline learns and certifies a rule; this module only writes it as JSON, reads it back and applies its distance.
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
"""Version of the JSON form. It rises when an older reader would decide wrongly. A reader refuses any other version."""

NEIGHBOURS = 10
"""Nearest entries that a lookup sees, and that a model is fitted on: more did not help on four data sets. Fitting and
serving must use the same number, since the features describe the whole neighbourhood."""

RuleName = Literal["learned", "distance", "exact_only"]
_KNOWN: tuple[str, ...] = get_args(RuleName)
_UPGRADE = "upgrade cachewarm-client where this cache is read"


@dataclass(frozen=True)
class MatchRule:
    """How one agent_type's lookups are answered, and the evidence for it.

    Raises CacheError for parts that do not fit together: only a certified rule serves semantic hits.
    """

    agent_type: str
    """Empty for the default rule, which applies to agent types without a rule."""
    rule: RuleName
    distance_threshold: float | None = None
    """Largest cosine distance [0, 2] that the ``distance`` rule serves. It also applies to stock readers and to app
    entries, whatever the rule is. None where no distance was certified."""
    certified: bool = False
    """True for ``learned`` and ``distance``, False for ``exact_only``."""
    model: MatchModel | None = None
    """Scores a lookup's best entry; only of a ``learned`` rule."""
    certificate: Certificate | None = None
    """Evidence for what the rule serves. Its threshold is a log-odds of the model or a cosine similarity; None with
    ``exact_only``."""
    distance: Certificate | None = None
    """Evidence for the plain similarity, for stock readers, whatever the rule is; None where there was nothing to
    test."""
    why: str = ""
    """In words: what the rule rests on, or why semantic hits are off."""

    def __post_init__(self) -> None:
        name = f"match rule of agent_type {self.agent_type!r}"
        if self.rule not in _KNOWN:
            raise CacheError(f"{name}: the rule {self.rule!r} is unknown: {_UPGRADE}")
        if self.distance_threshold is not None and not 0 <= self.distance_threshold <= 2:
            raise CacheError(f"{name}: distance_threshold is not in [0, 2]")
        if self.rule == "distance" and self.distance_threshold is None:
            raise CacheError(f"{name}: 'distance' needs a distance_threshold")
        if (self.rule == "learned") != (self.model is not None):
            raise CacheError(f"{name}: a 'learned' rule needs a model, and no other rule has one")
        if self.certified != (self.certificate is not None and self.certificate.threshold is not None):
            raise CacheError(f"{name}: 'certified' and its certificate contradict each other")
        if self.certified != (self.rule != "exact_only"):
            raise CacheError(f"{name}: 'learned' and 'distance' need a certificate, and 'exact_only' has none")
        if self.rule == "exact_only" and self.distance_threshold is not None:
            raise CacheError(f"{name}: 'exact_only' has no distance_threshold")

    @property
    def score_threshold(self) -> float:
        """Least log-odds that a learned rule serves; infinite without a certificate."""
        if self.certificate is None or self.certificate.threshold is None:
            return math.inf
        return self.certificate.threshold

    def exact_only(self, why: str) -> "MatchRule":
        """The rule of the same agent_type without semantic hits, and the reason."""
        return MatchRule(self.agent_type, "exact_only", distance=self.distance, why=why)

    def describe(self) -> dict[str, Any]:
        """A row of the report: the threshold as a confidence (0 to 1), and the evidence."""
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
        """The rule of its JSON form.

        A rule whose model was fitted on older features becomes ``exact_only``: the cache stays readable until it is
        warmed again. Raises CacheError for a rule that is unknown or does not fit together, and KeyError, TypeError or
        ValueError for a damaged one.
        """
        certificate, distance = (
            Certificate(**item[name]) if item.get(name) else None for name in ("certificate", "distance")
        )
        if (model := item.get("model")) and isinstance(known := model["features"], int) and known < VERSION:
            why = f"its model uses features of version {known}, this reader {VERSION}: exact hits until warmed again"
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
    """The rules of one generation: at most one per agent_type, and a default for the others."""

    default: MatchRule
    rules: Mapping[str, MatchRule] = field(default_factory=dict)
    space: Space | None = None
    """The learned space that all models share; None where none of them has one."""
    words: Mapping[str, float] = field(default_factory=dict)
    """Weights of differing words by ``cachewarm_client.words.word_key``; all models share them too."""

    @classmethod
    def exact_only(cls, why: str = "") -> "MatchRules":
        """No semantic hits for any agent_type."""
        return cls(MatchRule("", "exact_only", why=why))

    def for_agent_type(self, agent_type: str) -> MatchRule:
        """The rule of an agent_type; the default rule under this agent_type where it has none."""
        return self.rules.get(agent_type) or replace(self.default, agent_type=agent_type)

    def withhold(self, agent_types: Mapping[str, str]) -> "MatchRules":
        """The same rules with semantic hits switched off for these agent types (agent_type to reason)."""
        rules = {name: r.exact_only(agent_types[name]) if name in agent_types else r for name, r in self.rules.items()}
        return replace(self, rules=rules)

    def describe(self) -> list[dict[str, Any]]:
        """The rules as rows of a report: one per agent_type, and ``*`` for the others."""
        return [
            *(self.rules[name].describe() for name in sorted(self.rules)),
            {**self.default.describe(), "agent_type": "*"},
        ]

    def shared_dict(self) -> dict[str, Any]:
        """What all rules share, in JSON form: about 130 KB for a 384 x 128 space, and at most 90 KB for the words."""
        space = None
        if self.space:
            flat = np.ascontiguousarray(self.space.projection, "<f2")
            space = {"shape": flat.shape, "f2": base64.b64encode(flat.tobytes()).decode()}
        return {"version": RULES_VERSION, "default": self.default.as_dict(), "space": space, "words": dict(self.words)}

    def as_dict(self) -> dict[str, Any]:
        """JSON form; ``from_dict`` reads it back."""
        return {**self.shared_dict(), "rules": [self.rules[name].as_dict() for name in sorted(self.rules)]}

    @classmethod
    def from_dict(cls, data: Any) -> "MatchRules":
        """The rules of their JSON form; unknown fields are ignored.

        Raises CacheError for another version or an unknown rule (the message says to upgrade the reader) and for data
        that is damaged.
        """
        version = data.get("version") if isinstance(data, dict) else None
        if isinstance(version, int) and version != RULES_VERSION:
            raise CacheError(
                f"match rules of version {version}, this reader knows version {RULES_VERSION}: {_UPGRADE}, or warm "
                "the cache again"
            )
        try:
            if not isinstance(version, int):
                raise ValueError(f"version {version!r}")
            rules = [MatchRule.from_dict(item) for item in data["rules"]]
            return cls(
                MatchRule.from_dict(data["default"]),
                {rule.agent_type: rule for rule in rules},
                _space(data.get("space")),
                # Without its words a model would compute another score than the certified one.
                _words(data["words"] if any(rule.model for rule in rules) else data.get("words", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CacheError(f"the match rules are damaged ({error!r}): publish again") from None

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "MatchRules":
        """``from_dict`` of JSON text."""
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
    """Whether the rule's plain distance serves an entry at this cosine distance; NaN is never near enough."""
    return rule.distance_threshold is not None and distance <= rule.distance_threshold


def neighbours_needed(rule: MatchRule, num_results: int) -> int:
    """How many nearest entries the rule has to see for a lookup; 0 when only exact hits are served."""
    return 0 if rule.rule == "exact_only" else max(num_results, NEIGHBOURS)


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number
