"""Checks of answers through the real assets: what they find, what the plan does about it, and what they cost."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pytest_httpserver import HTTPServer

from cachewarm_pipeline.candidates.provenance import AnswerProvenance
from cachewarm_pipeline.freshness.check_sample import ChangeCheck
from cachewarm_pipeline.freshness.withdrawn_entries import add, empty
from cachewarm_pipeline.storage.answer_schemas import CHANGE_CHECKS
from tests.support.chat_server import KEY
from tests.support.checked_project import (
    AT,
    CHANGED,
    DAYS,
    FEW,
    NUMBER,
    Project,
    changing,
    log_of,
    question,
    steady,
)
from tests.support.pipeline import LAST_DAY
from tests.support.writer_server import WriterServer


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, tmp_path / "source")


Made = Callable[[str, str, Path], Project]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Copies a project with a log that is ``mined``, ``planned`` or ``checked``; each is made once for all tests."""
    logs = {
        "changing": lambda: log_of(changing, lambda back: "m1" if back >= 4 else "m2", NUMBER),
        "steady": lambda: log_of(steady, lambda back: None if back >= 7 else "m1"),
        "half like the model's": lambda: log_of(
            lambda n, back: f"The answer to {question(n)}" if n % 2 and back >= 0 else steady(n, back)
        ),
    }
    days = {"changing": (7, DAYS + 7), "steady": (0, 2), "half like the model's": (7, 9)}
    homes: dict[tuple[str, str], Path] = {}

    def prepared(name: str, stage: str) -> Path:
        if (name, stage) not in homes:
            folder = tmp_path_factory.mktemp(stage)
            if stage == "mined":
                project = Project(folder, tmp_path_factory.getbasetemp() / name)
                project.log(logs[name]())
                ahead, number = days[name]
                project.mine(LAST_DAY + timedelta(ahead), number)
            else:
                before = "mined" if stage == "planned" else "planned"
                shutil.copytree(prepared(name, before) / "home", folder / "home")
                project = Project(folder, tmp_path_factory.getbasetemp() / name)
                _ = project.plan() if stage == "planned" else project.check()
            homes[name, stage] = folder
        return homes[name, stage]

    def copy(name: str, stage: str, folder: Path) -> Project:
        shutil.copytree(prepared(name, stage) / "home", folder / "home")
        return Project(folder, tmp_path_factory.getbasetemp() / name)

    return copy


@pytest.fixture
def changed(made: Made, tmp_path: Path) -> Project:
    return made("changing", "planned", tmp_path)


@pytest.fixture
def checked(made: Made, tmp_path: Path) -> Project:
    return made("changing", "checked", tmp_path)


@pytest.fixture
def unchanged(made: Made, tmp_path: Path) -> Project:
    return made("steady", "planned", tmp_path)


def test_changed_answers_are_found_measured_and_replaced_in_the_next_plan(changed: Project) -> None:
    before = {row["prompt"]: row for row in changed.planned()}
    assert len(before) == NUMBER
    assert before[question(0)]["response"] == "Answer 0"
    assert AnswerProvenance.of(before[question(0)]["provenance"]).answer_model == "m1"

    checks = changed.check()
    assert len(checks) == NUMBER
    assert {prompt for prompt, row in checks.items() if row["changed"]} == {question(n) for n in range(CHANGED)}
    row = checks[question(0)]
    assert (row["old_response"], row["new_response"], row["answered_by"]) == ("Answer 0", "New answer 0", "log")
    assert (row["reasons"], row["age_days"], row["checked_at"]) == (["age", "changed"], 7.0, AT)
    (rate,) = changed.rates()
    assert (rate["agent_type"], rate["checked"], rate["changed"], rate["entry_days"]) == ("a", 36, 3, 36 * 7)
    assert rate["low"] < rate["rate"] < rate["high"]
    assert rate["measured"]
    shown = changed.metadata
    assert (shown["checked"], shown["changed"], shown["refreshed"], shown["stale"]) == (36, 3, 3, 0)
    assert shown["reasons"] == {"age": 3, "changed": 3}

    after = {row["prompt"]: row for row in changed.plan()}
    assert after.keys() == before.keys()
    assert [after[question(n)]["response"] for n in (0, CHANGED)] == ["New answer 0", f"Answer {CHANGED}"]
    provenance = json.loads(after[question(0)]["provenance"])
    assert provenance["refreshed"] == {"at": AT.isoformat(), "by": "log"}
    assert provenance["depends"]["answer_model"] == "m2"
    assert changed.metadata["refreshed"] == CHANGED


