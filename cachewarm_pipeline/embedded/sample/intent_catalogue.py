"""All intents of a random seed as flat arrays, so that a few vector operations draw a million log rows."""

import functools
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pyarrow as pa
from cachewarm_client.text import canonical, cut

from cachewarm_pipeline.embedded.sample import golden_tables, intents, word_lists
from cachewarm_pipeline.embedded.sample.free_text_answers import has_own_texts
from cachewarm_pipeline.embedded.sample.intent_types import Answer, Intent

SHARES = {"content": 0.05, "volatile": 0.012, "personal": 0.008, "poison": 0.005, "foreign": 0.003}
"""Share of the traffic of each small kind. Ordinary and trap intents take the rest."""

ONE_OFF = 0.18
"""Share of the traffic that consists of questions asked once."""

ZIPF = 1.05
"""Exponent of the Zipf popularity of an agent's intents."""

FIRST_RESPONSE = 0.6
"""Share of calls that give the first text of a JSON answer; its other texts share the rest equally."""

NEXT_WORDING = 0.9
"""How often a wording of a free-text answer is given, compared with the one before it: none of them leads."""

OWN_TEXTS_RANK = 0.25
"""Questions with answers of their own are in this upper part of the ranks: what is asked most is worded best."""

_SEASONAL = 0.25  # share of ordinary intents that appear and fade


@dataclass(frozen=True)
class Catalogue:
    """Arrays over intents (N), surfaces (texts that users type), answers and responses.

    ``*_at``: where the part of each intent (or answer) begins; the near misses of all intents follow their right
    answers. ``surface_cum`` and ``response_cum`` rise by 1 per intent (or answer): searching for i + u with u uniform
    in [0, 1) draws one of i's by weight.
    """

    intents: tuple[Intent, ...]
    golden: golden_tables.Golden
    agents: pa.Array
    agent: np.ndarray
    kinds: pa.Array
    kind: np.ndarray
    ids: pa.Array
    surfaces: pa.Array
    surface_at: np.ndarray
    surface_cum: np.ndarray
    answer_ids: pa.Array
    answer_at: np.ndarray
    near_miss_at: np.ndarray
    responses: pa.Array
    response_at: np.ndarray
    response_cum: np.ndarray
    near: np.ndarray  # another intent of the same trap, or -1
    regular: np.ndarray  # ordinary or trap
    popularity: np.ndarray
    drift: np.ndarray  # (3, N): strength, days of a cycle, phase
    seasonal: np.ndarray

    def weights(self, day: date) -> np.ndarray:
        """Share of the day's rows for each intent, (N,); they add up to 1 - ONE_OFF.

        Popularity is a smooth function of the date alone: every intent rises and falls, seasonal ones appear and fade.
        """
        strength, cycle, phase = self.drift
        wave = np.sin(2 * np.pi * (day.toordinal() / cycle + phase))
        weight = self.popularity * np.exp(strength * wave)
        weight = np.where(self.seasonal, weight * (0.001 + 2.5 * ((1 + wave) / 2) ** 6), weight)
        out = np.zeros(len(weight))
        agent_share = np.array([agent.share for agent in word_lists.agents()])
        agent_share = agent_share / agent_share.sum() * (1 - ONE_OFF - sum(SHARES.values()))
        for number, share in enumerate(agent_share):
            part = self.regular & (self.agent == number)
            out[part] = weight[part] / weight[part].sum() * share
        names = self.kinds.to_pylist()
        for kind, share in SHARES.items():
            part = self.kind == names.index(kind)
            out[part] = self.popularity[part] / self.popularity[part].sum() * share
        return out


def _unambiguous(found: list[Intent]) -> list[Intent]:
    """Removes the surfaces whose canonical form an earlier intent of the agent has: each text must have one right
    answer."""
    owner: dict[tuple[str, str], str] = {}
    kept = []
    for intent in found:
        if intent.kind == "content":  # long texts, unlike any question and unlike each other
            kept.append(intent)
            continue
        own = [
            (text, weight)
            for text, weight in intent.surfaces
            if owner.setdefault((intent.agent_type, canonical(cut(text))), intent.id) == intent.id
        ]
        total = sum(weight for _, weight in own)
        surfaces = tuple((text, weight / total) for text, weight in own)
        kept.append(replace(intent, surfaces=surfaces))
    return kept


