"""What entries earned, through the real assets: plans that exclude idle entries and take them back, days that are made
again, a replay that knows no later counts, the queue of answer checks, and `cachewarm entries`."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from cachewarm_client.redis_wrong_hit_reports import count_report
from cachewarm_client.text import entry_id
from cachewarm_client.wrong_hit_reports import response_sha
from typer.testing import CliRunner, Result

from cachewarm_pipeline.freshness.stored_payback import idle_entry_ids, stored_payback
from cachewarm_pipeline.planning.service import standing
from cachewarm_pipeline.publishing.redis.connect import connect
from tests.support.checked_project import FEW, Project, log_of, question, steady
from tests.support.payback_data import AGENT, back, hits_row, hits_table, hours_table, store_day
from tests.support.pipeline import LAST_DAY, QUIET, environment

IDLE_DAYS = {"CACHEWARM_IDLE_DAYS": "5"}
ASKED = question(0)
"""Asked on the day after LAST_DAY: the only question that is."""


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A project with the candidates of LAST_DAY and of the two days after it."""
    folder = tmp_path_factory.mktemp("planned")
    source = folder / "source"
    project = Project(folder, source)
    project.log(log_of(lambda n, ago: "Answer 0" if n == 0 and ago == -1 else steady(n, ago), number=FEW))
    project.mine(LAST_DAY + timedelta(2), 11)
    for n in range(3):
        project.plan(LAST_DAY + timedelta(n))
    return folder, source


@pytest.fixture
def project(planned: tuple[Path, Path], tmp_path: Path, redis_url: str, cache_name: str) -> Project:
    shutil.copytree(planned[0] / "home", tmp_path / "home")
    made = Project(tmp_path, planned[1])
    made.environment |= {"CACHEWARM_REDIS_URL": redis_url, "CACHEWARM_NAME": cache_name, **IDLE_DAYS}
    return made


def earn(project: Project, *days: date, **settings: str) -> dict[str, Any]:
    """Materializes entry_payback for the days in one run; the metadata of the last day."""
    tags = {
        "dagster/asset_partition_range_start": days[0].isoformat(),
        "dagster/asset_partition_range_end": days[-1].isoformat(),
    }
    with environment(project.environment | settings):
        from cachewarm_pipeline.lineage.workspace_resource import WorkspaceResource
        from cachewarm_pipeline.measurement.assets import entry_payback

        resources = {"workspace": WorkspaceResource()}
        done = dg.materialize([entry_payback], resources=resources, tags=tags, run_config=QUIET)
    (*_, last) = done.get_asset_materialization_events()
    return {name: value.value for name, value in last.materialization.metadata.items()}


def counted(project: Project, last: date, number: int = 5, silent: Sequence[int] = (0,)) -> None:
    """Days of counts with all questions live, of which all but the ``silent`` get 4 hits a day: an average
    entry has its 10 hits by the third day."""
    for day in back(last, number):
        store_day(project.datasets, day, {question(n): 4 * (n not in silent) for n in range(FEW)})


def prompts(rows: list[dict[str, Any]]) -> set[str]:
    return {row["prompt"] for row in rows}


def excluded(project: Project, day: date) -> set[str]:
    """The questions that a plan of this day, or its replay, excludes as idle."""
    with project.workspace() as workspace:
        idle = standing(workspace, day).idle
    return {prompt for prompt in EVERY if entry_id(prompt, AGENT) in idle}


EVERY = {question(n) for n in range(FEW)}


