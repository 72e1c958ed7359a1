"""Reports of wrong hits: what is counted, for which reporters, and that reporting never breaks an application."""

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import redis
from cachewarm_client import redis_wrong_hit_reports as cache_reports
from cachewarm_client.cache import WarmedSemanticCache
from cachewarm_client.keys import key_prefix, wrong_hits_key
from cachewarm_client.match_rules import MatchRules
from cachewarm_client.text import entry_id
from cachewarm_client.wrong_hit_reports import ANONYMOUS, MAX_REPORTERS, WrongHitReport, reporter_sha, response_sha

from cachewarm_pipeline.publishing.redis.cache_store import CacheStore
from cachewarm_pipeline.publishing.wrong_hit_confirmation import confirmed
from tests.support.cache_fakes import (
    PLAN,
    REVOKE,
    ROTATE,
    Clock,
    TrigramEmbedder,
    distance_rules,
    make_plan,
    publish,
    republish,
    writes,
)

pytest_plugins = ["tests.support.cache_fixtures"]

WRONG = entry_id(ROTATE, "auditor")


def hit_of(cache: WarmedSemanticCache, prompt: str = ROTATE) -> dict[str, Any]:
    (hit,) = cache.check(prompt, agent_type="auditor")
    return hit


def test_a_report_has_the_answer_the_reporters_and_the_times(
    warmed: CacheStore, cache: WarmedSemanticCache, clock: Clock
) -> None:
    first = clock.now
    assert cache.report_wrong_hit(hit_of(cache), reporter="alice", why="it is for keys, ask bob@contoso-mail.com")
    clock.now += timedelta(hours=1)
    assert cache.report_wrong_hit(hit_of(cache), reporter="bob")
    assert cache.report_wrong_hit(hit_of(cache), reporter="alice")
    (report,) = warmed.wrong_hit_reports()
    assert report == WrongHitReport(
        entry_id=WRONG,
        agent_type="auditor",
        response_sha=response_sha("rotate it so"),
        reporters=tuple(sorted(map(reporter_sha, ("alice", "bob")))),
        reports=3,
        first_at=first,
        last_at=clock.now,
        why="it is for keys, ask [email]",
    )


def test_no_personal_data_of_reporters_or_texts_is_kept(
    warmed: CacheStore, cache: WarmedSemanticCache, client: redis.Redis
) -> None:
    cache.report_wrong_hit(hit_of(cache), reporter="alice@contoso-mail.com", why="call +1 415 555 2671 " + "x" * 500)
    (value,) = client.hvals(wrong_hits_key(warmed.name))
    assert b"alice" not in value
    assert b"2671" not in value
    (report,) = warmed.wrong_hit_reports()
    assert len(report.why) == 200


def test_all_reports_without_a_reporter_count_as_one_person(warmed: CacheStore, cache: WarmedSemanticCache) -> None:
    for _ in range(5):
        cache.report_wrong_hit(hit_of(cache))
    (report,) = warmed.wrong_hit_reports()
    assert (report.reporters, report.reports) == ((ANONYMOUS,), 5)
    assert confirmed([report], 2) == []
    cache.report_wrong_hit(hit_of(cache), reporter="alice")
    assert confirmed(warmed.wrong_hit_reports(), 2) == warmed.wrong_hit_reports()


@pytest.mark.parametrize("form", ["hit", "hit without fields", "row with an id", "key", "key as bytes"])
def test_a_hit_its_key_or_a_stock_readers_hit_can_be_reported(
    warmed: CacheStore, cache: WarmedSemanticCache, form: str
) -> None:
    hit = hit_of(cache)
    given: Any = {
        "hit": hit,
        "hit without fields": {"key": hit["key"]},
        "row with an id": {"id": hit["key"], "response": hit["response"]},
        "key": hit["key"],
        "key as bytes": hit["key"].encode(),
    }[form]
    assert cache.report_wrong_hit(given, reporter="alice")
    (report,) = warmed.wrong_hit_reports()
    assert (report.entry_id, report.agent_type, report.response_sha) == (
        WRONG,
        "auditor",
        response_sha("rotate it so"),
    )


