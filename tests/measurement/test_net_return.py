"""net_return: a worked example through the asset's code, and every dollar recomputed from the stored rows."""

from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.days import end_of
from cachewarm_pipeline.measurement.assets import net_return, warming_impact
from cachewarm_pipeline.measurement.lift import ArmCount, impact
from cachewarm_pipeline.measurement.lift.measured_impact import LookupCounts, MeasuredImpact
from cachewarm_pipeline.measurement.net_return.net_return import (
    ReturnBasis,
    expected_return,
    measured_return,
    net_return_table,
)
from cachewarm_pipeline.measurement.net_return.net_return_service import read_return_inputs
from cachewarm_pipeline.measurement.net_return.net_return_text import figures, net_return_sentence, side_by_side
from cachewarm_pipeline.measurement.net_return.return_inputs import Paid, ReturnInputs, paid, plan_bytes
from cachewarm_pipeline.models.usage_ledger import read_usage
from cachewarm_pipeline.reporting.warm_report import _savings
from cachewarm_pipeline.storage.measurement_schemas import USAGE
from cachewarm_pipeline.storage.schemas import REPLAY
from cachewarm_pipeline.workspace.workspace import Workspace
from tests.support.impact_days import AGENT, FIRST, Shape, pay, workspace_at, write_counts, write_made

LAST = FIRST + timedelta(days=4)
CALL = 0.03


def after(days: int) -> date:
    return FIRST + timedelta(days=days)


