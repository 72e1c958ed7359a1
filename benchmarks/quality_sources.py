"""Labelled data as the pipeline reads it: a source folder of daily logs, and the later traffic with its true answers.

You bring the labelled files; they are only read. The sample is made here and has a truth of its own.

A wording of an answer becomes one log row with the canned response of that answer, so that the `exact` judge labels it.
The first wordings are the log of DAYS days, the later ones its traffic; no wording is in both. Every random seed
shuffles the wordings. It also gives the log an agent_type of its own, so that the hashes of the pipeline split each log
differently.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cachewarm_client.text import canonical, cut

from benchmarks.match_rules_data import Texts, load
from cachewarm_pipeline.embedded.sample import ensure_sample
from cachewarm_pipeline.embedded.sample.ground_truth import Truth, day_rows
from cachewarm_pipeline.storage.schemas import TIMESTAMP

LAST_DAY = date(2026, 3, 20)
"""Last day of every log. It is far enough in the past to be a partition whenever this runs."""

DAYS = 30
"""Days of the log: the lookback window of the pipeline, of which the replay holds out the last 7."""

LOG_SHARE = 0.69
"""Share of the wordings of an answer that are log; the rest is traffic. As in benchmarks/match_rules.py."""

HELD_OUT = 2
"""The number of last days of the sample that are traffic."""

SAMPLE_DAYS = 30 + 7 + HELD_OUT
"""The lookback window, the replay's days before it, and the traffic."""

SETS = ("banking:1000", "banking:200", "stackfaq:200", "stackfaq-shift:200", "security:400", "sample:1000")

_LOG = pa.schema(
    [
        ("query", pa.string()),
        ("agent_type", pa.string()),
        ("response", pa.string()),
        ("created_at", TIMESTAMP),
        ("user_id", pa.string()),
    ]
)


class TrafficPrompt(NamedTuple):
    """One wording of the traffic."""

    agent_type: str
    prompt: str
    times: int
    """Number of lookups that it stands for."""


@dataclass(frozen=True)
class Case:
    """One random seed of a set: a source to warm from, and the traffic that follows it."""

    source: Path
    as_of: date
    """The day to warm for."""
    settings: Mapping[str, str]
    """Settings of the pipeline for this set."""
    traffic: Sequence[TrafficPrompt]
    right: Callable[[TrafficPrompt, str], bool]
    """Whether a response is the true answer of a wording, by the labels and never by the judge."""

    @property
    def distinct(self) -> list[int]:
        """1 for the first spelling of each canonical query of the traffic, 0 for its other spellings."""
        seen: set[tuple[str, str]] = set()
        first = []
        for asked in self.traffic:
            key = (asked.agent_type, canonical(cut(asked.prompt)))
            first.append(int(key not in seen))
            seen.add(key)
        return first


def make_case(key: str, seed: int, data: Path | None, folder: Path) -> Case:
    """The case of a set (``name:budget``, see SETS) and a random seed. Writes its source into the folder.

    Raises:
        SystemExit: The set is unknown, or needs a data folder and has none; the message is one line.
    """
    name, _, budget = key.partition(":")
    if not budget.isdecimal() or name not in {known.partition(":")[0] for known in SETS}:
        raise SystemExit(f"--set {key}: write it as NAME:ENTRIES, for example {', '.join(SETS)}")
    if name == "sample":
        return _sample(seed, {"budget": budget, "judge": "local"}, folder)
    if data is None:
        raise SystemExit(f"--set {key} needs --data, the folder of the labelled files")
    settings = {"budget": budget, "judge": "exact", "min_frequency": "1", "min_users": "1"}
    rng = np.random.default_rng(seed)
    texts = load(name.partition("-")[0], data)
    log, traffic = _SPLITS[name](texts, rng)
    agent_type = f"{name}-{seed}"
    write_log(folder, log, texts, agent_type, rng)
    answer_of = {texts.texts[row]: canned(int(texts.groups[row])) for row in traffic}
    return Case(
        folder,
        LAST_DAY,
        settings,
        [TrafficPrompt(agent_type, texts.texts[row], 1) for row in traffic],
        lambda asked, response: response == answer_of[asked.prompt],
    )


