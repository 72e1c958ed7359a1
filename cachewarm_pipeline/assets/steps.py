"""The steps from a mined log to a plan with match rules, each read - decide - no write: the assets do them for their
day and store what they give, the replay does all of them for an earlier day."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.personal_data import find
from cachewarm_client.text import embedding_key

from cachewarm_pipeline.candidates.base_queries import Base, choose_bases, parse_base_queries
from cachewarm_pipeline.candidates.golden_candidates import golden_candidates
from cachewarm_pipeline.candidates.provenance import Depends
from cachewarm_pipeline.candidates.variant_filter import filter_variants
from cachewarm_pipeline.candidates.variant_table import Writer, variants_table
from cachewarm_pipeline.candidates.window_rollup import RolledUp, rollup
from cachewarm_pipeline.errors import ConfigurationError, DatasetError, LlmError
from cachewarm_pipeline.exclusion_reasons import Counts, LeftOut
from cachewarm_pipeline.freshness.change_rate import ttl_of
from cachewarm_pipeline.freshness.stale_answers import Present, Standing
from cachewarm_pipeline.freshness.withdrawn_entries import empty, withdrawn_answers
from cachewarm_pipeline.lineage.partitions import window
from cachewarm_pipeline.match_rules.labelled_queries import labelled_queries
from cachewarm_pipeline.match_rules.learn_rules import AgentLog, Learned, learn_rules
from cachewarm_pipeline.match_rules.rule_tables import agent_logs
from cachewarm_pipeline.measurement.entry_payback import idle_entries
from cachewarm_pipeline.models.embed_new_texts import embed_missing
from cachewarm_pipeline.planning.expected_demand import day_weights
from cachewarm_pipeline.ports import SOURCE_CHARS, Judge, Llm
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.storage.datasets import DatasetStore
from cachewarm_pipeline.storage.schemas import SYNTHETIC_VARIANTS
from cachewarm_pipeline.workspace.workspace import PARTIAL, Workspace

DAILY = "daily_query_counts"

WITHDRAWN = "withdrawn_entries"

BASE_QUERIES = Path(__file__).parents[1] / "embedded" / "base_queries.yaml"
"""The packaged base queries."""

Progress = Callable[[str], object]

T = TypeVar("T")


@dataclass(frozen=True)
class Synthetic:
    """``table``: SYNTHETIC_VARIANTS; ``llm``: what wrote them, None where nothing does, and then the table is empty.

    ``bases``: how many were asked for variants, by origin. ``tokens``: of embedding, not of the model. ``fault``: why
    the model could not be asked for all of them, empty where it could.
    """

    table: pa.Table
    left_out: Counts
    llm: Llm | None
    bases: dict[str, int]
    tokens: int
    fault: str = ""


def mined_days(workspace: Workspace, day: date, days: int) -> list[date]:
    """The days of a window that ends at ``day`` whose counts were made from this source, oldest first.

    Counts from before a file changed are used too: a log that is appended to all day changes its file all day. Those of
    a day that was not over count for that day alone.
    Raises DatasetError when the day itself is not among them.
    """
    source = workspace.source.fingerprint(day)[:SOURCE_CHARS]
    stored = {d: workspace.datasets.fingerprint(DAILY, d) or "" for d in window(day, days)}
    there = [d for d, found in stored.items() if found[:SOURCE_CHARS] == source or (d == day and found == PARTIAL)]
    if day not in there:
        raise DatasetError(f"{DAILY} of {day} is not there for this source: materialise it for that day first")
    return there


def read_days(datasets: DatasetStore, days: Sequence[date], columns: Sequence[str]) -> Iterator[tuple[date, pa.Table]]:
    for day in days:
        yield day, datasets.read(DAILY, day, columns)


def _weights(workspace: Workspace, days: Sequence[date]) -> dict[date, float]:
    return day_weights(days, max(days), workspace.settings.demand_half_life_days)


def frequent(workspace: Workspace, days: Sequence[date], judge: Judge) -> RolledUp:
    """What is asked often enough in these days, with the answer of each."""
    settings = workspace.settings
    return rollup(
        partial(read_days, workspace.datasets, days),
        weights=_weights(workspace, days),
        min_frequency=settings.min_frequency,
        min_users=settings.min_users,
        min_stability=settings.min_stability,
        group_responses=judge,
    )


def labelled(workspace: Workspace, days: Sequence[date]) -> tuple[pa.Table, Counts]:
    """The distinct queries of these days with their own answers."""
    of_days = partial(read_days, workspace.datasets, days)
    return labelled_queries(of_days, maximum=workspace.settings.labelled_max, weights=_weights(workspace, days))


def golden(workspace: Workspace, day: date) -> tuple[pa.Table, Counts]:
    """Golden candidates as known at the end of the day."""
    settings = workspace.settings
    rows = workspace.source.golden(day, settings.min_quality)
    table, left_out = golden_candidates(
        rows.table, cap=settings.golden_max, max_response_bytes=settings.max_response_bytes
    )
    return table, rows.left_out + left_out


def synthetic(
    workspace: Workspace,
    golden: pa.Table,
    frequent: pa.Table,
    judge: Judge,
    progress: Progress,
    only: set[str] | None = None,
) -> Synthetic:
    """Variants of a day's base queries, filtered; ``golden`` and ``frequent`` are its candidates.

    A base counts once as NO_RESPONSE where it has no answer that its variants could have, so that nobody pays for
    them; as PERSONAL; or as NOT_WRITTEN where the model has nothing for it (yet). The recorded writer is asked for
    configured bases alone. Where the model's server fails, what it wrote before stays and ``fault`` says why. With
    ``only``, of the bases those of these entry_ids have the variants that are written; no model is asked for anything.

    Raises LlmError for a base of the user's own file that is not recorded, where the recorded writer is to write.
    """
    settings = workspace.settings
    llm = workspace.llm(progress) if only is None or only else None
    if llm is None:
        return Synthetic(SYNTHETIC_VARIANTS.empty_table(), Counts(), None, {}, 0)
    recorded = llm.name == "recorded"
    configured = configured_bases(workspace, {*golden["agent_type"].to_pylist(), *frequent["agent_type"].to_pylist()})
    bases = choose_bases(configured, golden, frequent, 0 if recorded else settings.synthetic_top)
    writing = Writing(llm, only is None, progress)
    answers_of = (
        writing.answers if settings.synthetic_responses == "generate" and not recorded and only is None else None
    )
    left_out = Counts()
    asked = []
    for base in bases:
        if only is not None and base.entry_id not in only:
            continue
        if find(base.prompt):
            left_out[LeftOut.PERSONAL] += 1
        elif base.response is None and answers_of is None:
            left_out[LeftOut.NO_RESPONSE] += 1
        elif settings.base_queries is None and not llm.knows(base):
            left_out[LeftOut.NOT_WRITTEN] += 1
        else:
            asked.append(base)
    written = [(base, texts) for base, texts in zip(asked, writing.variants(asked), strict=True) if texts is not None]
    left_out[LeftOut.NOT_WRITTEN] += len(asked) - len(written)
    tokens = 0

    def vectors(texts: Sequence[str]) -> np.ndarray:
        nonlocal tokens
        tokens += embed_missing(workspace.embedder, workspace.vectors, texts).tokens
        return vectors_of(workspace, texts)

    found = filter_variants(
        written,
        bases,
        [golden, frequent],
        vectors_of=vectors,
        same=judge.same,
        answers_of=answers_of,
        max_response_bytes=settings.max_response_bytes,
        min_distance=settings.variant_min_distance,
        max_distance=settings.variant_max_distance,
    )
    progress(f"{len(found.kept):,} variants of {len(written):,} base queries stay")
    writer = Writer(llm.model, recorded, llm.prompt_version, llm.temperature)
    by_origin = Counter(base.origin for base in asked)
    return Synthetic(
        variants_table(found.kept, writer, _depends({v.base.entry_id for v in found.kept}, (golden, frequent))),
        +(left_out + found.left_out),
        llm,
        dict(by_origin),
        tokens,
        writing.fault,
    )


def _depends(entry_ids: set[str], candidates: Sequence[pa.Table]) -> dict[str, Depends]:
    """What the answers of these candidates depend on; of one in two tables the first one's."""
    found: dict[str, Depends] = {}
    for table in candidates:
        wanted = table.filter(pc.is_in(table["entry_id"], value_set=pa.array(sorted(entry_ids), pa.string())))
        for key, provenance in zip(wanted["entry_id"].to_pylist(), wanted["provenance"].to_pylist(), strict=True):
            found.setdefault(key, Depends.of(provenance))
    return found