def test_a_hit_that_was_seen_before_a_publish_is_reported_with_the_answer_that_was_seen(
    warmed: CacheStore, cache: WarmedSemanticCache
) -> None:
    seen = hit_of(cache)
    for version in ("better", "best"):  # the generation of the hit is gone then
        publish(warmed, make_plan([{**PLAN[0], "response": version}, *PLAN[1:]]))
    assert cache.report_wrong_hit(seen, reporter="alice")
    assert cache.report_wrong_hit(seen["key"], reporter="bob")  # with only a key: the answer of the live generation
    found = {report.response_sha: report.reporters for report in warmed.wrong_hit_reports()}
    assert found == {
        response_sha("rotate it so"): (reporter_sha("alice"),),
        response_sha("best"): (reporter_sha("bob"),),
    }


def test_reports_of_an_app_entry_or_a_missing_entry_are_not_counted(
    warmed: CacheStore, cache: WarmedSemanticCache, client: redis.Redis
) -> None:
    own = cache.store("Where are the audit logs?", "there", agent_type="auditor")
    gone = key_prefix(warmed.name, "20200101-000000000000") + entry_id("gone", "auditor")
    changes = writes(client)
    assert cache.report_wrong_hit(own, reporter="alice") is False
    assert cache.report_wrong_hit({"key": own, "response": "there"}) is False
    assert cache.report_wrong_hit(gone) is False
    assert writes(client) == changes
    assert cache.stats_errors == 0


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ((None,), TypeError),
        (({},), TypeError),
        (([],), TypeError),
        (("",), TypeError),
        (("nonsense",), ValueError),
        (("warm:other:20261121-0:" + "0" * 64,), ValueError),
        (("warm:{name}:generations",), ValueError),
        (("warm:{name}:g:" + "0" * 63,), ValueError),
        (("warm:{name}:g:" + "0" * 64, 7), TypeError),
        (("warm:{name}:g:" + "0" * 64, None, None), TypeError),
    ],
)
def test_wrong_arguments_raise_and_change_nothing(
    warmed: CacheStore, cache: WarmedSemanticCache, client: redis.Redis, given: tuple[Any, ...], error: type[Exception]
) -> None:
    hit, *rest = given
    hit = hit.replace("{name}", warmed.name) if isinstance(hit, str) else hit
    changes = writes(client)
    with pytest.raises(error):
        cache.report_wrong_hit(hit, **dict(zip(("reporter", "why"), rest, strict=False)))
    assert writes(client) == changes