def made(workspace: Workspace, day: date) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows and metadata of the asset."""
    result = dg.materialize([net_return], partition_key=day.isoformat(), resources={"workspace": workspace})
    (event,) = result.get_asset_materialization_events()
    rows: list[dict[str, Any]] = workspace.datasets.read("net_return", day).to_pylist()
    return rows, {name: value.value for name, value in event.materialization.metadata.items()}


def total(rows: list[dict[str, Any]], basis: str) -> dict[str, Any]:
    return next(row for row in rows if row["basis"] == basis and not row["agent_type"])


def test_a_thousand_entries_cost_four_cents_and_save_thirty_dollars_a_day(tmp_path: Path) -> None:
    # 1,000 entries of 2,000 tokens at $0.00002 per 1K; 10% of 10,000 requests a day at $0.03.
    workspace = workspace_at(tmp_path, FIRST)
    write_made(workspace, FIRST, lookups=10_000, lift=0.10, wrong=0)
    pay(workspace, FIRST, 1_000 * 2_000, usd_per_million=0.00002 * 1_000)
    rows, page = made(workspace, FIRST)
    expected = total(rows, "expected")
    assert expected["warming_usd"] == pytest.approx(0.04)
    assert expected["savings_usd"] == pytest.approx(30.0)
    assert expected["payback_days"] == pytest.approx(0.04 / 30)
    assert page["expected_told"].startswith("saves $30.00 a day before the harm of wrong hits (")
    assert (
        "paid back in 2 min; no judged hit was wrong (cautiously: pays as long as a wrong hit costs less than $"
        in page["expected_told"]
    )
    assert page["verdict"].startswith("expected: saves")
    assert (page["savings_usd_a_day"], page["expected_savings_usd_a_day"]) == (pytest.approx(30), pytest.approx(30))
    assert page["measured_told"].startswith("savings are not known: no lookups were counted")
    savings = _savings(page) or {}
    known = {name for name, value in savings.items() if value is not None}
    assert known >= {"per_day_usd", "per_day_usd_low", "payback_days", "break_even_harm_low_usd", "warming_usd"}


def test_a_failure_to_measure_is_reported_and_stops_no_run(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path, FIRST)
    write_made(workspace, FIRST, lookups=1_000, lift=0.10, wrong=0)
    for name in ("arm_counts", "hour_counts", "entry_hits"):
        path = Path(workspace.settings.datasets) / name / f"{FIRST}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("no parquet")
    result = dg.materialize(
        [warming_impact, net_return], partition_key=FIRST.isoformat(), resources={"workspace": workspace}
    )
    pages = [event.materialization.metadata for event in result.get_asset_materialization_events()]
    assert ["DatasetError" in str(page["why_not"].value) for page in pages] == [True, True]
    assert _savings({"why_not": "failed"}) is None


@pytest.fixture
def counted(tmp_path: Path) -> Workspace:
    """Four days of counts after the first plan; the first run cost $0.40, later ones less."""
    workspace = workspace_at(
        tmp_path,
        LAST,
        CACHEWARM_WRONG_HIT_USD="0.5",
        CACHEWARM_MEMORY_USD_PER_GIB_MONTH="500000",
        CACHEWARM_IMPACT_DAYS="3",
    )
    for n in range(5):
        write_made(workspace, after(n), wrong=2)
        if n:
            write_counts(workspace, after(n), Shape(warmed_rate=0.5))
    pay(workspace, FIRST, 20_000_000, 0.02)
    for n, tokens in ((1, 5_000_000), (3, 1_500_000), (4, 3_000_000)):
        pay(workspace, after(n), tokens, 0.02)
    pay(workspace, after(4), 1_500_000, 0.02, run="the same day once more")
    return workspace


def test_every_dollar_can_be_recomputed_from_the_stored_rows(counted: Workspace) -> None:
    rows, _ = made(counted, LAST)
    datasets = counted.datasets
    # Money that was paid, from the usage rows alone.
    usage = read_usage(counted.usage_folder, date.min, date.max).to_pylist()
    for row in usage:
        price = row["prompt_tokens"] * row["usd_per_million_prompt_tokens"] / 1e6 * row["share"]
        assert row["usd"] == pytest.approx(price)
    warming = sum(row["usd"] for row in usage if row["day"] == FIRST)
    running = sum(row["usd"] for row in usage if row["day"] > after(1)) / 3
    # Memory from the plan: its texts, without vectors, in two generations.
    plan = datasets.read("warming_plan", LAST).to_pylist()
    size = sum(len((row["prompt"] + row["response"]).encode()) for row in plan)
    memory = 2 * size / 2**30 * 500_000 / (365.25 / 12)
    # Hits from the stored counts: both arms have the same lookups in each bucket, so the lift is a plain difference.
    arms, hours = (
        [r for n in (2, 3, 4) for r in datasets.read(t, after(n)).to_pylist()] for t in ("arm_counts", "hour_counts")
    )
    hits = {arm: sum(row["hits"] for row in arms if row["arm"] == arm) for arm in ("warmed", "holdout")}
    lookups = {arm: sum(row["lookups"] for row in arms if row["arm"] == arm) for arm in ("warmed", "holdout")}
    extra = (hits["warmed"] / lookups["warmed"] - hits["holdout"] / lookups["holdout"]) * lookups["warmed"] / 3
    wrong = 0.02 * extra
    assert extra < sum(row["warmed_hits"] for row in hours) / 3
    log = datasets.read("daily_query_counts", LAST).to_pylist()
    call = sum(row["cost_usd"] for row in log) / sum(row["costed"] for row in log)
    saved, harm = (extra - wrong) * call, wrong * 0.5
    came = total(rows, "measured")
    assert came["extra_hits"] == pytest.approx(extra)
    assert came["wrong_hits"] == pytest.approx(wrong)
    assert (came["saved_usd"], came["harm_usd"]) == (pytest.approx(saved), pytest.approx(harm))
    assert came["memory_usd"] == pytest.approx(memory)
    assert came["running_usd"] == pytest.approx(running + memory)
    assert came["savings_usd"] == pytest.approx(saved - harm - running - memory)
    assert came["warming_usd"] == pytest.approx(warming)
    assert came["break_even_harm_usd"] == pytest.approx((saved - running - memory) / wrong)
    # The expected return from the stored replay.
    replay = datasets.read("replay", LAST).to_pylist()
    more = sum(row["warmed_hits"] - row["cold_hits"] for row in replay) / 2
    bad = 0.02 * more
    foreseen = total(rows, "expected")
    assert foreseen["savings_usd"] == pytest.approx((more - bad) * call - bad * 0.5 - running - memory)
    for basis in ("expected", "measured"):
        own = [row for row in rows if row["basis"] == basis and row["agent_type"]]
        for name in ("warming_usd", "running_usd", "savings_usd", "served_hits"):
            assert sum(row[name] for row in own) == pytest.approx(total(rows, basis)[name])


def test_the_page_leads_with_the_measured_return_and_plots_both(counted: Workspace) -> None:
    rows, page = made(counted, LAST)
    assert page["verdict"].startswith("measured: ")
    assert page["days_measured"] == 3
    assert page["savings_usd_a_day"] == pytest.approx(total(rows, "measured")["savings_usd"])
    assert page["expected_savings_usd_a_day"] == pytest.approx(total(rows, "expected")["savings_usd"])
    assert page["warming_usd"] == pytest.approx(0.4)
    assert "CACHEWARM_WRONG_HIT_USD is $0.50" in page["measured_told"]


def test_if_only_some_readers_have_a_holdout_wrong_hits_are_those_of_the_lookups_with_a_lift(
    counted: Workspace,
) -> None:
    (before,) = [row for row in made(counted, LAST)[0] if row["basis"] == "measured" and row["agent_type"]]
    for n in (2, 3, 4):  # the same number of lookups again, by readers without a holdout
        hours = counted.datasets.read("hour_counts", after(n))
        counted.datasets.write("hour_counts", after(n), pa.concat_tables([hours, hours]))
    (now,) = [row for row in made(counted, LAST)[0] if row["basis"] == "measured" and row["agent_type"]]
    note = "50% of the lookups have a holdout: savings cover only these, costs are in full"
    assert now == pytest.approx(before | {"why": note})


def row_of(day: date, run: str, amount: float, written: date | None = None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "at": end_of(written or day),
        "run_id": run,
        "day": day,
        "usd": amount,
        "asset": "embeddings",
        "purpose": "embedding",
        "model": "m",
        "share": 1.0,
        "prices_as_of": day,
    }
    return {**dict.fromkeys(USAGE.names, 0), **values}


def ledger(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=USAGE)


def test_what_was_paid_until_a_plan_was_live_is_warming_cost_and_the_rest_is_running_cost() -> None:
    usage = ledger(
        row_of(FIRST, "free", 0.0),
        row_of(after(1), "failed", 0.01),
        row_of(after(2), "first to publish", 40.0),
        row_of(after(2), "again", 0.5, after(5)),  # the same day again: part of warming too
        row_of(after(4), "later", 0.3),
        row_of(after(9), "of a later day", 7.0),
    )
    assert paid(usage, after(6), 14, after(2)) == Paid(pytest.approx(40.51), pytest.approx(0.3 / 4), 4)
    assert paid(usage, after(6), 2, after(2)) == Paid(pytest.approx(40.51), 0.0, 2)
    assert paid(usage, after(2), 14, after(2)) == Paid(pytest.approx(40.51), 0.0, 0)
    assert paid(usage, after(1), 14, after(2)) == Paid(0.01, 0.0, 0)
    assert paid(usage, FIRST, 14, after(2)) == Paid(0.0, 0.0, 0)
    assert paid(ledger(), after(6), 14, after(2)) == Paid(0.0, 0.0, 4)
    # Nothing was live yet, so all of it is warming cost.
    assert paid(usage, after(6), 14, None) == Paid(pytest.approx(40.81), 0.0, 0)


def test_a_failed_first_run_does_not_turn_the_cost_of_warming_into_running_cost(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path, after(3))
    for n in range(4):
        write_made(workspace, after(n))
        write_counts(workspace, after(n))  # live from after(1) on, with the plan of FIRST
    pay(workspace, FIRST - timedelta(days=1), 500_000, 0.02, run="stopped by the cap")
    pay(workspace, FIRST, 2_000_000_000, 0.02)
    rows, _ = made(workspace, after(3))
    assert total(rows, "expected")["warming_usd"] == pytest.approx(40.01)
    assert total(rows, "expected")["running_usd"] == 0.0


@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from("abc"), st.integers(0, 100)), max_size=20),
    st.integers(0, 20),
    st.integers(1, 21),
    st.none() | st.integers(0, 20),
)
def test_no_paid_dollar_is_counted_twice_or_lost_within_the_window(
    rows: list[tuple[int, str, int]], last: int, days: int, live: int | None
) -> None:
    usage = ledger(*(row_of(after(n), run, cents / 100) for n, run, cents in rows))
    found = paid(usage, after(last), days, None if live is None else after(live))
    whole = sum(cents / 100 for n, _, cents in rows if n <= last)
    counted = found.warming_usd + found.running_usd * found.days
    assert counted <= whole + 1e-9
    assert days < 21 or counted == pytest.approx(whole)


NO_SHARE = {"wrong_hit_rate": None}
NOTHING: dict[str, Any] = {"agent_types": {}, **NO_SHARE}
NO_ROWS = REPLAY.empty_table()


def test_an_agent_type_without_a_replay_or_a_price_costs_in_full_and_has_a_reason() -> None:
    known = ReturnInputs(NO_ROWS, NOTHING, 0, {AGENT: None}, {AGENT: 3, "planner": 1}, Paid(4.0, 0.4, 2), 1.0)
    table = net_return_table(known, [expected_return(known)])
    rows = table.to_pylist()
    assert [(row["agent_type"], row["warming_usd"]) for row in rows] == [(AGENT, 3.0), ("planner", 1.0), ("", 4.0)]
    assert [row["savings_usd"] for row in rows] == [None] * 3
    assert rows[-1]["why"] == "no lookups were held out"
    assert (
        net_return_sentence(rows[-1])
        == "savings are not known: no lookups were held out (the log needs at least 4 days)"
    )


JUDGED = {"wrong_hit_rate": 0.0, "wrong_hit_rate_lower": 0.0, "wrong_hit_rate_upper": 0.1}
BOTH_ARMS = [
    ArmCount(arm, "20260303", AGENT, hits, 100, bucket)
    for arm, hits in (("warmed", 50), ("holdout", 20))
    for bucket in range(8)
]


def came(counts: list[ArmCount], asked: dict[str, int], why: str = "") -> ReturnBasis:
    """Measured on one day, from ``asked`` lookups of the warmed arm by agent_type, of all readers."""
    other = "other"
    known = ReturnInputs(
        NO_ROWS,
        {"agent_types": {AGENT: JUDGED, other: JUDGED}, **NO_SHARE},
        1,
        {AGENT: CALL, other: CALL},
        {AGENT: 1, other: 1},
        Paid(1.0, 0.2, 1),
        1.0,
    )
    of = {("warmed", name): LookupCounts(number // 2, number, number // 4) for name, number in asked.items()}
    return measured_return(known, MeasuredImpact([], impact(counts), [], of, Counter(), why))


def test_an_agent_type_without_lookups_while_others_have_some_earned_exactly_nothing() -> None:
    found = came(BOTH_ARMS, {AGENT: 800}).returns
    asked, idle = found.parts
    assert asked.extra_hits is not None
    assert asked.extra_hits.value == pytest.approx(240.0)
    assert idle.savings_usd == pytest.approx((-0.1, -0.1, -0.1))
    assert found.unknown == ()
    assert found.total.savings_usd is not None
    assert found.total.savings_usd.value == pytest.approx(240 * CALL - 0.2)


def test_savings_of_an_agent_type_without_a_holdout_are_unknown_and_not_zero() -> None:
    found = came(BOTH_ARMS, {AGENT: 800, "other": 500}).returns
    other = found.parts[1]
    assert (other.savings_usd, other.why) == (None, "no reader of this agent_type has a holdout")
    assert found.unknown == ("other",)
    assert found.total.running_usd == pytest.approx(0.2)


def test_savings_are_unknown_and_not_zero_if_no_lift_is_known() -> None:
    few = [ArmCount("warmed", "20260303", AGENT, 1, 2, 3)]
    for counts, asked, why in (([], {AGENT: 800}, "no reader has a holdout"), (few, {AGENT: 2}, "")):
        total_of = came(counts, asked, why).returns.total
        assert total_of.savings_usd is None


def test_savings_of_some_lookups_against_costs_in_full_are_reported_as_such() -> None:
    basis = came(BOTH_ARMS, {AGENT: 1_000})
    note = "80% of the lookups have a holdout: savings cover only these, costs are in full"
    assert basis.returns.parts[0].why == note
    assert basis.note == note
    assert came(BOTH_ARMS, {AGENT: 802}).note == ""


def test_memory_is_the_bytes_of_prompts_answers_and_vectors() -> None:
    plan = pa.table({"agent_type": ["a", "a", "b"], "prompt": ["é", "xy", "z"], "response": ["1", "22", "333"]})
    assert plan_bytes(plan, 384) == {"a": 3 + 4 + 2 * 4 * 384, "b": 4 + 4 * 384}


def test_a_day_without_embeddings_or_log_raises_no_error(counted: Workspace) -> None:
    known = read_return_inputs(counted, LAST, ledger(), None)
    assert known.paid == Paid(0.0, 0.0, 0)
    assert known.call_usd == {AGENT: pytest.approx(CALL)}


def test_the_page_shows_expected_beside_measured_and_calls_no_range_an_interval(
    counted: Workspace,
) -> None:
    rows, page = made(counted, LAST)
    pairs = [(row["agent_type"], row["basis"]) for row in side_by_side(rows)]
    assert pairs == [(name, basis) for name in ("", AGENT) for basis in ("expected", "measured")]
    shown = figures(rows[0])
    assert "cautious range" in shown
    assert "95% interval" not in shown
    assert "before harm" not in shown["savings a day"]
    assert figures(rows[0] | {"wrong_hit_usd": None})["savings a day"].endswith(" before harm")
    assert "price of a call is taken as known" in page["how_to_read"]