class _Write(Protocol[T]):
    def __call__(self, bases: Sequence[Base], /, *, ask: bool = True) -> list[T]: ...


class Writing:
    """A writer whose server may fail: from its first fault on nothing is asked, and what is stored is given."""

    def __init__(self, llm: Llm, ask: bool, progress: Progress) -> None:
        self._llm, self._ask, self._progress = llm, ask, progress
        self.fault = ""

    def variants(self, bases: Sequence[Base]) -> list[list[str] | None]:
        return self._write(self._llm.variants, bases)

    def answers(self, questions: Sequence[Base]) -> list[str | None]:
        return self._write(self._llm.answers, questions)

    def _write(self, write: _Write[T], bases: Sequence[Base]) -> list[T]:
        if self._ask:
            try:
                return write(bases)
            except LlmError as error:
                if self._llm.name == "recorded":
                    raise
                self._ask, self.fault = False, str(error)
                self._progress(f"{self.fault}; going on with what is written")
        return write(bases, ask=False)


def configured_bases(workspace: Workspace, agent_types: set[str]) -> list[Base]:
    """The base queries of the settings; of the packaged file, those of ``agent_types``: it is the sample's, and another
    log is not to be warmed with its questions.

    Raises ConfigurationError for a file that cannot be read or is not what it must be.
    """
    settings = workspace.settings
    path = settings.base_queries or BASE_QUERIES
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigurationError(f"CACHEWARM_BASE_QUERIES: cannot read {path}: {why}") from None
    bases = parse_base_queries(text, path.name, max_response_bytes=settings.max_response_bytes)
    return bases if settings.base_queries else [base for base in bases if base.agent_type in agent_types]


