"""The match rule as plain versioned data, and the one function that applies it to a lookup.

``learned``: a score over the nearest entries, certified. ``distance``: the plain distance of the nearest one, certified
(what a stock reader can apply, too). ``exact_only``: nothing could be certified. The rule travels as JSON; each entry
carries its vector and its answer's centre in the learned space as bytes (``pack``): the rule does not grow with them.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.core.errors import CacheError
from cachewarm_pipeline.core.rules.certify import Certificate
from cachewarm_pipeline.core.rules.features import FEATURES, VERSION, Floats, Neighbours, features
from cachewarm_pipeline.core.rules.fit import Model
from cachewarm_pipeline.core.rules.space import Space
from cachewarm_pipeline.core.words import tokens

FORMAT = 1
Kind = Literal["learned", "distance", "exact_only"]
_UPGRADE = "upgrade cachewarm-pipeline where this cache is read"
_AGAIN = "publish again"


@dataclass(frozen=True)
class LearnedRule:
    """``certificate``: of the kind's own score (log-odds, or cosine similarity for ``distance``), None if exact_only.
    ``distance``: the certificate of the plain similarity, for stock readers, whatever the kind; None without one."""

    kind: Kind
    model: Model | None
    space: Space | None
    certificate: Certificate | None
    distance: Certificate | None

    def to_json(self) -> str:
        """About 130 KB with a 384 x 128 space, 3 KB without."""
        body: dict[str, Any] = {"format": FORMAT, "kind": self.kind}
        body["certificate"] = asdict(self.certificate) if self.certificate else None
        body["distance"] = asdict(self.distance) if self.distance else None
        if self.model:
            body["model"] = {
                "features": self.model.version,
                "intercept": self.model.intercept,
                "weights": dict(zip(FEATURES, self.model.weights, strict=True)),
                "penalty": self.model.penalty,
            }
        if self.space:
            flat = np.ascontiguousarray(self.space.projection, "<f2")
            body["space"] = {"shape": flat.shape, "f2": base64.b64encode(flat.tobytes()).decode()}
        return json.dumps(body, sort_keys=True, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> "LearnedRule":
        """Raises CacheError for anything but a rule of this format and these features."""
        try:
            body = json.loads(text)
            if body["format"] != FORMAT:
                raise CacheError(f"learned rule of format {body['format']!r}, this program reads {FORMAT}: {_UPGRADE}")
            model = space = None
            if m := body.get("model"):
                if m["features"] != VERSION or set(m["weights"]) != set(FEATURES):
                    raise CacheError(f"learned rule for features {m['features']!r}, not {VERSION}: {_UPGRADE}")
                weights = tuple(float(m["weights"][name]) for name in FEATURES)
                model = Model(VERSION, float(m["intercept"]), weights, float(m["penalty"]))
            if s := body.get("space"):
                raw = np.frombuffer(base64.b64decode(s["f2"], validate=True), "<f2")
                rows, columns = s["shape"]
                space = Space(raw.reshape(rows, columns).astype(np.float16))
            kind = body["kind"]
            certificate, distance = (Certificate(**body[k]) if body[k] else None for k in ("certificate", "distance"))
        except (KeyError, TypeError, ValueError) as error:
            raise CacheError(f"the learned rule is damaged ({error!r}): {_AGAIN}") from None
        if kind not in ("learned", "distance", "exact_only") or (kind == "learned") != bool(model):
            raise CacheError(f"learned rule of kind {kind!r} without its parts: {_AGAIN}")
        if (kind == "exact_only") != (certificate is None or certificate.threshold is None):
            raise CacheError(f"learned rule of kind {kind!r} with a certificate that does not fit it: {_AGAIN}")
        return LearnedRule(kind, model, space, certificate, distance)


@dataclass(frozen=True)
class Decision:
    """``place``: which neighbour may answer, None for a miss. ``candidate``: which one was looked at.
    ``parts``: what each feature added to the log-odds, largest effect first (only where asked for)."""

    place: int | None
    candidate: int
    score: float
    threshold: float
    parts: tuple[tuple[str, float, float], ...] = ()


def pack(own: Floats, centre: Floats) -> bytes:
    """One entry's bytes: its vector and its answer's centre in the learned space, little-endian half precision."""
    return np.concatenate((own, centre)).astype("<f2").tobytes()


def unpack(stored: Sequence[bytes], rank: int) -> NDArray[np.float32]:
    """float32 (k, 2, rank) of the neighbours' bytes. Raises CacheError if one is of another space."""
    whole = b"".join(stored)
    if len(whole) != len(stored) * 4 * rank:
        raise CacheError(f"the entries' stored vectors do not have the {rank} directions of the rule: {_AGAIN}")
    return np.frombuffer(whole, "<f2").reshape(len(stored), 2, rank).astype(np.float32)


def decide(
    rule: LearnedRule,
    text: str,
    vector: Floats,
    similarity: Sequence[float],
    groups: Sequence[str],
    prompts: Sequence[str],
    stored: Sequence[bytes] | None = None,
    explain: bool = False,
) -> Decision | None:
    """Whether one of the nearest entries (best first, own agent_type) may answer. None: no neighbour, or exact_only.

    ``text``, ``vector`` (d,): the lookup. ``similarity``: 1 - distance. ``stored``: the entries' packed bytes, needed
    where the rule has a space.
    """
    if rule.certificate is None or rule.certificate.threshold is None or not len(similarity):
        return None
    threshold = rule.certificate.threshold
    if rule.model is None:
        score = float(similarity[0])
        return Decision(0 if score >= threshold else None, 0, score, threshold)
    cosine = np.asarray(similarity, np.float32)[None]
    codes: dict[str, int] = {}
    group = np.array([[codes.setdefault(g, len(codes)) for g in groups]])
    if rule.space is None:
        found = Neighbours(cosine, group, cosine, cosine)
    else:
        if stored is None:
            raise CacheError(f"the rule has a learned space, the entries have no vectors in it: {_AGAIN}")
        here = rule.space.project(np.asarray(vector)[None])[0]
        both = unpack(stored, rule.space.projection.shape[1]) @ here
        found = Neighbours(cosine, group, both[None, :, 0], both[None, :, 1])
    pick, rows = features(found, [tokens(text)], _Lazy(prompts), np.arange(len(groups))[None])
    score = float(rule.model.score(rows)[0])
    parts: tuple[tuple[str, float, float], ...] = ()
    if explain:
        effects = [(n, float(x), w * float(x)) for n, w, x in zip(FEATURES, rule.model.weights, rows[0], strict=True)]
        parts = tuple(sorted(effects, key=lambda e: -abs(e[2])))
    candidate = int(pick[0])
    return Decision(candidate if score >= threshold else None, candidate, score, threshold, parts)


class _Lazy(Sequence[Any]):
    """Tokens of the neighbours, made only for the one that is looked at."""

    def __init__(self, prompts: Sequence[str]) -> None:
        self._prompts = prompts

    def __len__(self) -> int:
        return len(self._prompts)

    def __getitem__(self, place: Any) -> Any:
        return tokens(self._prompts[place])
