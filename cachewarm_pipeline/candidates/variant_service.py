"""The synthetic candidates of a day: variants of its base queries, written and filtered. Reads and decides, and stores
only what the models return (written texts, vectors, verdicts)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachewarm_client.personal_data import find_personal_data

from cachewarm_pipeline.candidates.base_queries import choose_bases, parse_base_queries
from cachewarm_pipeline.candidates.provenance import AnswerProvenance
from cachewarm_pipeline.candidates.variant_filter import filter_variants
from cachewarm_pipeline.candidates.variant_table import WriterInfo, variants_table
from cachewarm_pipeline.errors import ConfigurationError, LlmError
from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts, vectors_of
from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.ports import BaseQuery, Judge, Llm, Ports, Progress
from cachewarm_pipeline.storage.schemas import SYNTHETIC_VARIANTS

BASE_QUERIES = Path(__file__).parents[1] / "embedded" / "base_queries.yaml"
"""The packaged base queries."""


_T = TypeVar("_T")


@dataclass(frozen=True)
class SyntheticVariants:
    """The synthetic candidates of a day."""

    table: pa.Table
    """SYNTHETIC_VARIANTS; empty without a writer."""
    excluded: Counts
    llm: Llm | None
    """The writer; None where the settings choose none."""
    bases: dict[str, int]
    """Number of bases that variants were asked of, by origin."""
    tokens: int
    """Tokens of embedding, not of the writer's model."""
    fault: str = ""
    """Why the model could not be asked about all bases; empty where it could."""


def variants_of_day(
    ports: Ports,
    golden: pa.Table,
    frequent: pa.Table,
    judge: Judge,
    progress: Progress,
    only: set[str] | None = None,
) -> SyntheticVariants:
    """The variants of a day's base queries, filtered. ``golden`` and ``frequent`` are the other candidates of the day.

    A base is excluded once: as PERSONAL; as NO_RESPONSE where its variants would have no answer, so that they are not
    paid for; or as NOT_WRITTEN where the writer has no variants of it (yet). The recorded writer is asked only about
    configured bases. Where the model's server fails, what it wrote before is kept and ``fault`` has the reason.

    With ``only``, a set of entry_ids, just these bases have variants, as far as they are already written; no model is
    asked to write.

    Raises LlmError where the recorded writer is chosen and a base of the user's own file is not recorded.
    """
    settings = ports.settings
    llm = ports.llm(progress) if only is None or only else None
    if llm is None:
        return SyntheticVariants(SYNTHETIC_VARIANTS.empty_table(), Counts(), None, {}, 0)
    recorded = llm.name == "recorded"
    configured = configured_bases(ports, {*golden["agent_type"].to_pylist(), *frequent["agent_type"].to_pylist()})
    bases = choose_bases(configured, golden, frequent, 0 if recorded else settings.synthetic_top)
    writer = FaultTolerantWriter(llm, only is None, progress)
    generate = settings.synthetic_responses == "generate" and not recorded and only is None
    answers_of = writer.answers if generate else None
    excluded = Counts()
    asked = []
    for base in bases:
        if only is not None and base.entry_id not in only:
            continue
        if find_personal_data(base.prompt):
            excluded[ExclusionReason.PERSONAL] += 1
        elif base.response is None and answers_of is None:
            excluded[ExclusionReason.NO_RESPONSE] += 1
        elif settings.base_queries is None and not llm.knows(base):
            excluded[ExclusionReason.NOT_WRITTEN] += 1
        else:
            asked.append(base)
    written = [(base, texts) for base, texts in zip(asked, writer.variants(asked), strict=True) if texts is not None]
    excluded[ExclusionReason.NOT_WRITTEN] += len(asked) - len(written)
    tokens = 0

    def vectors(texts: Sequence[str]) -> np.ndarray:
        nonlocal tokens
        tokens += embed_new_texts(ports.embedder, ports.vectors, texts).tokens
        return vectors_of(ports.embedder, ports.vectors, texts)

    found = filter_variants(
        written,
        bases,
        [golden, frequent],
        vectors_of=vectors,
        equivalent=judge.same,
        answers_of=answers_of,
        max_response_bytes=settings.max_response_bytes,
        min_distance=settings.variant_min_distance,
        max_distance=settings.variant_max_distance,
    )
    kept, asked_of = plural(len(found.kept), "variant"), plural(len(written), "base query", "base queries")
    progress(f"kept {kept} of {asked_of}")
    info = WriterInfo(llm.model, recorded, llm.prompt_version, llm.temperature)
    by_origin = Counter(base.origin for base in asked)
    return SyntheticVariants(
        variants_table(found.kept, info, _provenance_of({v.base.entry_id for v in found.kept}, (golden, frequent))),
        +(excluded + found.excluded),
        llm,
        dict(by_origin),
        tokens,
        writer.fault,
    )


def _provenance_of(entry_ids: set[str], candidates: Sequence[pa.Table]) -> dict[str, AnswerProvenance]:
    """What the answers of these candidates depend on. For a candidate in both tables, that of the first table."""
    found: dict[str, AnswerProvenance] = {}
    for table in candidates:
        wanted = table.filter(pc.is_in(table["entry_id"], value_set=pa.array(sorted(entry_ids), pa.string())))
        for key, provenance in zip(wanted["entry_id"].to_pylist(), wanted["provenance"].to_pylist(), strict=True):
            found.setdefault(key, AnswerProvenance.of(provenance))
    return found


class _Write(Protocol[_T]):
    def __call__(self, bases: Sequence[BaseQuery], /, *, ask: bool = True) -> list[_T]: ...


class FaultTolerantWriter:
    """A writer that goes on when its server fails. After the first fault it sends no more requests and returns stored
    texts. ``ask``: whether it sends requests at all."""

    def __init__(self, llm: Llm, ask: bool, progress: Progress) -> None:
        self._llm, self._ask, self._progress = llm, ask, progress
        self.fault = ""
        """The message of the first fault; empty without one."""

    def variants(self, bases: Sequence[BaseQuery]) -> list[list[str] | None]:
        return self._write(self._llm.variants, bases)

    def answers(self, questions: Sequence[BaseQuery]) -> list[str | None]:
        return self._write(self._llm.answers, questions)

    def _write(self, write: _Write[_T], bases: Sequence[BaseQuery]) -> list[_T]:
        if self._ask:
            try:
                return write(bases)
            except LlmError as error:
                if self._llm.name == "recorded":
                    raise
                self._ask, self.fault = False, str(error)
                self._progress(f"{self.fault}; continuing with what is already written")
        return write(bases, ask=False)


def configured_bases(ports: Ports, agent_types: set[str]) -> list[BaseQuery]:
    """The base queries that the settings configure.

    Of the packaged file, only those of ``agent_types`` are used: the file belongs to the sample, and its questions must
    not be warmed for another log. Raises ConfigurationError for a file that cannot be read or is not valid.
    """
    settings = ports.settings
    path = settings.base_queries or BASE_QUERIES
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigurationError(f"CACHEWARM_BASE_QUERIES: cannot read {path}: {why}") from None
    bases = parse_base_queries(text, path.name, max_response_bytes=settings.max_response_bytes)
    return bases if settings.base_queries else [base for base in bases if base.agent_type in agent_types]