def rules(
    workspace: Workspace, entries: pa.Table, queries: pa.Table, judge: Judge, progress: Progress
) -> tuple[list[AgentLog], Learned]:
    """The match rules of a plan, and the logs that they were learned from."""
    logs = agent_logs(entries, queries, partial(vectors_of, workspace), judge)
    settings = workspace.settings
    return logs, learn_rules(logs, alpha=settings.max_wrong_hit_rate, delta=settings.delta, progress=progress)


def newest(datasets: DatasetStore, asset: str, day: date) -> date | None:
    """The newest day at or before ``day`` that the dataset has."""
    return max((there for there in datasets.days(asset) if there <= day), default=None)


def standing(workspace: Workspace, day: date) -> Standing:
    """What is known of answers for the plan of a day: the newest checks at or before it, what the plan before it rests
    on, what earned nothing by then, and all withdrawals, whatever the day: what is wrong now is not warmed for the past
    either."""
    datasets, settings = workspace.datasets, workspace.settings
    checked, before = newest(datasets, "answer_checks", day), newest(datasets, "warming_plan", day - timedelta(1))
    rows = datasets.read("answer_checks", checked).to_pylist() if checked else []
    plan = datasets.read("warming_plan", before, ["entry_id", "provenance"]).to_pylist() if before else []
    earned = payback(datasets, day, ["entry_id", "left_on"])
    return Standing(
        present(workspace),
        {row["entry_id"]: row for row in rows},
        withdrawn_answers(withdrawn_entries(datasets)),
        {row["entry_id"]: Depends.of(row["provenance"]) for row in plan},
        settings.stale_entries == "keep",
        idle=idle_entries(earned) if settings.idle_days and earned else frozenset(),
    )


def payback(datasets: DatasetStore, day: date, columns: Sequence[str]) -> pa.Table | None:
    """The newest ``entry_payback`` at or before a day, which rests on no later one; None where there is none.

    One that cannot be read is passed over: measuring stops no warming, and who reads that table itself is told.
    """
    for there in sorted((one for one in datasets.days("entry_payback") if one <= day), reverse=True):
        with suppress(DatasetError):
            return datasets.read("entry_payback", there, columns)
    return None


def withdrawn_entries(datasets: DatasetStore) -> pa.Table:
    """Everything that was ever withdrawn, and what of it was reinstated: the newest file is the whole."""
    there = newest(datasets, WITHDRAWN, date.max)
    return datasets.read(WITHDRAWN, there) if there else empty()


def present(workspace: Workspace) -> Present:
    """What answers, and embeds, now."""
    settings = workspace.settings
    return Present(settings.answer_model, settings.prompt_version, workspace.embedder.info.id)


def ttl_days_by_agent(datasets: DatasetStore, day: date, settings: Settings) -> dict[str, float]:
    """TTL in days of the agent types whose change rate is measured, from the newest ``change_rates`` at or before the
    day and today's settings; the others have ``settings.ttl_days``."""
    there = newest(datasets, "change_rates", day)
    rows = datasets.read("change_rates", there, ["agent_type", "high", "measured"]).to_pylist() if there else []
    bounds = {
        "max_stale_share": settings.max_stale_share,
        "ttl_days": settings.ttl_days,
        "ttl_min_days": settings.ttl_min_days,
    }
    return {row["agent_type"]: ttl_of(row["high"], **bounds) for row in rows if row["measured"]}


def vectors_of(workspace: Workspace, texts: Sequence[str]) -> np.ndarray:
    """Stored vectors of texts, float32 (n, d), in their order."""
    model = workspace.embedder.info.id
    return workspace.vectors.get([embedding_key(model, text) for text in texts])
