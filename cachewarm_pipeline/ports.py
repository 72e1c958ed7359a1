"""Ports: what the services of the stages need from outside, as Protocols of few calls.

``Ports`` is everything that a run has open. ``workspace.Workspace`` opens the real ports; tests put others in their
place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

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
"""Called with a sentence now and then during long work."""


@dataclass(frozen=True)
class TableInfo:
    """A source table as found, for the page of its external asset."""

    name: str
    columns: dict[str, str]
    """The engine's type of each column that exists, by our column name."""
    rows: int | None


@dataclass(frozen=True)
class SourceInfo:
    """The tables of a source; None for a table that does not exist."""

    analyses: TableInfo | None
    findings: TableInfo | None
    log: TableInfo | None
    first_log_day: date | None
    """First UTC day with log rows. Absurd dates (before 2000 or after today) do not count."""
    last_log_day: date | None
    """Last UTC day with log rows, likewise."""
    excluded: Counts = field(default_factory=Counts)
    """Log rows without a date or with an absurd one, which belong to no daily partition."""


@dataclass(frozen=True)
class GoldenRows:
    """Findings joined with their analyses."""

    table: "pa.Table"
    """Best first: content_preview, agent_type, output, confidence_score, analysis_id, url, created_at."""
    excluded: Counts


@dataclass(frozen=True)
class DayGroups:
    """One day of the log, grouped by the engine. query_log.daily_counts turns it into ``daily_query_counts``.

    The engine groups by the exact spelling of the query. Canonicalising then merges its groups exactly.
    """

    queries: "pa.Table"
    """agent_type, query, count, cache_hits, answered, cost_usd, costed, latency_ms, timed, tokens."""
    responses: "pa.Table"
    """agent_type, query, response, count, last_at, negative, model (of the newest row; null if unknown), anonymous
    (rows without a user id). At most MAX_RESPONSES for each spelling."""
    users: "pa.Table"
    """agent_type, query, user_id. At most MAX_USERS for each spelling; empty if users are unknown."""
    response_users: "pa.Table"
    """agent_type, query, response, user_id: users who got one of the ``responses``. At most MAX_USERS for each spelling
    and response."""
    excluded: Counts


class Source(Protocol):
    """The application's own tables, which are only read."""

    def describe(self, today: date) -> SourceInfo:
        """The tables that exist, and the days of the log."""
        ...

    def golden(self, created_up_to: date, min_confidence: float) -> GoldenRows:
        """Findings of analyses created by the end of that UTC day: by confidence, then the newest first, then by id."""
        ...

    def day_groups(self, day: date) -> DayGroups:
        """One UTC day of the log, grouped by the engine. Only that day is read."""
        ...

    def rejected(self, day: date) -> "pa.Table":
        """The answers of that UTC day that the cache served and users rejected (``cache_hit``, negative ``feedback``).

        One row for each spelling and response: agent_type, query, response, users (distinct hashed ids as in
        ``daily_query_counts``, at most MAX_USERS; empty if unknown), reports (rows), last_at. No rows where the source
        lacks those columns. Unusable rows are skipped as in ``day_groups``, which counts them. Raises SourceError.
        """
        ...

    def fingerprint(self, day: date) -> str:
        """Identifies what the counts of a day were made from, without secrets.

        The first SOURCE_CHARS characters identify the source, the rest the state of its files. Counts of another source
        are not used. Counts of another state are used until they are mined again.
        """
        ...


SOURCE_CHARS = 16
"""Characters of a fingerprint that identify the source."""