def test_an_entry_without_hits_is_excluded_from_the_next_plan_until_its_prompt_is_asked(project: Project) -> None:
    counted(project, LAST_DAY)
    shown = earn(project, LAST_DAY)
    assert (shown["counts_up_to"], shown["hits"], shown["live"]) == ("2026-03-20", 140, FEW)
    assert shown["recovered_usd"] == 70.0
    assert (shown["earned_nothing"], shown["left_out_as_idle"], shown["verdicts"]) == (1, 1, {"idle": 1})
    assert {row.data["prompt"] for row in shown["best"].records} == EVERY - {ASKED}
    assert [row.data["average_hits"] for row in shown["nothing_earned"].records] == [17.5]
    assert shown["share_of_hits"].startswith("![")

    assert prompts(project.plan()) == EVERY - {ASKED}
    assert project.metadata["left_out"] == {"earned_nothing": 1}
    (leaving,) = [row.data for row in project.metadata["earned_nothing"].records]
    assert (leaving["left on"], leaving["comes back"]) == ("2026-03-20", "when asked, or on 2026-03-25")

    # The next day its question is asked, and the entry is back in the plan.
    store_day(project.datasets, LAST_DAY + timedelta(1), {question(1): 2})
    earn(project, LAST_DAY + timedelta(1))
    assert prompts(project.plan(LAST_DAY + timedelta(1))) == EVERY
    earn(project, LAST_DAY + timedelta(2))  # nothing is stored of this day
    assert prompts(project.plan(LAST_DAY + timedelta(2))) == EVERY


def test_if_many_entries_earn_nothing_they_are_excluded_one_after_the_other(project: Project) -> None:
    counted(project, LAST_DAY + timedelta(2), 7, silent=(1, 2, 3))
    days = back(LAST_DAY + timedelta(2), 3)
    earn(project, *days)
    assert [len(excluded(project, day)) for day in days] == [1, 2, 3]


Counts = Callable[[date], pa.Table]

NOT_ENOUGH: dict[str, tuple[int, Counts]] = {
    "no readers": (0, lambda day: hours_table(day, {})),
    "too few days": (4, lambda day: hours_table(day, {AGENT: 100})),
    "hardly a lookup": (8, lambda day: hours_table(day, {AGENT: 9})),
    "only the holdout": (8, lambda day: hours_table(day, {AGENT: 100}, arm="holdout")),
    "readers of an older version": (8, lambda day: hours_table(day, {AGENT: 100}, seconds=0.0)),
}


@pytest.mark.parametrize("why", NOT_ENOUGH)
def test_without_enough_counted_days_no_entry_is_excluded(project: Project, why: str) -> None:
    number, hours = NOT_ENOUGH[why]
    for day in back(LAST_DAY, number):
        project.datasets.write("entry_hits", day, hits_table([hits_row(prompt, day) for prompt in EVERY]))
        project.datasets.write("hour_counts", day, hours(day))
    with environment(project.environment):
        from cachewarm_pipeline.measurement.entry_payback_service import compute_entry_payback
        from cachewarm_pipeline.workspace.workspace import Workspace

        table, _ = compute_entry_payback(Workspace(), LAST_DAY)
    assert idle_entry_ids(table) == set()


def test_idle_entries_stay_if_the_rule_is_off(project: Project) -> None:
    counted(project, LAST_DAY)
    earn(project, LAST_DAY)
    assert excluded(project, LAST_DAY) == {ASKED}
    project.environment["CACHEWARM_IDLE_DAYS"] = "0"
    assert excluded(project, LAST_DAY) == set()  # also for entries that were idle before
    assert earn(project, LAST_DAY)["left_out_as_idle"] == 0


def test_the_plan_of_an_earlier_day_knows_nothing_of_later_counts(project: Project) -> None:
    counted(project, LAST_DAY + timedelta(1), 5, silent=(1,))
    earn(project, LAST_DAY + timedelta(1))
    assert excluded(project, LAST_DAY) == set()
    assert excluded(project, LAST_DAY + timedelta(1)) == {question(1)}
    assert excluded(project, LAST_DAY + timedelta(9)) == {question(1)}


