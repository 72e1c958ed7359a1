"""Reports of wrong hits, in Redis and in the log: what is confirmed, withdrawn and kept. Real Redis, a test clock."""

from datetime import timedelta
from typing import Any

import pytest
from cachewarm_client.text import entry_id
from cachewarm_client.wrong_hit_reports import response_sha

from cachewarm_pipeline.errors import EmbeddingError
from cachewarm_pipeline.publishing import withdrawal_service as withdrawing
from cachewarm_pipeline.publishing.redis.connect import connect
from cachewarm_pipeline.publishing.withdrawal_service import reinstate_entry, withdraw_answers
from tests.support.pipeline import QUIET, environment
from tests.support.sensor_watch import DAY, NOW, Watch, own_environment
from tests.support.small_app import AGENT, USUAL, truth

pytest_plugins = ["tests.support.sensor_watch"]


@pytest.mark.usefixtures("served")
def test_negative_feedback_of_two_users_on_a_served_answer_withdraws_the_entry(watch: Watch) -> None:
    with watch.reader() as cache:
        for n in range(3):
            assert watch.app.ask(NOW + timedelta(minutes=n), USUAL[0], cache, feedback=-1 if n < 2 else None)
    watch.app.flush()
    found = watch.look("wrong_hits")
    (request,) = found.run_requests
    assert "new negative feedback" in request.tags["cachewarm/why"]
    assert watch.run(request, "withdraw_wrong_hits").success
    with watch.reader() as cache:
        assert cache.check(USUAL[0], agent_type=AGENT) == []
        assert cache.check(USUAL[1], agent_type=AGENT)
    watch.clock.at += timedelta(minutes=20)
    again = watch.look("wrong_hits")
    assert not again.run_requests, again
    assert "no new negative feedback" in again.skip_message
    watch.warm()  # the same day again: the answer stays out
    live = watch.store().live()
    assert live is not None
    assert live.entries == len(USUAL) - 1


@pytest.mark.usefixtures("served")
def test_one_users_feedback_withdraws_nothing(watch: Watch) -> None:
    with watch.reader() as cache:
        for n in range(0, 15, 5):  # every fifth question comes from the same user
            watch.app.asked = n
            watch.app.ask(NOW + timedelta(minutes=n), USUAL[0], cache, feedback=-1)
    watch.app.flush()
    watch.act("wrong_hits")
    with watch.reader() as cache:
        assert cache.check(USUAL[0], agent_type=AGENT)
    (report,) = watch.store().wrong_hit_reports()
    assert len(report.reporters) == 1


@pytest.mark.usefixtures("served")
def test_feedback_in_two_spellings_and_on_two_days_adds_up(watch: Watch) -> None:
    with watch.reader() as cache:
        watch.app.ask(NOW, USUAL[0].upper(), cache, feedback=-1)
    watch.app.flush()
    watch.act("wrong_hits")
    watch.clock.at += timedelta(days=3)
    with watch.reader() as cache:
        assert cache.check(USUAL[0], agent_type=AGENT)
        watch.app.ask(watch.clock.at, f"  {USUAL[0]}", cache, feedback=-1)
    watch.app.flush()
    watch.act("wrong_hits")
    with watch.reader() as cache:
        assert cache.check(USUAL[0], agent_type=AGENT) == []


@pytest.mark.usefixtures("served")
def test_all_rows_without_a_user_count_as_one_reporter(watch: Watch) -> None:
    with watch.reader() as cache:
        for n in range(3):
            watch.app.ask(NOW + timedelta(minutes=n), USUAL[0], cache, feedback=-1)
    for row in watch.app.rows[NOW.date()]:
        row["user_id"] = None
    watch.app.flush()
    watch.act("wrong_hits")
    with watch.reader() as cache:
        assert cache.check(USUAL[0], agent_type=AGENT)


@pytest.mark.usefixtures("served")
def test_a_log_that_cannot_be_read_does_not_delay_a_confirmed_report(watch: Watch) -> None:
    watch.report(USUAL[0], "anna", "ben")
    with environment(own_environment(CACHEWARM_SOURCE_URL=str(watch.app.folder / "gone"))):
        (request,) = watch.look("wrong_hits").run_requests
        assert not watch.run(request, "withdraw_wrong_hits").success  # it fails, but only after it withdrew
    with watch.reader() as cache:
        assert cache.check(USUAL[0], agent_type=AGENT) == []


