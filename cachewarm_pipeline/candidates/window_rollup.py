"""Rolls a window of daily query counts up into ``frequent_queries``: the queries that are asked often enough, each with
the answer to warm.

Days are streamed one at a time, in three passes: the first finds the frequent queries by 8-byte hashes, the second adds
up their numbers, the third reads the texts of the responses that can win. So memory grows with the distinct queries of
the window (16 bytes each), the frequent queries (1 kB each for what the change model needs, and the chosen answer), and
one day. It does not grow with the log, nor with the responses that cannot win.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
from cachewarm_client.personal_data import mask
from cachewarm_client.text import entry_id

from cachewarm_pipeline.answers.answer_pairs import QueryPairs, query_pairs
from cachewarm_pipeline.answers.personal_data import personal_data
from cachewarm_pipeline.answers.probability_matrix import Probability, probability_matrices
from cachewarm_pipeline.answers.response_choice import LoggedAnswer, ResponseChoice, choose_by_probability
from cachewarm_pipeline.answers.volatility import find_volatility
from cachewarm_pipeline.answers.votes import votes
from cachewarm_pipeline.candidates.provenance import AnswerProvenance, dump, source_row_hash
from cachewarm_pipeline.candidates.window_counts import DailyTables, Window, frequent_hashes
from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.ports import QueryAnswers
from cachewarm_pipeline.query_log.response_text import exact_probability
from cachewarm_pipeline.storage.schemas import FREQUENT_QUERIES, JUDGE_NOISE, MAX_USERS, UNFIT_QUERIES

LOG_QUALITY = 0.9
"""quality_score of a stable answer from the log: proven in use, but not reviewed like a golden answer. Instability
lowers it: it is multiplied by the ``stability`` (answers.volatility)."""

_BATCH = 10_000
"""Queries whose response texts, and the days on which they were seen, are in memory at once: 100 MB where each has the
same response every day."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FrequentQueries:
    """The result of rolling up a window."""

    table: pa.Table
    """FREQUENT_QUERIES, most frequent first, then by entry_id."""
    unfit_queries: pa.Table
    """UNFIT_QUERIES: the frequent queries that are excluded as PERSONAL or VOLATILE, in the same order, for
    reviewers."""
    noise: pa.Table
    """JUDGE_NOISE: for each agent_type how often two answers to one query disagree."""
    sampled: int
    """Queries of whose responses only a sample was judged (window_responses.MAX_CONTENDERS)."""
    excluded: Counts
    """Distinct queries that are excluded, including the unfit ones."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """A query with a chosen answer, before it is known whether it is volatile."""

    query: int
    choice: ResponseChoice
    pairs: QueryPairs
    sampled: bool


def roll_up_frequent_queries(
    days: DailyTables,
    *,
    weights: Mapping[date, float],
    min_frequency: int,
    min_users: int,
    min_stability: float = 0.0,
    judge: Probability = exact_probability,
    label_point: float = 0.5,
) -> FrequentQueries:
    """The frequent queries of a window with the answers to warm, and the distinct queries that are excluded.

    Reasons for exclusion, in the order in which they are checked:

    - RARE: fewer than ``min_frequency`` rows in the window.
    - FEW_USERS: fewer than ``min_users`` distinct users (at most MAX_USERS). Not checked where no user is known.
    - PERSONAL: personal data or a secret in the prompt or in the best supported response. No judge sees such a text.
    - NO_EVIDENCE: no response was kept that did not come from the cache.
    - NEGATIVE_FEEDBACK: users rejected every response.
    - VOLATILE: its answers change over time, differ by user, or the judge cannot tell, or its stability is under
      ``min_stability`` (answers.volatility).

    ``demand`` is the sum over days of the day's rows times the day's weight; the ``weights`` of a window sum to 1
    (query_log.day_weights). ``judge`` gives the probability that two responses are equivalent, ``label_point`` is the
    one from which it labels them so. Where the log of an agent_type has user ids, every user has one vote in the choice
    of the answer, else every row.
    """
    frequent, distinct = frequent_hashes(days, min_frequency)
    window = Window(days, frequent, weights)
    excluded: Counts = Counts()
    rows, unfit_rows = [], []

    def exclude_unfit(query: int, reason: ExclusionReason, detail: str, share: float | None) -> None:
        excluded[reason] += 1
        unfit_rows.append(_unfit_row(window, query, reason, detail, share))

    excluded[ExclusionReason.RARE] = distinct - len(frequent)
    answered: dict[str, list[_Answered]] = {}
    for start in range(0, window.number, _BATCH):
        wanted = []
        for query in range(start, min(start + _BATCH, window.number)):
            users = len(window.users[query])
            if window.totals["count"][query] < min_frequency:  # rare queries that share a hash
                excluded[ExclusionReason.RARE] += 1
            elif users and min(users, MAX_USERS) < min_users:
                excluded[ExclusionReason.FEW_USERS] += 1
            elif data := personal_data(window.prompt(query)):
                exclude_unfit(query, ExclusionReason.PERSONAL, data, None)
            else:
                wanted.append(query)
        answers = window.contenders(wanted)
        for query in list(wanted):  # no judge sees personal data
            found = [personal_data("", answer.text) for answer in answers[query]]
            if found and found[0]:
                exclude_unfit(query, ExclusionReason.PERSONAL, found[0], None)
                wanted.remove(query)
            answers[query] = [answer for answer, data in zip(answers[query], found, strict=True) if not data]
        matrices = probability_matrices([_asked(window.prompt(query), answers[query]) for query in wanted], judge)
        for query, matrix in zip(wanted, matrices, strict=True):
            judged, agent_type = answers[query], window.agent_types[query]
            if not judged:
                excluded[ExclusionReason.NO_EVIDENCE] += 1
            elif (choice := choose_by_probability(judged, matrix, votes(judged, agent_type in window.known))) is None:
                excluded[ExclusionReason.NEGATIVE_FEEDBACK] += 1
            else:
                sampled = sum(answer.count for answer in judged) < int(window.totals["answered"][query])
                own = _Answered(query, choice, query_pairs(judged, matrix, label_point), sampled)
                answered.setdefault(agent_type, []).append(own)
    noise = []
    for agent_type, own_queries in sorted(answered.items()):
        volatility, measured = find_volatility(
            agent_type,
            [window.prompt(one.query) for one in own_queries],
            [one.pairs for one in own_queries],
            [one.sampled for one in own_queries],
        )
        noise.append(measured)
        for one, found_out in zip(own_queries, volatility, strict=True):
            if found_out.excluded(min_stability):
                exclude_unfit(one.query, ExclusionReason.VOLATILE, found_out.detail, found_out.stability)
            else:
                rows.append(_row(window, one.query, one.choice, found_out.stability))
    for table in (rows, unfit_rows):
        table.sort(key=lambda row: (-row["frequency"], row["entry_id"]))
    return FrequentQueries(
        pa.Table.from_pylist(rows, schema=FREQUENT_QUERIES),
        pa.Table.from_pylist(unfit_rows, schema=UNFIT_QUERIES),
        pa.Table.from_pylist([asdict(one) for one in noise], schema=JUDGE_NOISE),
        sum(one.sampled for own in answered.values() for one in own),
        +excluded,
    )


def _asked(prompt: str, answers: Sequence[LoggedAnswer]) -> QueryAnswers:
    models = {answer.model for answer in answers}
    return QueryAnswers(prompt, [answer.text for answer in answers], models.pop() if len(models) == 1 else None)


def _row(window: Window, query: int, choice: ResponseChoice, share: float) -> dict[str, Any]:
    agent_type, prompt = window.agent_types[query], window.prompt(query)
    frequency = int(window.totals["count"][query])
    costed = int(window.totals["costed"][query])
    users = min(len(window.users[query]), MAX_USERS) or None
    provenance = {
        "first_day": date.fromordinal(window.first_day[query]).isoformat(),
        "last_day": date.fromordinal(window.last_day[query]).isoformat(),
        "frequency": frequency,
        "distinct_users": users,
        "support": choice.support,
        "last_answer_at": (_EPOCH + timedelta(microseconds=choice.answer.last_at)).isoformat(),
        "depends": AnswerProvenance(source_row_hash(choice.answer.text), choice.answer.model).as_dict(),
    }
    return {
        "entry_id": entry_id(prompt, agent_type),
        "agent_type": agent_type,
        "prompt": prompt,
        "response": choice.answer.text,
        "source": "query_log",
        "quality_score": LOG_QUALITY * share,
        "demand": float(window.demand[query]),
        "cost_usd": float(window.totals["cost_usd"][query]) / costed if costed else None,
        "provenance": dump(provenance),
        "frequency": frequency,
        "distinct_users": users,
        "stability": share,
        "last_answer_at": choice.answer.last_at,
    }


def _unfit_row(window: Window, query: int, reason: ExclusionReason, detail: str, share: float | None) -> dict[str, Any]:
    agent_type, prompt = window.agent_types[query], window.prompt(query)
    return {
        "entry_id": entry_id(prompt, agent_type),
        "agent_type": agent_type,
        "prompt": mask(prompt),
        "reason": str(reason),
        "detail": detail,
        "frequency": int(window.totals["count"][query]),
        "stability": share,
        "demand": float(window.demand[query]),
    }