def _popularity(found: list[Intent], rng: np.random.Generator) -> np.ndarray:
    """Zipf weights per agent and kind. The intents of one trap share a rank in the upper half, so that all of them are
    in demand."""
    out = np.ones(len(found))
    trap_rank: dict[str, float] = {}
    ranks: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for number, intent in enumerate(found):
        draw = float(rng.random())
        if intent.near:
            draw = trap_rank.setdefault(min(intent.id, *intent.near), 0.03 + draw * 0.5)
        elif has_own_texts(intent.id):
            draw *= OWN_TEXTS_RANK
        part = intent.kind if intent.kind in SHARES else "regular"
        ranks.setdefault((intent.agent_type, part), []).append((draw, number))
    for order in ranks.values():
        for rank, (_, number) in enumerate(sorted(order)):
            out[number] = 1 / (rank + 1) ** ZIPF
    return out


def _cumulative(weights: list[list[float]]) -> np.ndarray:
    """Cumulative weights of each group, starting at the group's number: group i ends at exactly i + 1."""
    parts = []
    for number, group in enumerate(weights):
        sums = np.cumsum(group) / sum(group)
        sums[-1] = 1.0
        parts.append(number + sums)
    return np.concatenate(parts)


def _starts(sizes: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)])


def _response_weights(answer: Answer) -> list[float]:
    count = len(answer.responses)
    if answer.free_text:
        return [NEXT_WORDING**number for number in range(count)]
    return [FIRST_RESPONSE, *[(1 - FIRST_RESPONSE) / (count - 1)] * (count - 1)] if count > 1 else [1.0]


@functools.lru_cache(maxsize=2)
def catalogue(seed: int) -> Catalogue:
    """The catalogue of a random seed. It takes about 0.5 s the first time, and 15 MB."""
    gold = golden_tables.build_golden(seed)
    found = _unambiguous([*intents.build_intents(seed), *gold.intents])
    rng = np.random.default_rng([seed & (2**63 - 1), 1])
    right = [answer for intent in found for answer in intent.answers]
    answers = [*right, *(answer for intent in found for answer in intent.near_misses)]
    agents = [agent.name for agent in word_lists.agents()]
    kinds = sorted({intent.kind for intent in found})
    number_of = {intent.id: number for number, intent in enumerate(found)}
    size = len(found)
    popularity = _popularity(found, rng)
    regular = np.array([intent.kind == "stable" or intent.kind.startswith("trap_") for intent in found])
    drift = np.stack([rng.uniform(0.3, 1.0, size), rng.uniform(50, 140, size), rng.random(size)])
    stable = np.array([intent.kind == "stable" for intent in found])
    return Catalogue(
        intents=tuple(found),
        golden=gold,
        agents=pa.array(agents),
        agent=np.array([agents.index(intent.agent_type) for intent in found]),
        kinds=pa.array(kinds),
        kind=np.array([kinds.index(intent.kind) for intent in found]),
        ids=pa.array([intent.id for intent in found]),
        surfaces=pa.array([text for intent in found for text, _ in intent.surfaces]),
        surface_at=_starts([len(intent.surfaces) for intent in found]),
        surface_cum=_cumulative([[weight for _, weight in intent.surfaces] for intent in found]),
        answer_ids=pa.array([answer.id for answer in answers]),
        answer_at=_starts([len(intent.answers) for intent in found]),
        near_miss_at=len(right) + _starts([len(intent.near_misses) for intent in found]),
        responses=pa.array([text for answer in answers for text in answer.responses]),
        response_at=_starts([len(answer.responses) for answer in answers]),
        response_cum=_cumulative([_response_weights(answer) for answer in answers]),
        near=np.array([number_of[intent.near[0]] if intent.near else -1 for intent in found]),
        regular=regular,
        popularity=popularity,
        drift=drift,
        seasonal=stable & (rng.random(size) < _SEASONAL),
    )
