"""A day of the query log with its truth, in chunks. A chunk is a pure function of (seed, day, rows per day, number)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.embedded.sample import faulty_rows, one_off_questions
from cachewarm_pipeline.embedded.sample.intent_catalogue import Catalogue, catalogue
from cachewarm_pipeline.storage.schemas import TIMESTAMP

CHUNK = 65_536
"""Rows that are drawn and written at once, as one row group. The peak is about 250 MB, whatever the number of rows."""

USERS, BOTS = 400, ("bot-ci", "bot-ide", "bot-nightly")
POISONER = "user-9999"

CACHED = 0.1
"""Share of the cacheable rows that the app's earlier cache served; about 8% of all rows."""

WRONG = 0.25
"""Share of the cached trap rows that were served the answer of another intent of the same trap."""

SLIPS = 0.02
"""Share of the answers of a model that are a near miss: wrong, although they read like the right answer."""

MODELS = {"sample-large": (3.0, 12.0), "sample-xl": (4.0, 16.0)}
"""Invented models with invented prices: dollars per million prompt and completion tokens."""

LOG_SCHEMA = pa.schema(
    [
        ("query", pa.string()),
        ("agent_type", pa.string()),
        ("response", pa.string()),
        ("created_at", TIMESTAMP),
        ("user_id", pa.string()),
        ("cache_hit", pa.bool_()),
        ("feedback", pa.int32()),
        ("model", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
        ("cost_usd", pa.float64()),
        ("latency_ms", pa.float64()),
    ]
)

TRUTH_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),  # position in the day's file
        ("intent_id", pa.string()),  # null if the row asks nothing that could be answered
        ("answer_id", pa.string()),  # the right answer; for a volatile intent, the one at that moment
        ("given_answer_id", pa.string()),  # the answer that the response gives, before the row's fault
        ("kind", pa.string()),  # the intent's kind, or one_off
        ("dirty", pa.string()),  # the row's deliberate fault, or null
    ]
)

_HOURS = np.array([2, 1, 1, 1, 2, 4, 9, 16, 26, 34, 36, 32, 27, 32, 36, 35, 30, 23, 16, 12, 9, 7, 5, 3], float)
_WEEKEND = np.array([3, 2, 2, 2, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8, 8, 7, 7, 7, 6, 6, 5, 4, 3], float)
_NO_FEEDBACK = 9
_US_A_DAY = 86_400 * 1_000_000