@pytest.mark.usefixtures("served")
def test_the_live_answer_is_withdrawn_although_the_days_plan_was_made_again_without_it(watch: Watch) -> None:
    with environment(own_environment(CACHEWARM_MIN_FREQUENCY="1000", CACHEWARM_NAME="another")):
        result = watch.defs.resolve_job_def("warm_cache").execute_in_process(
            run_config=QUIET, instance=watch.instance, partition_key=DAY.isoformat(), raise_on_error=False
        )
        assert not result.success  # an empty plan, which a gate stopped
    watch.report(USUAL[0], "anna", "ben")
    watch.act("wrong_hits")
    with watch.reader() as cache:
        assert cache.check(USUAL[0], agent_type=AGENT) == []


@pytest.mark.usefixtures("served")
def test_a_second_wrong_answer_of_an_entry_is_withdrawn_too(watch: Watch) -> None:
    watch.report(USUAL[0], "anna", "ben")
    watch.act("wrong_hits")
    for row in watch.app.rows[DAY + timedelta(days=-1)] + watch.app.rows[DAY]:
        if row["query"] == USUAL[0]:
            row["response"] = "another wrong answer"
    for day, rows in watch.app.rows.items():
        if day < DAY - timedelta(days=1):
            watch.app.rows[day] = [row for row in rows if row["query"] != USUAL[0]]
    watch.app.flush(again=True)
    watch.warm()
    with watch.reader() as cache:
        (hit,) = cache.check(USUAL[0], agent_type=AGENT)
        assert hit["response"] == "another wrong answer"
    watch.report(USUAL[0], "anna", "ben")
    watch.clock.at += timedelta(minutes=11)
    watch.act("wrong_hits")
    with watch.reader() as cache:
        assert cache.check(USUAL[0], agent_type=AGENT) == []


@pytest.mark.usefixtures("served")
def test_an_unconfirmed_report_is_deleted_after_thirty_days(watch: Watch) -> None:
    watch.report(USUAL[0], "anna")
    watch.clock.at += timedelta(days=31)
    watch.act("wrong_hits")
    assert watch.store().wrong_hit_reports() == []


@pytest.mark.usefixtures("served")
def test_a_failed_run_for_log_feedback_is_requested_again_but_not_at_once(watch: Watch) -> None:
    with watch.reader() as cache:
        for n in range(2):
            watch.app.ask(NOW + timedelta(minutes=n), USUAL[0], cache, feedback=-1)
    watch.app.flush()
    (request,) = watch.look("wrong_hits").run_requests
    with environment(own_environment(CACHEWARM_REDIS_URL="redis://127.0.0.1:1/0")):
        assert not watch.run(request, "withdraw_wrong_hits").success
    (soon,) = watch.look("wrong_hits").run_requests
    assert "a run was requested already" in watch.look("wrong_hits").skip_message
    watch.clock.at += timedelta(minutes=60)
    (later,) = watch.look("wrong_hits").run_requests
    assert len({request.run_key, soon.run_key, later.run_key}) == 3


def test_another_wording_with_the_same_answer_is_withdrawn_too_and_excluded_from_the_next_plan(watch: Watch) -> None:
    other = f"{USUAL[0].removesuffix('?')}, please?"
    for rows in watch.app.rows.values():
        rows += [{**row, "query": other} for row in rows if row["query"] == USUAL[0]]
    watch.app.flush(again=True)
    watch.warm()
    with watch.reader() as cache:
        assert cache.check(other, agent_type=AGENT)[0]["match"] == "exact"
    watch.report(USUAL[0], "anna", "ben")
    watch.act("wrong_hits")
    for _ in range(2):
        with watch.reader() as cache:
            assert cache.check(other, agent_type=AGENT) == []
            assert cache.check(USUAL[0], agent_type=AGENT) == []
            assert cache.check(USUAL[1], agent_type=AGENT)
        watch.warm()


