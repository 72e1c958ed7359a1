"""Records, pins and withdrawals as data: older versions are read, and nothing is lost on the way."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from cachewarm_client.generation_record import GenerationRecord, Pin, State, parse_generations, parse_pin
from cachewarm_client.keys import key_prefix, warmed_entry, whole_key
from cachewarm_client.match_rules import MatchRules
from cachewarm_client.wrong_hit_reports import response_sha
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.publishing.withdrawn_answers import Settlement, Withdrawal, by_entry, settlement
from tests.support.cache_fakes import NOW

RECORD = GenerationRecord(
    id="20261121-abc",
    state=State.FILLING,
    entries=1000,
    by_source={"golden": 10, "query_log": 990},
    plan_hash="abc",
    as_of=date(2026, 11, 21),
    created_at=NOW,
    embedder={"id": "test:trigrams", "dimensions": 64},
    match_rules=MatchRules.exact_only(),
    ttl_days=7.0,
    ttl_jitter=0.1,
    loaded=340,
    filled_at=NOW + timedelta(minutes=5),
    forecast_hit_rate=0.69,
    ttl_days_by_agent={"auditor": 2.5},
)
NEW = ("loaded", "filled_at", "forecast_hit_rate", "ttl_days_by_agent")


def test_a_record_comes_back_as_it_was_written() -> None:
    assert GenerationRecord.from_json(RECORD.to_json()) == RECORD


def test_a_record_of_an_older_program_is_read_with_the_defaults() -> None:
    old = {name: value for name, value in json.loads(RECORD.to_json()).items() if name not in NEW}
    record = GenerationRecord.from_json(json.dumps(old))
    assert (record.loaded, record.filled_at, record.forecast_hit_rate, record.ttl_days_by_agent) == (0, None, None, {})
    assert record.ttl_of("auditor") == 7.0
    assert record.schema_version == 1


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"ttl_days_by_agent": {"auditor": 3.0}}, False),
        ({"ttl_days_by_agent": {}}, False),
        ({"loaded": 0, "filled_at": None, "state": State.LIVE}, True),
        ({"forecast_hit_rate": 0.1, "id": "other"}, True),
    ],
)
def test_the_same_content_means_the_same_entries_and_times_to_live_however_many_are_loaded(
    change: dict[str, object], same: bool
) -> None:
    assert RECORD.same_content(replace(RECORD, **change)) == same  # type: ignore[arg-type]


def test_half_life_is_that_of_the_shortest_time_to_live() -> None:
    assert not RECORD.past_half_life(NOW + timedelta(days=1.2))
    assert RECORD.past_half_life(NOW + timedelta(days=1.3))
    assert not replace(RECORD, ttl_days_by_agent={"auditor": 30.0}).past_half_life(NOW + timedelta(days=3.4))


def test_a_pin_is_not_read_as_a_generation() -> None:
    pin = Pin(RECORD.id, NOW, "why")
    fields = {RECORD.id: RECORD.to_json(), "live": RECORD.id, "pinned": pin.to_json()}
    assert parse_generations(fields) == (RECORD.id, {RECORD.id: RECORD})
    assert parse_pin(fields) == pin
    assert parse_pin({}) is None


@pytest.mark.parametrize("text", ["", "7", "{}", '{"generation": "g", "since": "soon"}'])
def test_a_damaged_pin_is_an_error_that_says_what_to_do(text: str) -> None:
    with pytest.raises(CacheError, match="cachewarm release"):
        Pin.from_json(text)


def test_only_a_warmed_entrys_key_gives_a_generation_and_an_entry_id() -> None:
    key = key_prefix("n", "g") + "0" * 64
    assert warmed_entry("n", key) == ("g", "0" * 64)
    for other in ("n:" + "0" * 64, "warm:n:" + "0" * 64, whole_key("n", "g", "a"), "warm:m:g:" + "0" * 64, key + "0"):
        assert warmed_entry("n", other) is None


def test_a_withdrawal_with_a_damaged_reason_still_applies() -> None:
    row = Withdrawal("e" * 64, "0" * 16, datetime(2026, 1, 1, tzinfo=UTC), "why")
    assert Withdrawal.from_json(row.field, row.to_json()) == row
    assert by_entry([Withdrawal.from_json(row.field, "{")]) == {row.entry_id: {row.response_sha}}


entries = st.sampled_from("abcde")
answers = st.sampled_from(["yes", "No.", "no", "maybe"])


@given(
    withdrawn=st.dictionaries(entries, st.sets(answers, min_size=1)),
    planned=st.dictionaries(entries, answers),
    out=st.sets(entries),
)
def test_one_settlement_leaves_a_generation_serving_exactly_what_is_planned_and_not_withdrawn(
    withdrawn: dict[str, set[str]], planned: dict[str, str], out: set[str]
) -> None:
    shas = {entry: {response_sha(one) for one in bad} for entry, bad in withdrawn.items()}
    done = settlement(shas, out, planned)
    after = (out | set(done.take_out)) - set(done.bring_back)
    for entry, answer in planned.items():
        assert (entry in after) == (response_sha(answer) in shas.get(entry, set()))
    assert not settlement(shas, after, planned)
    assert set(done.take_out).isdisjoint(done.bring_back)
    assert bool(done) == bool(done.take_out or done.bring_back) == (done != Settlement((), ()))