def day_chunks(seed: int, day: date, rows_per_day: int) -> Iterator[tuple[pa.Table, pa.Table]]:
    """The day's log and truth, ordered by time, in chunks of at most ``CHUNK`` rows."""
    cat = catalogue(seed)
    count = -(-rows_per_day // CHUNK)
    for number in range(count):
        size = min(CHUNK, rows_per_day - number * CHUNK)
        rng = np.random.default_rng([seed & (2**63 - 1), day.toordinal(), rows_per_day, number])
        yield _chunk(cat, rng, day, size, first_row=number * CHUNK, of_rows=rows_per_day)


def _times(rng: np.random.Generator, day: date, size: int, first_row: int, of_rows: int) -> np.ndarray:
    """Sorted microseconds since 1970. Each chunk covers its own part of the day, so the whole day is in order."""
    share = (first_row + np.sort(rng.random(size)) * size) / of_rows
    hours = _WEEKEND if day.weekday() >= 5 else _HOURS
    passed = np.concatenate([[0], np.cumsum(hours) / hours.sum()])
    at = np.interp(share, passed, np.linspace(0, _US_A_DAY, 25)).astype(np.int64)
    return np.minimum(at, _US_A_DAY - 1) + (day - datetime(1970, 1, 1).date()).days * _US_A_DAY


def _users(cat: Catalogue, rng: np.random.Generator, pick: np.ndarray) -> tuple[pa.Array, np.ndarray]:
    """The column user_id, and which rows come from a bot. A bot repeats ordinary questions in one wording."""
    size, people = len(pick), [f"user-{number:04}" for number in range(USERS)]
    weight = 1 / np.arange(1, USERS + 1) ** 0.8
    user = np.searchsorted(np.cumsum(weight) / weight.sum(), rng.random(size))
    bot = (rng.random(size) < 0.04) & np.append(cat.regular, False)[pick]
    user = np.where(bot, USERS + rng.integers(len(BOTS), size=size), np.minimum(user, USERS - 1))
    poison = _is(cat, pick, "poison")
    user = np.where(poison, USERS + len(BOTS), user)
    unknown = (rng.random(size) < 0.03) & ~poison & ~bot
    return pa.array([*people, *BOTS, POISONER]).take(pa.array(user, mask=unknown)), bot


def _is(cat: Catalogue, pick: np.ndarray, kind: str) -> np.ndarray:
    number = cat.kinds.to_pylist().index(kind)
    same: np.ndarray = np.append(cat.kind, -1)[pick] == number
    return same


def _surfaces(cat: Catalogue, rng: np.random.Generator, known: np.ndarray, bot: np.ndarray) -> np.ndarray:
    """The surface of its intent that each row has typed."""
    at = np.searchsorted(cat.surface_cum, known + rng.random(len(known)), side="right")
    at = np.clip(at, cat.surface_at[known], cat.surface_at[known + 1] - 1)
    return np.where(bot, cat.surface_at[known], at)


@dataclass(frozen=True)
class _Served:
    """The answer of each row: the right answer, the one that was given, its text, whether the earlier cache served it,
    and whether it is the answer of another question or a near miss."""

    right: np.ndarray
    given: np.ndarray
    response: np.ndarray
    cached: np.ndarray
    wrong: np.ndarray


def _answers(cat: Catalogue, rng: np.random.Generator, known: np.ndarray, cacheable: np.ndarray) -> _Served:
    size = len(known)
    states = np.diff(cat.answer_at)[known]
    right = cat.answer_at[known] + (rng.random(size) * states).astype(np.int64)
    cached = (rng.random(size) < CACHED) & cacheable
    # The earlier cache served outdated answers of volatile intents, and sometimes confused the intents of a trap.
    answer = np.where(cached, cat.answer_at[known] + (rng.random(size) * states).astype(np.int64), right)
    wrong = cached & (cat.near[known] >= 0) & (rng.random(size) < WRONG)
    answer = np.where(wrong, cat.answer_at[cat.near[known]], answer)
    # The model, too, is wrong at times.
    misses = np.diff(cat.near_miss_at)[known]
    slip = ~cached & cacheable & (misses > 0) & (rng.random(size) < SLIPS)
    answer = np.where(slip, cat.near_miss_at[known] + (rng.random(size) * misses).astype(np.int64), answer)
    at = np.searchsorted(cat.response_cum, answer + rng.random(size), side="right")
    response = np.clip(at, cat.response_at[answer], cat.response_at[answer + 1] - 1)
    return _Served(right, answer, response, cached, wrong | slip)


def _chunk(
    cat: Catalogue, rng: np.random.Generator, day: date, size: int, *, first_row: int, of_rows: int
) -> tuple[pa.Table, pa.Table]:
    weights = cat.weights(day)
    pick = np.searchsorted(np.cumsum(weights), rng.random(size), side="right")  # len(intents) means a one-off question
    single = pick == len(cat.intents)
    singles = np.flatnonzero(single)
    known = np.where(single, 0, pick)
    users, bot = _users(cat, rng, pick)
    surface = _surfaces(cat, rng, known, bot)
    served = _answers(cat, rng, known, ~single & ~_is(cat, pick, "poison"))
    share = np.bincount(cat.agent, weights=weights, minlength=len(cat.agents))
    agent = cat.agent[known]
    agent[singles] = rng.choice(len(share), size=len(singles), p=share / share.sum())
    tail = one_off_questions.draw_one_offs(cat, rng, agent[singles])
    surface[singles] = len(cat.surfaces) + np.arange(len(singles))
    served.response[singles] = len(cat.responses) + np.arange(len(singles))

    rows = faulty_rows.LogColumns(
        query=faulty_rows.text_column([cat.surfaces, tail.queries], surface),
        agent_type=faulty_rows.text_column([cat.agents], agent),
        response=faulty_rows.text_column([cat.responses, tail.responses], served.response),
        created_at=_times(rng, day, size, first_row, of_rows),
        no_date=np.zeros(size, bool),
        cost_usd=np.zeros(size),
    )
    faulty, faults = faulty_rows.add_faults(rows, rng)
    fault = np.full(size, -1)
    fault[faulty] = faults
    numbers = _numbers(rng, served.cached, served.wrong)
    log = _log(rows, users, served.cached, numbers)

    lost = np.isin(
        fault, [number for number, kind in enumerate(faulty_rows.FAULT_KINDS) if kind in faulty_rows.NO_TRUTH]
    )
    nth = np.cumsum(single) - 1  # number of a one-off question among all of them

    def either(known_values: pa.Array, at: np.ndarray, single_values: pa.Array, single_at: np.ndarray) -> pa.Array:
        index = np.where(single, len(known_values) + single_at, at)
        return pa.concat_arrays([known_values, single_values]).take(pa.array(index, mask=lost))

    truth = pa.table(
        [
            pa.array(np.arange(first_row, first_row + size)),
            either(cat.ids, known, tail.ids, nth),
            either(cat.answer_ids, served.right, tail.ids, nth),
            either(cat.answer_ids, served.given, tail.ids, nth),
            either(cat.kinds, cat.kind[known], pa.array(["one_off"]), np.zeros(size, np.int64)),
            pa.array(list(faulty_rows.FAULT_KINDS)).take(pa.array(fault, mask=fault < 0)),
        ],
        schema=TRUTH_SCHEMA,
    )
    return log, truth


def _log(rows: faulty_rows.LogColumns, users: pa.Array, cached: np.ndarray, numbers: dict[str, np.ndarray]) -> pa.Table:
    query = rows.query.array()
    typed = pc.fill_null(pc.binary_length(query), 0).to_numpy() // 4  # about 4 bytes a token
    prompt = np.where(cached, 0, numbers["prompt"] + typed)
    price = np.array(list(MODELS.values()))[numbers["model"]] / 1e6
    cost = np.round(prompt * price[:, 0] + numbers["completion"] * price[:, 1], 6)
    columns = [
        query,
        rows.agent_type.array(),
        rows.response.array(),
        pa.array(rows.created_at, mask=rows.no_date).cast(TIMESTAMP),
        users,
        pa.array(cached),
        pa.array(numbers["feedback"], pa.int32(), mask=numbers["feedback"] == _NO_FEEDBACK),
        pa.array(list(MODELS)).take(pa.array(numbers["model"])),
        pa.array(prompt, pa.int32()),
        pa.array(numbers["completion"], pa.int32()),
        pa.array(cost + rows.cost_usd),
        pa.array(numbers["latency"]),
    ]
    return pa.table(columns, schema=LOG_SCHEMA)


def _numbers(rng: np.random.Generator, cached: np.ndarray, wrong: np.ndarray) -> dict[str, np.ndarray]:
    """Model, tokens, latency and feedback of each row. Rows that the cache served cost nothing."""
    size = len(cached)
    completion = np.clip(rng.lognormal(np.log(650), 0.35, size), 350, 1600).astype(np.int64)
    latency = rng.lognormal(np.log(350), 0.4, size) + completion * rng.uniform(6, 11, size)
    opinion = rng.choice([_NO_FEEDBACK, 1, 0, -1], size=size, p=[0.96, 0.022, 0.008, 0.01])
    return {
        "model": (rng.random(size) < 0.35).astype(np.int64),
        "prompt": np.clip(rng.lognormal(np.log(2600), 0.3, size), 2000, 5600).astype(np.int64),
        "completion": np.where(cached, 0, completion),
        "latency": np.round(np.where(cached, rng.uniform(3, 40, size), latency), 1),
        "feedback": np.where(wrong & (rng.random(size) < 0.3), -1, opinion),
    }