@pytest.mark.usefixtures("served")
def test_more_wrong_entries_than_the_limit_fail_the_run(watch: Watch) -> None:
    with watch.reader() as cache:
        for question in USUAL[:5]:
            (hit,) = cache.check(question, agent_type=AGENT)
            for reporter in ("anna", "ben"):
                assert cache.report_wrong_hit(hit, reporter=reporter)
    (request,) = watch.look("wrong_hits").run_requests
    result = watch.run(request, "withdraw_wrong_hits")
    assert not result.success
    with watch.reader() as cache:
        gone = [question for question in USUAL if not cache.check(question, agent_type=AGENT)]
    assert len(gone) == 3
    assert len(watch.store().wrong_hit_reports()) == 2  # left for a person to look at


@pytest.mark.usefixtures("served")
def test_a_report_of_an_answer_that_is_not_served_any_more_withdraws_nothing(watch: Watch) -> None:
    with watch.reader() as cache:
        (hit,) = cache.check(USUAL[0], agent_type=AGENT)
        client: Any = connect(watch.redis_url)
        client.hset(hit["key"], "response", "an older answer")
        (old,) = cache.check(USUAL[0], agent_type=AGENT)
        for reporter in ("anna", "ben"):
            cache.report_wrong_hit(old, reporter=reporter)
        client.hset(hit["key"], "response", truth(USUAL[0]))
    (report,) = watch.store().wrong_hit_reports()
    assert report.response_sha == response_sha("an older answer")
    (request,) = watch.look("wrong_hits").run_requests
    assert watch.run(request, "withdraw_wrong_hits").success
    assert watch.store().wrong_hit_reports() == []
    with watch.reader() as cache:
        assert cache.check(USUAL[0], agent_type=AGENT)


def test_two_wrong_answers_of_one_entry_in_two_generations_are_both_withdrawn(watch: Watch) -> None:
    watch.warm(DAY - timedelta(days=1))
    for day, rows in watch.app.rows.items():
        changed = "another answer" if day >= DAY - timedelta(days=1) else None
        kept = [row for row in rows if row["query"] != USUAL[0] or changed]
        watch.app.rows[day] = [{**row, "response": changed} if row["query"] == USUAL[0] else row for row in kept]
    watch.app.flush(again=True)
    watch.warm()
    store = watch.store()
    answers = store.answers([entry_id(USUAL[0], AGENT)])
    assert {one.response for one in answers} == {truth(USUAL[0]), "another answer"}
    withdraw_answers(watch.workspace(), store, answers, by="person")
    assert store.answers([entry_id(USUAL[0], AGENT)]) == []


def test_reinstating_an_entry_brings_back_only_the_entries_withdrawn_because_of_it(watch: Watch) -> None:
    other = f"{USUAL[0].removesuffix('?')}, please?"
    for rows in watch.app.rows.values():
        rows += [{**row, "query": other} for row in rows if row["query"] == USUAL[0]]
        for row in rows:  # an answer that many questions share
            row["response"] = (
                "Ask your administrator." if row["query"] in (USUAL[0], other, USUAL[8]) else row["response"]
            )
    watch.app.flush(again=True)
    watch.warm()
    store, workspace = watch.store(), watch.workspace()
    far = store.answers([entry_id(USUAL[8], AGENT)])
    withdraw_answers(workspace, store, far, by="person")
    withdraw_answers(workspace, store, store.answers([entry_id(USUAL[0], AGENT)]), by="person")
    assert store.answers([entry_id(other, AGENT)]) == []
    assert reinstate_entry(workspace, store, entry_id(USUAL[0], AGENT))
    watch.warm()
    with watch.reader() as cache:
        assert cache.check(USUAL[0], agent_type=AGENT)
        assert cache.check(other, agent_type=AGENT)
        assert cache.check(USUAL[8], agent_type=AGENT) == []


@pytest.mark.usefixtures("served")
def test_the_ledger_is_written_although_other_wordings_cannot_be_found(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise EmbeddingError("the server is away")

    monkeypatch.setattr(withdrawing, "embed_new_texts", lost)
    store = watch.store()
    with pytest.raises(EmbeddingError):
        withdraw_answers(watch.workspace(), store, store.answers([entry_id(USUAL[0], AGENT)]), by="person")
    monkeypatch.undo()
    watch.warm()
    live = watch.store().live()
    assert live is not None
    assert live.entries == len(USUAL) - 1
