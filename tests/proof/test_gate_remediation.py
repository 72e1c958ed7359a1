"""The remediation on a check's page, and the verdict on a range of days."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.proof.gate_remediation import EMPTY_PLAN, remediation
from cachewarm_pipeline.proof.gate_verdict import GateVerdict, range_verdict
from cachewarm_pipeline.settings import Settings

FIRST = date(2026, 3, 1)
CHECKS = (
    "embedding_sanity",
    "quality_threshold",
    "no_conflicting_entries",
    "volatile_or_personal_share",
    "false_positive_rate",
    "loaded_equals_planned",
)
VERDICTS = st.builds(
    lambda passed, warning: GateVerdict(passed, "so it is", warning=passed and warning), st.booleans(), st.booleans()
)


@pytest.mark.parametrize("check", CHECKS)
def test_a_failed_check_has_a_remediation_and_a_passed_one_has_none(check: str) -> None:
    assert len(remediation(check, GateVerdict(False, "bad")) or "") > 80
    assert remediation(check, GateVerdict(True, "good")) is None


def test_every_check_of_the_graph_has_a_remediation() -> None:
    from cachewarm_pipeline.definitions import defs

    names = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
    assert [name for name in names if remediation(name, GateVerdict(False, "bad")) is None] == []


@pytest.mark.parametrize("check", CHECKS)
def test_settings_that_a_remediation_names_exist(check: str) -> None:
    known = {f"CACHEWARM_{name.upper()}" for name in Settings.model_fields}
    for verdict in (
        GateVerdict(False, "bad"),
        GateVerdict(True, "weak", warning=True),
        GateVerdict(False, "", {"entries": 0}),
    ):
        words = (remediation(check, verdict) or "").replace("=", " ").replace(",", " ").replace(")", " ").split()
        named = {word.strip("(.,;:") for word in words if "CACHEWARM_" in word}
        assert named <= known


def test_an_empty_plan_has_a_remediation_of_its_own() -> None:
    assert remediation("quality_threshold", GateVerdict(False, "empty", {"entries": 0})) == EMPTY_PLAN


@given(st.lists(VERDICTS, min_size=2, max_size=120))
def test_the_last_day_decides_and_every_failed_day_is_counted(verdicts: list[GateVerdict]) -> None:
    days = {FIRST + timedelta(days=n): verdict for n, verdict in enumerate(verdicts)}
    whole = range_verdict(days)
    failed = [day for day, verdict in days.items() if not verdict.passed]
    assert whole.passed == verdicts[-1].passed
    assert whole.numbers["days_failed"] == len(failed)
    assert whole.warning == any(not v.passed or v.warning for v in verdicts)
    assert all(str(day) in whole.sentence for day in failed[-3:])
    assert len(whole.worst) == min(len(days), 100)
    assert [row["result"] for row in whole.worst[: len(failed)]] == ["failed"] * min(len(failed), 100)


def test_a_failed_past_day_has_a_remediation_though_the_range_passes() -> None:
    whole = range_verdict(
        {FIRST: GateVerdict(False, "three are bad"), FIRST + timedelta(days=1): GateVerdict(True, "fine")}
    )
    assert whole.sentence == "1 of 2 days failed: 2026-03-01: three are bad."
    assert (remediation("quality_threshold", whole) or "").startswith("Look at the entries below")


def test_days_that_warn_are_counted_and_only_the_last_one_is_quoted() -> None:
    days = {FIRST + timedelta(days=n): GateVerdict(True, f"{n} weak.", warning=True) for n in range(3)}
    assert range_verdict(days).sentence == "3 of 3 days warned, most recently: 2026-03-03: 2 weak."


def test_days_that_all_pass_are_reported_in_one_sentence() -> None:
    whole = range_verdict({FIRST + timedelta(days=n): GateVerdict(True, f"all {n} fine") for n in range(3)})
    assert whole.sentence == "3 of 3 days passed, most recently: 2026-03-03: all 2 fine."
    assert remediation("quality_threshold", whole) is None
