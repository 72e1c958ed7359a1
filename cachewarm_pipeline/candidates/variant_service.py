"""The synthetic candidates of a day: variants of its base queries, written and filtered. Reads and decides, never
writes."""

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
from cachewarm_pipeline.candidates.variant_table import Writer, variants_table
from cachewarm_pipeline.errors import ConfigurationError, LlmError
from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts, vectors_of
from cachewarm_pipeline.ports import BaseQuery, Judge, Llm, Ports, Progress
from cachewarm_pipeline.storage.schemas import SYNTHETIC_VARIANTS

BASE_QUERIES = Path(__file__).parents[1] / "embedded" / "base_queries.yaml"
"""The packaged base queries."""


T = TypeVar("T")


@dataclass(frozen=True)
class Synthetic:
    """``table``: SYNTHETIC_VARIANTS; ``llm``: what wrote them, None where nothing does, and then the table is empty.

    ``bases``: how many were asked for variants, by origin. ``tokens``: of embedding, not of the model. ``fault``: why
    the model could not be asked for all of them, empty where it could.
    """

    table: pa.Table
    excluded: Counts
    llm: Llm | None
    bases: dict[str, int]
    tokens: int
    fault: str = ""


def variants_of_day(
    ports: Ports,
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
    settings = ports.settings
    llm = ports.llm(progress) if only is None or only else None
    if llm is None:
        return Synthetic(SYNTHETIC_VARIANTS.empty_table(), Counts(), None, {}, 0)
    recorded = llm.name == "recorded"
    configured = configured_bases(ports, {*golden["agent_type"].to_pylist(), *frequent["agent_type"].to_pylist()})
    bases = choose_bases(configured, golden, frequent, 0 if recorded else settings.synthetic_top)
    writing = Writing(llm, only is None, progress)
    answers_of = (
        writing.answers if settings.synthetic_responses == "generate" and not recorded and only is None else None
    )
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
    written = [(base, texts) for base, texts in zip(asked, writing.variants(asked), strict=True) if texts is not None]
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
        variants_table(found.kept, writer, _provenance_of({v.base.entry_id for v in found.kept}, (golden, frequent))),
        +(excluded + found.excluded),
        llm,
        dict(by_origin),
        tokens,
        writing.fault,
    )


def _provenance_of(entry_ids: set[str], candidates: Sequence[pa.Table]) -> dict[str, AnswerProvenance]:
    """What the answers of these candidates depend on; of one in two tables the first one's."""
    found: dict[str, AnswerProvenance] = {}
    for table in candidates:
        wanted = table.filter(pc.is_in(table["entry_id"], value_set=pa.array(sorted(entry_ids), pa.string())))
        for key, provenance in zip(wanted["entry_id"].to_pylist(), wanted["provenance"].to_pylist(), strict=True):
            found.setdefault(key, AnswerProvenance.of(provenance))
    return found


class _Write(Protocol[T]):
    def __call__(self, bases: Sequence[BaseQuery], /, *, ask: bool = True) -> list[T]: ...


class Writing:
    """A writer whose server may fail: from its first fault on nothing is asked, and what is stored is given."""

    def __init__(self, llm: Llm, ask: bool, progress: Progress) -> None:
        self._llm, self._ask, self._progress = llm, ask, progress
        self.fault = ""

    def variants(self, bases: Sequence[BaseQuery]) -> list[list[str] | None]:
        return self._write(self._llm.variants, bases)

    def answers(self, questions: Sequence[BaseQuery]) -> list[str | None]:
        return self._write(self._llm.answers, questions)

    def _write(self, write: _Write[T], bases: Sequence[BaseQuery]) -> list[T]:
        if self._ask:
            try:
                return write(bases)
            except LlmError as error:
                if self._llm.name == "recorded":
                    raise
                self._ask, self.fault = False, str(error)
                self._progress(f"{self.fault}; going on with what is written")
        return write(bases, ask=False)


def configured_bases(ports: Ports, agent_types: set[str]) -> list[BaseQuery]:
    """The base queries of the settings; of the packaged file, those of ``agent_types``: it is the sample's, and another
    log is not to be warmed with its questions.

    Raises ConfigurationError for a file that cannot be read or is not what it must be.
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