def test_a_check_and_a_plan_that_are_run_again_change_nothing(checked: Project) -> None:
    plan = checked.plan()
    names = ("answer_checks", "change_checks", "change_rates")
    first = [checked.datasets.read(name, LAST_DAY) for name in names]
    checked.check()
    assert [checked.datasets.read(name, LAST_DAY) for name in names] == first
    assert checked.plan() == plan


def test_the_measured_rate_sets_the_ttl_by_the_settings_of_the_day_it_is_used(checked: Project) -> None:
    changed = checked
    (rate,) = changed.rates()
    from cachewarm_pipeline.freshness.service import ttl_days_by_agent

    assert 2 < rate["ttl_days"] < 7
    with changed.workspace() as workspace:
        assert ttl_days_by_agent(changed.datasets, LAST_DAY, workspace.settings) == {"a": rate["ttl_days"]}
        assert ttl_days_by_agent(changed.datasets, LAST_DAY - timedelta(1), workspace.settings) == {}
    with changed.workspace(CACHEWARM_TTL_MIN_DAYS="4") as workspace:
        assert ttl_days_by_agent(changed.datasets, LAST_DAY, workspace.settings) == {"a": 4.0}


def test_a_sample_is_bounded_unless_all_entries_are_checked_and_too_few_checks_set_no_ttl(changed: Project) -> None:
    checks = changed.check(CACHEWARM_REFRESH_SAMPLE="5")
    assert len(checks) == 5
    assert changed.metadata["not_checked"] == {"not_in_the_sample": NUMBER - 5}
    (rate,) = changed.rates()
    assert (rate["measured"], rate["ttl_days"]) == (False, 7.0)
    assert rate["why"].startswith("too little evidence: 5 checks")
    assert len(changed.check(CACHEWARM_REFRESH_SAMPLE="5", whole=True)) == NUMBER


def test_before_the_first_plan_there_is_nothing_to_check(made: Made, tmp_path: Path) -> None:
    unchanged = made("steady", "mined", tmp_path)
    assert unchanged.check() == {}
    assert "nothing is warmed yet" in unchanged.metadata["why_none"]
    assert unchanged.rates() == []


def test_answers_of_another_model_are_stale_when_the_setting_says_so(unchanged: Project) -> None:
    checks = unchanged.check(CACHEWARM_ANSWER_MODEL="m2")
    assert {tuple(row["reasons"]) for row in checks.values()} == {("answer_model",)}
    assert "another model answers now: m2" in unchanged.metadata["queue"].records[0].data["why"]
    assert unchanged.plan(CACHEWARM_ANSWER_MODEL="m2") == []
    assert unchanged.metadata["left_out"] == {"stale": FEW}
    kept = unchanged.plan(CACHEWARM_ANSWER_MODEL="m2", CACHEWARM_STALE_ENTRIES="keep")
    assert (len(kept), unchanged.metadata["stale"]) == (FEW, {"answer_model": FEW})
    assert len(unchanged.plan()) == FEW  # the model is not compared any more, so nothing is stale


def test_a_new_prompt_version_marks_entries_even_days_later_until_their_next_answer(project: Project) -> None:
    later = LAST_DAY + timedelta(2)

    def asked(n: int, back: int) -> str | None:
        return f"Answer {n}" if back >= 0 or (n == 0 and back in (-2, -5)) else None

    project.log(log_of(asked, number=3))
    much_later = LAST_DAY + timedelta(5)
    project.mine(much_later, 7)
    project.plan(LAST_DAY, CACHEWARM_PROMPT_VERSION="v1")
    daily = project.plan(LAST_DAY + timedelta(1), CACHEWARM_PROMPT_VERSION="v2")
    assert {AnswerProvenance.of(row["provenance"]).prompt_version for row in daily} == {"v1"}
    checks = project.check(later, CACHEWARM_PROMPT_VERSION="v2")
    assert {tuple(row["reasons"]) for row in checks.values()} == {("prompt_version",)}
    assert project.plan(later, CACHEWARM_PROMPT_VERSION="v2") == []

    (row,) = project.plan(much_later, CACHEWARM_PROMPT_VERSION="v2")
    assert (row["prompt"], AnswerProvenance.of(row["provenance"]).prompt_version) == (question(0), "v2")
    assert question(0) not in project.check(much_later, CACHEWARM_PROMPT_VERSION="v2", CACHEWARM_REFRESH_SAMPLE="0")