def canned(group: int) -> str:
    """The response of an answer, the same for each of its wordings."""
    return json.dumps({"answer": f"What support says in case {group}."})


def write_log(folder: Path, rows: Sequence[int], texts: Texts, agent_type: str, rng: np.random.Generator) -> None:
    """Writes `llm_query_logs`: the rows in a drawn order over DAYS days, one Parquet file a day, one user a row."""
    (folder / "llm_query_logs").mkdir(parents=True)
    drawn = rng.permutation(np.asarray(rows))
    for number in range(DAYS):
        day = LAST_DAY - timedelta(days=DAYS - 1 - number)
        morning = datetime.combine(day, time(8), UTC)
        of_day = [
            {
                "query": texts.texts[row],
                "agent_type": agent_type,
                "response": canned(int(texts.groups[row])),
                "created_at": morning + timedelta(seconds=place),
                "user_id": f"user-{place}",
            }
            for place, row in list(enumerate(drawn.tolist()))[number::DAYS]
        ]
        pq.write_table(pa.Table.from_pylist(of_day, schema=_LOG), folder / "llm_query_logs" / f"{day}.parquet")


Split = tuple[list[int], list[int]]
"""Rows of the log (twice if asked twice) and of the traffic."""


def _by_answer(texts: Texts, rng: np.random.Generator) -> Split:
    """The log is the first wordings of each answer, in a drawn order."""
    log, traffic = [], []
    for rows in _groups(texts):
        drawn = rng.permutation(rows).tolist()
        cut_at = round(LOG_SHARE * len(drawn))
        log += drawn[:cut_at]
        traffic += drawn[cut_at:]
    return log, traffic


def _by_annotator(texts: Texts, rng: np.random.Generator) -> Split:
    """The log is StackFAQ's questions and annotator a. Annotator b asks, so the traffic differs from the log."""
    return np.flatnonzero(texts.kinds < 2).tolist(), np.flatnonzero(texts.kinds == 2).tolist()


def _by_title(texts: Texts, rng: np.random.Generator) -> Split:
    """Titles of questions with an accepted answer are asked twice, so that they are warmed.

    The bodies of two thirds of them are asked once: the pipeline learns from them. The other bodies are the traffic."""
    titles = [row for row in range(0, len(texts.texts), 2) if texts.kinds[row]]
    drawn = rng.permutation(titles)
    third = len(drawn) // 3
    return [*titles, *titles, *(drawn[third:] + 1).tolist()], (drawn[:third] + 1).tolist()


_SPLITS: dict[str, Callable[[Texts, np.random.Generator], Split]] = {
    "banking": _by_answer,
    "stackfaq": _by_answer,
    "stackfaq-shift": _by_annotator,
    "security": _by_title,
}


def _groups(texts: Texts) -> Iterator[np.ndarray]:
    order = np.argsort(texts.groups, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(texts.groups[order])) + 1)


def _sample(seed: int, settings: Mapping[str, str], folder: Path) -> Case:
    """The traffic is the clean questions of the last days, as asked. For a volatile one, any stored answer is wrong."""
    ensure_sample(folder, seed=seed, last_day=LAST_DAY, days=SAMPLE_DAYS)
    days = [LAST_DAY - timedelta(days=back) for back in range(HELD_OUT)]
    truth = Truth(folder, days)
    asked: Counter[tuple[str, str]] = Counter()
    for day in days:
        for row in day_rows(folder, day).to_pylist():
            if not row["dirty"] and row["query"] and row["agent_type"]:
                asked[row["agent_type"], row["query"]] += 1
    return Case(
        folder,
        min(days) - timedelta(days=1),
        settings,
        [TrafficPrompt(agent_type, prompt, times) for (agent_type, prompt), times in asked.items()],
        lambda asked, response: bool(truth.is_right(asked.agent_type, asked.prompt, response)),
    )