@dataclass
class JudgeUsage:
    """What one judge has used since it was made. Pairs are distinct unordered pairs that only a model can decide."""

    embedding_tokens: int = 0
    prompt_tokens: int = 0
    """As the server reported them; where it reports none, the most that they can be."""
    completion_tokens: int = 0
    usd: float = 0.0
    """Embedding and model together."""
    asked: int = 0
    """Pairs that the model was asked about."""
    known: int = 0
    """Pairs with a stored verdict, from an earlier run or another judge of this run."""
    unjudged: int = 0
    """Pairs without a verdict because a spend cap was reached. As labels and in groups they are different, which can
    only lower the hit rate; the other uses take the local judge's verdict."""
    suspicious: int = 0
    """Pairs that were not sent because a text in them instructs the judge. They are different."""
    swapped: int = 0
    """Pairs, asked or known, with a verdict in both orders of the answers: a sample."""
    inconsistent: int = 0
    """Those of ``swapped`` whose two verdicts differ. They are different."""


class AnswerPair(NamedTuple):
    """Two answers, and the question of a person who would get one instead of the other."""

    question: str
    left: str
    right: str
    model: str | None = None
    """The model that gave both answers, if the caller knows it. A judge may show it to the model that it asks. It is
    context only: a stored verdict holds for any model, and a caller that looks pairs up by value leaves it out."""


class QueryAnswers(NamedTuple):
    """The distinct responses to one query, best supported first."""

    question: str
    responses: Sequence[str]
    model: str | None = None
    """The model that gave all of them, where the log knows it and it is one."""


class JudgeUse(StrEnum):
    """What a yes of the judge is used for. Each use has its own operating point (answers.judges)."""

    LABEL = "label"
    """Evidence for a certificate, a wrong semantic hit: a wrong yes would hide a wrong hit."""
    GROUP = "group"
    """Answer groups: a wrong yes merges two answers, a wrong no splits one."""
    EXCLUDE = "exclude"
    """Whether an answer is one that was withdrawn: a wrong no would bring it back."""
    CHANGED = "changed"
    """Whether two answers to the very same prompt, or to prompts that no lookup can tell apart, say something else: a
    wrong no would count mere wording as a change."""


class Judge(Protocol):
    """Says how likely a person who asked the question would be served as well by one answer as by the other.

    Answers with the same ``canonical_response`` have probability 1, at no cost. All methods raise EmbeddingError,
    JudgeError or DatasetError, as far as the judge embeds, asks and stores.
    """

    name: str
    """``exact``, ``local`` or ``llm``."""
    usage: JudgeUsage

    def probability(self, pairs: "Sequence[AnswerPair]") -> "NDArray[np.float64]":
        """Probability (n,) that the answers of each pair are equivalent. Symmetric in the two answers."""
        ...

    def same(self, pairs: "Sequence[AnswerPair]", use: JudgeUse = JudgeUse.LABEL) -> "NDArray[np.bool_]":
        """Which of the pairs (n,) are equivalent at the operating point of ``use``. Reflexive and symmetric."""
        ...

    def operating_point(self, use: JudgeUse) -> float:
        """Probability from which a pair is equivalent for ``use``, where the judge has a clear verdict."""
        ...

    def __call__(self, queries: "Sequence[QueryAnswers]") -> list[list[int]]:
        """Group labels of each query's responses, as in ``GroupResponses``: 0, 1, ... in the order of their heads."""
        ...

    def groups(self, questions: "Sequence[str]", responses: "Sequence[str]") -> "NDArray[np.int64]":
        """The answer group of each response (n,) of ONE agent_type: the position of the group's head.

        ``questions`` (n,): the prompt that each response answers. The head is the group's first response. Each
        response, in order, joins the first head that it is equivalent to, for the person who asked either question.
        """
        ...


@dataclass
class LlmUsage:
    """What one writer has used since it was made. Each base counts once."""

    prompt_tokens: int = 0
    """As the server reported them; where it reports none, the most that they can be."""
    completion_tokens: int = 0
    usd: float = 0.0
    written: int = 0
    """Bases that the model wrote for in this run."""
    known: int = 0
    """Bases with texts that were stored before or are recorded; they cost nothing."""
    pending: int = 0
    """Bases in a batch that is not finished; a later run collects their texts."""
    over_cap: int = 0
    """Bases that the budget did not allow."""
    failed: dict[str, int] = field(default_factory=dict)
    """Bases without texts, by what the model returned instead: a refusal, an answer of another schema, ..."""