def test_a_plan_only_knows_the_checks_of_its_day_and_before(checked: Project) -> None:
    from cachewarm_pipeline.planning.service import standing

    with checked.workspace() as workspace:
        assert standing(workspace, LAST_DAY - timedelta(1)).checks == {}
        assert len(standing(workspace, LAST_DAY).checks) == NUMBER
        assert len(standing(workspace, LAST_DAY + timedelta(6)).checks) == NUMBER


def test_the_rate_is_also_measured_on_queries_without_an_entry_and_only_entries_are_marked(
    made: Made, tmp_path: Path
) -> None:
    project = made("changing", "mined", tmp_path)
    few = {"CACHEWARM_BUDGET": "10", "CACHEWARM_MIN_STABILITY": "0.67"}  # then the changed queries are volatile
    assert len(project.plan(**few)) == 10
    assert project.metadata["left_out"] == {"over_budget": NUMBER - CHANGED - 10}
    assert len(project.check(**few)) == 10
    rows = project.datasets.read("change_checks", LAST_DAY).to_pylist()
    assert (len(rows), sum(row["planned"] for row in rows), sum(row["changed"] for row in rows)) == (36, 10, CHANGED)
    (rate,) = project.rates()
    assert (rate["checked"], rate["changed"]) == (NUMBER, CHANGED)
    assert project.metadata["reasons"] == {}

    tomorrow = LAST_DAY + timedelta(1)
    project.check(tomorrow, **few)
    assert project.datasets.read("change_checks", tomorrow).num_rows == NUMBER
    (rate,) = project.rates(tomorrow)
    assert rate["checked"] == NUMBER  # each query once, however often it was checked


def test_an_answer_that_was_confirmed_too_long_ago_is_excluded_unless_stale_entries_are_kept(
    checked: Project,
) -> None:
    (rate,) = checked.rates()
    assert 3 < rate["ttl_days"] < 4
    in_time, too_late = LAST_DAY + timedelta(2), LAST_DAY + timedelta(4)
    assert len(checked.plan(in_time)) == NUMBER
    assert checked.plan(too_late) == []
    assert (checked.metadata["left_out"], checked.metadata["stale"]) == ({"stale": NUMBER}, {"age": NUMBER})
    assert len(checked.plan(too_late, CACHEWARM_STALE_ENTRIES="keep")) == NUMBER


def test_a_withdrawn_answer_stays_out_of_plans_of_every_day(unchanged: Project) -> None:
    first, second, *_ = unchanged.planned()
    reported = {"why": "wrong", "reports": 2, "by": "person"}
    rows = [first | reported, second | reported | {"response": "an answer that it has no more"}]
    unchanged.datasets.write("withdrawn_entries", LAST_DAY + timedelta(30), add(empty(), rows, AT))
    again = unchanged.plan()
    assert first["entry_id"] not in {row["entry_id"] for row in again}
    assert len(again) == FEW - 1
    assert unchanged.metadata["left_out"] == {"reported_wrong": 1}


class Answering:
    """A project whose answers a model checks."""

    def __init__(self, project: Project, http: HTTPServer) -> None:
        self.project, self.server = project, WriterServer(http)
        project.environment |= {
            "CACHEWARM_REFRESH": "llm",
            "CACHEWARM_LLM": "openai",
            "CACHEWARM_LLM_MODEL": "m2",
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": self.server.url,
        }


@pytest.fixture
def answering(made: Made, tmp_path: Path, _openai_http: HTTPServer) -> Answering:
    _openai_http.clear()
    return Answering(made("half like the model's", "planned", tmp_path), _openai_http)