def test_a_range_of_days_gives_the_same_files_as_single_days_and_so_does_a_second_run(project: Project) -> None:
    last = LAST_DAY + timedelta(2)
    days = back(last, 3)
    counted(project, days[1], 6, silent=(0, 2, 3))  # nothing is stored of the last day
    file = Path(project.environment["CACHEWARM_HOME"]) / "data" / "entry_payback"

    def written() -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in sorted(file.iterdir())}

    earn(project, *days)
    first = written()
    assert sorted(first) == [f"{day}.parquet" for day in days]
    earn(project, days[1])
    earn(project, days[2])
    assert written() == first
    # Late counts are included: no later table continues from a day without its own counts.
    store_day(project.datasets, last, {question(2): 5})
    earn(project, last)
    (row,) = [r for r in project.datasets.read("entry_payback", last).to_pylist() if r["prompt"] == question(2)]
    assert (row["hits"], row["left_on"]) == (5, None)


def test_an_unreadable_table_is_skipped_and_stops_neither_measuring_nor_warming(project: Project) -> None:
    days = back(LAST_DAY, 5)
    counted(project, LAST_DAY)
    whole = earn(project, LAST_DAY)
    for day in days[:-1]:
        earn(project, day)
    damaged = Path(project.environment["CACHEWARM_HOME"]) / "data" / "entry_payback" / f"{days[-2]}.parquet"
    damaged.write_text("no parquet")
    assert earn(project, LAST_DAY)["hits"] == whole["hits"]
    (damaged.parent / f"{LAST_DAY}.parquet").write_text("no parquet")
    assert stored_payback(project.datasets, LAST_DAY, ["entry_id"]) is not None


def test_an_entry_has_the_reports_and_rejections_known_by_the_day(project: Project, cache_name: str) -> None:
    counted(project, LAST_DAY)
    bad = entry_id(ASKED, AGENT)
    client = connect(project.environment["CACHEWARM_REDIS_URL"])
    for number, at in enumerate((1, 2, 40)):
        when = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=at)
        count_report(client, cache_name, bad, response_sha(f"answer {at // 40}"), AGENT, f"reporter {number}", when, "")
    earn(project, LAST_DAY)
    (row,) = [r for r in project.datasets.read("entry_payback", LAST_DAY).to_pylist() if r["entry_id"] == bad]
    assert (row["reports"], row["verdicts"]) == (2, ["reported", "idle"])  # one was reported later


def test_the_queue_of_stale_answers_uses_measured_hits_if_they_are_known(project: Project) -> None:
    counted(project, LAST_DAY, 7, silent=[n for n in range(FEW) if n != 2])
    store_day(project.datasets, LAST_DAY - timedelta(7), {question(3): 9})
    for day in back(LAST_DAY, 7):  # one is new: it has three days
        rows = project.datasets.read("entry_hits", day).to_pylist()
        young = [row for row in rows if row["prompt"] != question(3) or day > LAST_DAY - timedelta(3)]
        project.datasets.write("entry_hits", day, hits_table(young))
    earn(project, LAST_DAY)
    project.check(CACHEWARM_ANSWER_MODEL="m2")
    queue = {row.data["prompt"]: row.data for row in project.metadata["queue"].records}
    assert queue[question(2)]["hits a day"] == 4
    assert queue[question(1)]["hits a day"] == 0
    assert queue[question(3)]["hits a day"] == pytest.approx(1.0, abs=0.2)  # what the log expects
    kinds = {prompt: row["hits are"] for prompt, row in queue.items()}
    assert kinds == {prompt: "expected" if prompt == question(3) else "measured" for prompt in EVERY}
    assert project.metadata["hits_measured"] == FEW - 1
    assert next(iter(queue)) == question(2)


def asked(home: Path, *arguments: str) -> Result:
    from cachewarm_pipeline.cli import app

    with environment({"CACHEWARM_HOME": str(home)}):
        return CliRunner().invoke(app, ["entries", *arguments])


def test_before_anything_is_counted_the_command_says_what_to_do(tmp_path: Path, project: Project) -> None:
    fresh = asked(tmp_path / "new")
    assert fresh.exit_code == 0
    assert "open the cache with WarmedSemanticCache" in fresh.output
    earn(project, LAST_DAY)
    quiet = asked(tmp_path / "home")
    assert quiet.exit_code == 0
    assert "no lookup was counted up to 2026-03-20: open the cache with WarmedSemanticCache" in quiet.output
    assert asked(tmp_path / "new", "--sort", "age").exit_code == 2


