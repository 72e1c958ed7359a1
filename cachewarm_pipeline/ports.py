"""Ports: the few calls that the services of the stages need from the world, as Protocols.

``Ports`` is all that a run has open. ``workspace.Workspace`` opens the real ones; tests stand others beside them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Protocol

from cachewarm_client.text import entry_id

from cachewarm_pipeline.exclusion_reasons import Counts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from cachewarm_client.embedders.embedder import Embedder
    from cachewarm_client.wrong_hit_reports import WrongHitReport
    from numpy.typing import NDArray

    from cachewarm_pipeline.models.budgets import Meter, ModelBudget
    from cachewarm_pipeline.settings import Settings
    from cachewarm_pipeline.storage.datasets import DatasetStore
    from cachewarm_pipeline.storage.vector_store import VectorStore

Progress = Callable[[str], object]
"""Gets a sentence now and then about long work."""


@dataclass(frozen=True)
class TableInfo:
    """One source table as found: what the external asset shows."""

    name: str
    columns: dict[str, str]
    """Our column name to the engine's type, for the columns that are there."""
    rows: int | None


@dataclass(frozen=True)
class SourceInfo:
    """What a source holds. A table that is not there is None."""

    analyses: TableInfo | None
    findings: TableInfo | None
    log: TableInfo | None
    first_log_day: date | None
    """First and last UTC day with log rows; absurd dates (before 2000 or after today) do not count."""
    last_log_day: date | None
    excluded: Counts = field(default_factory=Counts)
    """Log rows without a date, or with an absurd one: no daily partition can hold them."""


@dataclass(frozen=True)
class GoldenRows:
    """Findings joined with their analyses, best first: (content_preview, agent_type, output, confidence_score,
    analysis_id, url, created_at)."""

    table: "pa.Table"
    excluded: Counts


@dataclass(frozen=True)
class DayGroups:
    """One day of the log as the engine grouped it; query_log.daily_counts turns it into ``daily_query_counts``.

    The engine groups by the exact spelling of the query; canonicalising merges its groups exactly.
    ``queries``: agent_type, query, count, cache_hits, answered, cost_usd, costed, latency_ms, timed, tokens.
    ``responses``: agent_type, query, response, count, last_at, negative, model (of the newest row; null where
    unknown); at most MAX_RESPONSES a spelling.
    ``users``: agent_type, query, user_id; at most MAX_USERS a spelling; empty where users are unknown.
    """

    queries: "pa.Table"
    responses: "pa.Table"
    users: "pa.Table"
    excluded: Counts


class Source(Protocol):
    """The app's own tables, read and never written."""

    def describe(self, today: date) -> SourceInfo: ...

    def golden(self, created_up_to: date, min_confidence: float) -> GoldenRows:
        """Findings of analyses created up to the end of that UTC day, by confidence, then newest, then id."""
        ...

    def day_groups(self, day: date) -> DayGroups:
        """One UTC day of the log, grouped by the engine; reads only that day."""
        ...

    def rejected(self, day: date) -> "pa.Table":
        """What the cache served on that UTC day and users rejected (``cache_hit`` and negative ``feedback``), one row
        a spelling and response: agent_type, query, response, users (distinct hashed ids as in ``daily_query_counts``,
        at most MAX_USERS; empty where unknown), reports (rows), last_at. No rows where those columns are not there.
        Rows of no use are passed over as in ``day_groups``, which counts them. Raises SourceError."""
        ...

    def fingerprint(self, day: date) -> str:
        """Identifies what a day's counts were made from, without secrets: the source in the first SOURCE_CHARS
        characters, the state of its files in the rest. Counts of another source are not used; those of another state
        are, until they are made again."""
        ...


SOURCE_CHARS = 16
"""Of a fingerprint: what names the source."""


@dataclass
class JudgeUsage:
    """What one judge has used since it was made. Pairs are distinct unordered pairs that only a model can tell."""

    embedding_tokens: int = 0
    prompt_tokens: int = 0
    """As the server reported them; where it does not, the most that they can have been."""
    completion_tokens: int = 0
    usd: float = 0.0
    """Embedding and model together."""
    asked: int = 0
    """Pairs asked of the model."""
    known: int = 0
    """Pairs whose verdict was stored before: by an earlier run, or another judge of this one."""
    unjudged: int = 0
    """Pairs held different because the spend cap was reached: that can only lower the hit rate."""


class Judge(Protocol):
    """Decides whether two responses are equivalent. Equal ``canonical_response`` always is, and costs nothing.

    All raise EmbeddingError, JudgeError or DatasetError, as far as the judge embeds, asks and stores.
    """

    name: str
    """``exact``, ``embedding`` or ``llm``."""
    usage: JudgeUsage

    def __call__(self, queries: "Sequence[Sequence[str]]") -> list[list[int]]:
        """Group labels of each query's responses, as ``GroupResponses`` asks for: 0.. in the order of their heads."""
        ...

    def same(self, pairs: "Sequence[tuple[str, str]]") -> "NDArray[np.bool_]":
        """Which of the pairs (n,) are equivalent. Reflexive and symmetric."""
        ...

    def groups(self, responses: "Sequence[str]") -> "NDArray[np.int64]":
        """Answer group of each response (n,) of ONE agent_type, as the position of the group's head: its first
        response. In order, each joins the first head that it is equivalent to."""
        ...