def test_reporting_survives_the_loss_of_redis_and_counts_it(
    cache: WarmedSemanticCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    hit = hit_of(cache)

    def lost(*_: Any) -> None:
        raise redis.ConnectionError("gone")

    before = cache.stats_errors
    monkeypatch.setattr(cache._connection.client, "eval", lost)
    assert cache.report_wrong_hit(hit, reporter="alice") is False
    assert cache.stats_errors == before + 1


def test_the_async_twin_counts_too(warmed: CacheStore, cache: WarmedSemanticCache) -> None:
    assert asyncio.run(cache.areport_wrong_hit(hit_of(cache), reporter="alice", why="no"))
    assert [report.reports for report in warmed.wrong_hit_reports()] == [1]


def test_concurrent_reports_are_all_counted(warmed: CacheStore, redis_url: str) -> None:
    readers, each = 4, 50
    key = key_prefix(warmed.name, warmed.generations()[0].id) + WRONG

    def report(reader: int) -> None:
        with WarmedSemanticCache(warmed.name, redis_url, embedder=TrigramEmbedder()) as cache:
            for number in range(each):
                assert cache.report_wrong_hit(key, reporter=f"person {reader} {number % 3}")

    threads = [threading.Thread(target=report, args=(reader,)) for reader in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (found,) = warmed.wrong_hit_reports()
    assert found.reports == readers * each
    assert len(found.reporters) == readers * 3


def test_at_most_sixteen_reporters_of_an_answer_are_kept_and_all_reports_counted(
    warmed: CacheStore, cache: WarmedSemanticCache
) -> None:
    hit = hit_of(cache)
    for number in range(MAX_REPORTERS + 4):
        cache.report_wrong_hit(hit, reporter=f"person {number}")
    (found,) = warmed.wrong_hit_reports()
    assert (len(found.reporters), found.reports) == (MAX_REPORTERS, MAX_REPORTERS + 4)
    assert found.reporters == tuple(sorted(found.reporters))


def test_the_number_of_reported_answers_is_limited_and_refused_ones_are_counted_and_logged(
    warmed: CacheStore, cache: WarmedSemanticCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache_reports, "MAX_REPORTS", 1)
    assert cache.report_wrong_hit(hit_of(cache), reporter="alice")
    assert cache.report_wrong_hit(hit_of(cache, REVOKE), reporter="alice") is False
    assert cache.report_wrong_hit(hit_of(cache), reporter="bob")  # an answer that was reported before still counts
    (found,) = warmed.wrong_hit_reports()
    assert found.reports == 2
    assert "1 reports of wrong hits were refused" in caplog.text
    assert warmed.clear_reports([found]) == 1
    assert cache.report_wrong_hit(hit_of(cache, REVOKE), reporter="alice")


def test_cleared_reports_are_gone_and_others_stay(
    warmed: CacheStore, cache: WarmedSemanticCache, client: redis.Redis
) -> None:
    for prompt in (ROTATE, REVOKE):
        cache.report_wrong_hit(hit_of(cache, prompt), reporter="alice")
    wrong = [report for report in warmed.wrong_hit_reports() if report.entry_id == WRONG]
    assert warmed.clear_reports([*wrong, replace(wrong[0], entry_id="nowhere")]) == 1
    assert [report.entry_id for report in warmed.wrong_hit_reports()] == [entry_id(REVOKE, "auditor")]
    assert warmed.clear_reports([]) == 0


def test_a_damaged_report_is_skipped_logged_and_replaced_by_the_next(
    warmed: CacheStore, cache: WarmedSemanticCache, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    field = f"{WRONG}:{response_sha('rotate it so')}"
    for damaged in ("{", "7", '{"reporters": 7}'):
        client.hset(wrong_hits_key(warmed.name), field, damaged)
        assert warmed.wrong_hit_reports() == []
        assert "is damaged and was skipped" in caplog.text
        assert cache.report_wrong_hit(hit_of(cache), reporter="alice")
        assert [report.reports for report in warmed.wrong_hit_reports()] == [1]


def test_unusual_texts_are_stored_unchanged(store: CacheStore, redis_url: str) -> None:
    agent_type = 'a/b "c" é \\ d'
    publish(store, make_plan([{"prompt": ROTATE, "agent_type": agent_type}]), rules=MatchRules.exact_only())
    with WarmedSemanticCache(store.name, redis_url, embedder=TrigramEmbedder()) as cache:
        (hit,) = cache.check(ROTATE, agent_type=agent_type)
        why = 'says "no" / \\ \n and ü, \ud800'
        assert cache.report_wrong_hit(hit, reporter="\ud800", why=why)
    (found,) = store.wrong_hit_reports()
    assert (found.agent_type, found.why) == (agent_type, why.replace("\ud800", "?"))


def test_confirmed_reports_lead_to_a_withdrawal(warmed: CacheStore, cache: WarmedSemanticCache) -> None:
    for name in ("alice", "bob"):
        cache.report_wrong_hit(hit_of(cache), reporter=name)
    answers = {row["entry_id"]: row["response"] for row in make_plan(PLAN).to_pylist()}
    bad = confirmed(warmed.wrong_hit_reports(), 2)
    assert [report.response_sha for report in bad] == [response_sha(answers[report.entry_id]) for report in bad]
    warmed.withdraw({report.entry_id: answers[report.entry_id] for report in bad})
    assert cache.check(ROTATE, agent_type="auditor") == []
    republish(warmed, rules=distance_rules(0.2))
    assert cache.check(ROTATE, agent_type="auditor") == []


def test_an_answer_is_identified_by_its_canonical_form_and_a_reporter_by_a_hash() -> None:
    assert response_sha("Rotate it SO. ") == response_sha("rotate it so")
    assert response_sha("???") != response_sha("!!!")
    assert reporter_sha(None) == ANONYMOUS
    assert len(reporter_sha("")) == 16