LONG = "Write to jane.doe@corp.at about   " + "everything " * 30


@pytest.fixture(scope="module")
def reviewed(planned: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Path:
    """Counts of five days: one entry has hits, one has hits of unknown cost, one is golden and long; the others have
    none, and one of them is excluded."""
    folder = tmp_path_factory.mktemp("reviewed")
    shutil.copytree(planned[0] / "home", folder / "home")
    project = Project(folder, planned[1])
    project.environment |= {"CACHEWARM_REDIS_URL": redis_url, "CACHEWARM_NAME": "reviewed", **IDLE_DAYS}
    for day in back(LAST_DAY, 5):
        rows = [hits_row(question(n), day, 30 * (n == 1)) for n in range(FEW)]
        rows.append(hits_row("Free?", day, 40, cost_usd=None, agent_type="an agent type with a very long name indeed"))
        rows.append(hits_row(LONG, day, day.day % 2, source="golden"))
        project.datasets.write("entry_hits", day, hits_table(rows))
        project.datasets.write("hour_counts", day, hours_table(day, {AGENT: 50}))
    earn(project, LAST_DAY)
    return folder / "home"


def test_the_command_shows_aligned_columns_a_header_with_totals_and_no_personal_data(reviewed: Path) -> None:
    ran = asked(reviewed)
    assert ran.exit_code == 0
    first, totals, head, *rows = ran.output.splitlines()
    assert first == f"{FEW + 2} of {FEW + 2} entries that are live, by payback"
    assert totals == (
        "  352 hits in 90 days, $76.00 recovered and 200 hits of unknown cost, 7 without a hit; "
        "counts up to 2026-03-20 (the daily run adds the next day)"
    )
    assert " ".join(head.split()) == "hits 7 days dollars last hit idle source agent type verdicts prompt"
    assert len(rows) == FEW + 2
    assert max(map(len, [head, *rows])) <= 120
    assert question(1) in rows[0]
    assert len({row.index(cell) for row, cell in zip(rows[:2], ("query_log", "golden"), strict=True)}) == 1
    assert "jane.doe" not in ran.output
    assert "[email]" in ran.output


def order(ran: Result) -> list[str]:
    return [re.split(r" {2,}", line)[-1] for line in ran.output.splitlines()[3:]]


def test_the_command_sorts_filters_and_limits(reviewed: Path) -> None:
    assert order(asked(reviewed, "--sort", "hits"))[:2] == ["Free?", question(1)]
    assert order(asked(reviewed, "--sort", "dollars"))[0] == question(1)
    assert order(asked(reviewed, "--sort", "last-hit", "--limit", "1")) == ["Free?"]
    assert ASKED in order(asked(reviewed, "--sort", "idle", "--limit", str(FEW - 1)))
    assert asked(reviewed, "--limit", "2").output.startswith(f"2 of {FEW + 2} entries")
    assert len(order(asked(reviewed, "--source", "golden"))) == 1
    assert len(order(asked(reviewed, "--verdict", "idle"))) == 1
    assert len(order(asked(reviewed, "--verdict", "none"))) == FEW + 1
    nobody = asked(reviewed, "-a", "nobody")
    assert nobody.exit_code == 0
    assert "agent types: a, an agent type" in nobody.output
    assert "no longer live" in nobody.output


def test_the_json_is_the_same_for_a_program(reviewed: Path) -> None:
    found = json.loads(asked(reviewed, "--json", "--all", "--sort", "hits").stdout)
    assert (found["day"], found["counts_up_to"], found["known"], found["matching"]) == (*["2026-03-20"] * 2, 10, 10)
    assert (found["hits"], found["recovered_usd"], found["unpriced_hits"]) == (352, 76.0, 200)
    assert len(found["entries"]) == 10
    first = found["entries"][0]
    assert (first["prompt"], first["recovered_usd"], first["last_hit"]) == ("Free?", None, "2026-03-20T13:00:00+00:00")