def test_fresh_answers_of_a_model_are_compared_and_warmed_and_paid_for_once_a_week(answering: Answering) -> None:
    project, server = answering.project, answering.server
    checks = project.check()
    assert len(server.requests) == FEW
    assert {prompt for prompt, row in checks.items() if row["changed"]} == {question(n) for n in range(0, FEW, 2)}
    row = checks[question(0)]
    assert (row["new_response"], row["answered_by"]) == (f"The answer to {question(0)}", "llm:m2")
    assert row["age_days"] == 0.5
    assert project.metadata["written"] == FEW
    assert project.metadata["generation_usd"] > 0
    plan = {row["prompt"]: row for row in project.plan()}
    assert plan[question(0)]["response"] == f"The answer to {question(0)}"
    assert AnswerProvenance.of(plan[question(0)]["provenance"]).answer_model == "m2"

    project.check()
    weekend, week = LAST_DAY + timedelta(1), LAST_DAY + timedelta(7)
    project.plan(weekend)
    project.check(weekend)
    assert len(server.requests) == FEW  # the same week
    project.check(week)
    assert len(server.requests) == 2 * FEW


def test_the_first_of_the_queue_are_answered_again_up_to_the_maximum_and_the_others_are_excluded(
    answering: Answering,
) -> None:
    project, server = answering.project, answering.server
    project.plan(CACHEWARM_PROMPT_VERSION="v1")
    now = {"CACHEWARM_PROMPT_VERSION": "v2", "CACHEWARM_REFRESH_SAMPLE": "0", "CACHEWARM_REFRESH_MAX": "4"}
    checks = project.check(**now)
    assert len(server.requests) == 4
    assert len(checks) == FEW
    answered = {prompt for prompt, row in checks.items() if row["new_response"]}
    assert answered == set(server.prompts)
    assert {row["prompt"] for row in project.plan(**now)} == answered
    assert project.metadata["left_out"] == {"stale": FEW - 4}


def test_an_entry_that_left_for_its_age_is_answered_again_and_comes_back(answering: Answering) -> None:
    project, server = answering.project, answering.server
    known = [ChangeCheck(f"query {n}", "a", False, 7.0, n < 4) for n in range(40)]
    table = pa.Table.from_pylist([asdict(check) for check in known], schema=CHANGE_CHECKS)
    project.datasets.write("change_checks", LAST_DAY - timedelta(1), table)
    none = {"CACHEWARM_REFRESH_SAMPLE": "0"}
    project.check(CACHEWARM_REFRESH_MAX="0", **none)
    assert project.metadata["stale"] == FEW  # they will be too old before the next checks
    assert len(project.plan()) == FEW
    later = LAST_DAY + timedelta(4)
    assert project.plan(later) == []
    checks = project.check(later, **none)
    assert {row["new_response"] for row in checks.values()} == {f"The answer to {question(n)}" for n in range(FEW)}
    assert (len(server.requests), len(project.plan(later))) == (FEW, FEW)


def test_the_budget_holds_and_unanswered_questions_are_counted(answering: Answering) -> None:
    project, server = answering.project, answering.server
    project.check(CACHEWARM_LLM_MAX_TOKENS="6000")
    assert 0 < len(server.requests) < FEW
    assert project.metadata["not_checked"]["the_model_gave_no_usable_answer"] == FEW - len(server.requests)
    assert project.metadata["over_cap"] > 0


def test_a_fresh_answer_that_must_not_be_warmed_replaces_nothing(answering: Answering) -> None:
    project, server = answering.project, answering.server
    server.reply = lambda body: {
        "choices": [{"message": {"content": json.dumps({"answer": "Ask ada.moss@corp.io"})}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
    assert project.check() == {}
    assert project.metadata["not_checked"] == {"the_model_gave_no_usable_answer": FEW}


def test_without_a_model_refreshing_by_llm_is_refused_and_the_message_names_the_settings(unchanged: Project) -> None:
    for llm in ("none", "recorded"):
        with pytest.raises(Exception, match="CACHEWARM_REFRESH=llm needs a model that answers: set CACHEWARM_LLM=op"):
            unchanged.check(CACHEWARM_REFRESH="llm", CACHEWARM_LLM=llm)


def test_the_checks_are_not_part_of_the_daily_run() -> None:
    from cachewarm_pipeline.definitions import defs

    keys = {key.path[-1] for key in defs.resolve_job_def("warm_cache").asset_layer.executable_asset_keys}
    assert "warming_plan" in keys
    assert "answer_checks" not in keys