@dataclass(frozen=True)
class BaseQuery:
    """A query of an agent_type that variants are written of."""

    agent_type: str
    prompt: str
    response: str | None = None
    """Its verified answer, as JSON or text; None where there is none yet."""
    origin: str = "configured"
    """``configured``, ``golden`` or ``query_log``."""
    period: str = ""
    """A model that answered it in another period (for example a week) is asked again. "" stands for all times."""

    @property
    def entry_id(self) -> str:
        """The id of an entry with this prompt."""
        return entry_id(self.prompt, self.agent_type)


class Llm(Protocol):
    """Writes variants of base queries, and answers for variants whose base has none."""

    name: str
    """``recorded`` or ``openai``."""
    model: str
    """The model that writes, or that was recorded."""
    prompt_version: str
    """Changes with any word of the question that asks for variants."""
    temperature: float
    usage: LlmUsage

    def knows(self, base: BaseQuery) -> bool:
        """Whether it can write for this base: a recorded writer for those recorded, a model for any."""
        ...

    def variants(self, bases: "Sequence[BaseQuery]", *, ask: bool = True) -> "list[list[str] | None]":
        """Variants of each base as written, unfiltered, in the order given.

        None where there are none yet: the base is over a cap, pending or failed, as counted in ``usage``. Nothing is
        paid for twice. Without ``ask``, only stored or recorded variants are returned: no request is made and nothing
        is counted.

        Raises LlmError where the server cannot be used at all; what was written until then stays stored. A recorded
        writer raises LlmError for a base that is not recorded. Without ``ask``, neither raises.
        """
        ...

    def answers(self, questions: "Sequence[BaseQuery]", *, ask: bool = True) -> "list[str | None]":
        """The model's answer to each question, in the same way."""
        ...


class Ports(Protocol):
    """What a run has open; each port is opened on first use."""

    settings: "Settings"

    @property
    def now(self) -> "Callable[[], datetime]":
        """Returns the present in UTC."""
        ...

    @property
    def today(self) -> date:
        """The UTC day on which the run began; it does not change at midnight."""
        ...

    @property
    def source(self) -> Source:
        """The application's tables."""
        ...

    @property
    def datasets(self) -> "DatasetStore":
        """The datasets between assets."""
        ...

    @property
    def embedder(self) -> "Embedder":
        """Makes the vectors of texts."""
        ...

    @property
    def vectors(self) -> "VectorStore":
        """The stored vectors of the embedder's model."""
        ...

    @property
    def usage_folder(self) -> str:
        """URI of the folder of the usage ledger."""
        ...

    @property
    def judge_budget(self) -> "ModelBudget":
        """The budget of all judges of this run."""
        ...

    @property
    def llm_budget(self) -> "ModelBudget":
        """The budget of all writers of this run, for variants and answers together."""
        ...

    def folder(self, name: str) -> str:
        """URI of a folder beside the datasets."""
        ...

    def settled(self, day: date) -> bool:
        """Whether the UTC day is over and its last log rows have had time to be written."""
        ...

    def counts_fingerprint(self, day: date) -> str:
        """The fingerprint for the counts of a day; counts with another one are mined again."""
        ...

    def meter(self, purpose: str, model: str, prompt_price: float, completion_price: float = 0.0) -> "Meter":
        """Notes the usage of a model in the ledger; prices in USD per million tokens."""
        ...

    def judge(self, progress: "Callable[[str], object]") -> Judge:
        """A new judge, with its own usage."""
        ...

    def llm(self, progress: "Callable[[str], object]", *, batch: bool | None = None) -> Llm | None:
        """A new writer, with its own usage; None where the settings choose none. ``batch`` overrides the setting."""
        ...

    def wrong_hit_reports(self) -> "list[WrongHitReport]":
        """The wrong hits that applications reported; none in a dry run, which does not use Redis."""
        ...
