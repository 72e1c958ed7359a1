"""What a gate finds: its verdict on one day, and the verdict on a range of days. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

_NAMED = 3
"""Failed days that the sentence of a range quotes, the latest ones."""

_LISTED = 100
"""Days in the table of a range, failed ones first; each day has a page of its own too."""


@dataclass(frozen=True)
class GateVerdict:
    """What a gate found on one day."""

    passed: bool
    sentence: str
    """One sentence for the check's page, alerts and the command line."""
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)
    """Metadata of the check."""
    worst: list[dict[str, Any]] = field(default_factory=list)
    """The worst examples, as rows of a table that a reviewer can act on."""
    withheld: Mapping[str, str] = field(default_factory=dict)
    """Agent types that may be published for exact hits only, with the reason. If not empty, the gate passed with a
    warning."""
    warning: bool = False
    """The gate passed, but a person should know about something."""


def shorten(text: str, limit: int = 80) -> str:
    """A text cut for a table of examples."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def range_verdict(verdicts: Mapping[date, GateVerdict]) -> GateVerdict:
    """The verdict of a run over several days.

    Only the last day is published, so its verdict decides. Earlier days that failed or warned are counted, and the
    latest of them are quoted.
    """
    last = max(verdicts)
    failed = [day for day, verdict in sorted(verdicts.items()) if not verdict.passed]
    warned = [day for day, verdict in sorted(verdicts.items()) if verdict.passed and verdict.warning]
    count = len(failed or warned or verdicts)
    quoted = failed[-_NAMED:] or warned[-1:] or [last]
    sentences = "; ".join(f"{day}: {verdicts[day].sentence.rstrip('.')}" for day in quoted)
    latest = ", most recently" if count > len(quoted) else ""
    return GateVerdict(
        verdicts[last].passed,
        f"{count} of {len(verdicts)} days {'failed' if failed else 'warned' if warned else 'passed'}{latest}: "
        f"{sentences}.",
        {"days": len(verdicts), "days_failed": len(failed), "days_warned": len(warned)},
        [
            {"day": str(day), "result": _result(verdict), "sentence": verdict.sentence}
            for day, verdict in sorted(
                verdicts.items(), key=lambda each: (each[1].passed, not each[1].warning, each[0])
            )
        ][:_LISTED],
        verdicts[last].withheld,
        bool(failed or warned),
    )


def _result(verdict: GateVerdict) -> str:
    return "failed" if not verdict.passed else "warned" if verdict.warning else "passed"