@dataclass
class LlmUsage:
    """What one writer has used since it was made."""

    prompt_tokens: int = 0
    """As the server reported them; where it does not, the most that they can have been."""
    completion_tokens: int = 0
    usd: float = 0.0
    written: int = 0
    """Bases that the model wrote for in this run."""
    known: int = 0
    """Bases whose variants were stored before, or are recorded: they cost nothing."""
    pending: int = 0
    """Bases that a batch was submitted for and is not finished: a later run collects them."""
    over_cap: int = 0
    """Bases that no money or tokens were left for."""
    failed: dict[str, int] = field(default_factory=dict)
    """Bases without variants, by what the model did instead: refusal, cut, another answer than the schema's, ..."""


@dataclass(frozen=True)
class BaseQuery:
    """One query of an agent_type. ``response``: its verified answer as JSON or text; None where there is none yet.
    ``origin``: configured, golden or query_log.

    ``period``: a model that answered it in another period (say a week) is asked again; "" is the one for all times."""

    agent_type: str
    prompt: str
    response: str | None = None
    origin: str = "configured"
    period: str = ""

    @property
    def entry_id(self) -> str:
        """The id that an entry of this prompt has."""
        return entry_id(self.prompt, self.agent_type)


class Llm(Protocol):
    """Writes variants of base queries, and answers where a variant has none."""

    name: str
    """``recorded`` or ``openai``."""
    model: str
    """The model that wrote, or that was recorded."""
    prompt_version: str
    """Changes with any word of the question that is asked for variants."""
    temperature: float
    usage: LlmUsage

    def knows(self, base: BaseQuery) -> bool:
        """Whether it can be asked for this base: the recorded one has some, a model is asked for any."""
        ...

    def variants(self, bases: "Sequence[BaseQuery]", *, ask: bool = True) -> "list[list[str] | None]":
        """Variants of each base as written, unfiltered, in the order given; None where there are none yet (over a cap,
        pending, failed; counted in ``usage``). What was written once for a base is never paid for again. Without
        ``ask`` only what is stored or recorded is given: no request is made, and nothing is counted.

        Raises LlmError where the server cannot be used at all; what was written until then stays stored. The recorded
        one raises LlmError for a base that is not recorded. Without ``ask`` neither does.
        """
        ...

    def answers(self, questions: "Sequence[BaseQuery]", *, ask: bool = True) -> "list[str | None]":
        """An answer of the model to each question, in the same way."""
        ...


class Ports(Protocol):
    """What a run has open; each port is opened on first use."""

    settings: "Settings"

    @property
    def now(self) -> "Callable[[], datetime]":
        """Gives the present in UTC."""
        ...

    @property
    def today(self) -> date:
        """The present UTC day; it stays the same for the run, should midnight come."""
        ...

    @property
    def source(self) -> Source: ...

    @property
    def datasets(self) -> "DatasetStore": ...

    @property
    def embedder(self) -> "Embedder": ...

    @property
    def vectors(self) -> "VectorStore": ...

    @property
    def usage_folder(self) -> str:
        """URI of the folder of the usage ledger."""
        ...

    @property
    def judge_budget(self) -> "ModelBudget":
        """What this run's judges may pay a model together."""
        ...

    @property
    def llm_budget(self) -> "ModelBudget":
        """What this run may pay the model that writes, for variants and answers together."""
        ...

    def folder(self, name: str) -> str:
        """URI of a folder beside the datasets."""
        ...

    def settled(self, day: date) -> bool:
        """Whether the UTC day is over, and the last rows of its log had time to be written."""
        ...

    def counts_fingerprint(self, day: date) -> str:
        """What counts of the day are stored under: counts with another one are mined again."""
        ...

    def meter(self, purpose: str, model: str, prompt_price: float, completion_price: float = 0.0) -> "Meter":
        """What notes the usage of a model in the ledger; prices in USD per million tokens."""
        ...

    def judge(self, progress: "Callable[[str], object]") -> Judge:
        """What decides whether two responses are equivalent; each call gives a judge with a usage of its own."""
        ...

    def llm(self, progress: "Callable[[str], object]", *, batch: bool | None = None) -> Llm | None:
        """What writes variants of base queries, None for none; each call gives one with a usage of its own."""
        ...

    def wrong_hit_reports(self) -> "list[WrongHitReport]":
        """What applications reported as wrong; none in a dry run, which asks no Redis."""
        ...
