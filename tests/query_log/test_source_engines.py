"""A day of the log is the same from every form of source."""

import random
from collections import Counter
from datetime import timedelta, timezone
from typing import Any

from cachewarm_client.text import canonical, hash_user

from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.storage.schemas import MAX_RESPONSES, MAX_USERS
from tests.support.source_data import DAY, NOON, at, golden_data, log_row, mined
from tests.support.source_forms import Open, log

pytest_plugins = ["tests.support.source_forms"]


def test_spellings_of_one_query_are_counted_together_and_the_most_frequent_is_kept(opened: Open) -> None:
    spellings = ["how do  I\nlog in", "How do I log in?", "How do I log in?", "HOW DO I LOG IN?!", "  how do i log in "]
    rows, excluded = mined(opened(log(*(log_row(text) for text in spellings), log_row("Something else"))))
    assert [(r["canonical"], r["prompt"], r["prompt_count"], r["count"]) for r in rows] == [
        ("how do i log in", "How do I log in?", 2, 5),
        ("something else", "Something else", 1, 1),
    ]
    assert not excluded


def test_rows_served_by_the_cache_are_demand_but_never_evidence(opened: Open) -> None:
    rows, _ = mined(
        opened(
            log(
                log_row(response="from the model", cost_usd=0.5, latency_ms=80.0),
                log_row(response="from the cache", cache_hit=True, cost_usd=9.0, latency_ms=9.0, prompt_tokens=999),
                log_row(response="from the cache", cache_hit=True, user_id="u2"),
            )
        )
    )
    (row,) = rows
    assert (row["count"], row["cache_hits"], row["answered"]) == (3, 2, 1)
    assert [r["response"] for r in row["responses"]] == ["from the model"]
    assert (row["cost_usd"], row["costed"], row["latency_ms"], row["timed"], row["tokens"]) == (0.5, 1, 80.0, 1, 15)
    assert row["users"] == sorted([hash_user("u1"), hash_user("u2")])


def test_a_response_has_the_model_of_its_newest_uncached_row(opened: Open) -> None:
    (row,), _ = mined(
        opened(
            log(
                *(log_row(response="kept", model="old", created_at=at(hour)) for hour in (1, 2, 3)),
                log_row(response="kept", model="new", created_at=at(5)),
                log_row(response="kept", model="cached", created_at=at(6), cache_hit=True),
                log_row(response="two at once", model="b", created_at=at(4)),
                log_row(response="two at once", model="a", created_at=at(4)),
                log_row(response="unknown", model=None, created_at=at(4)),
                log_row(response="unknown", model="gpt", created_at=at(3)),
                log_row(response="no name", model=" ", created_at=at(4)),
                log_row(response="a text", model="m" * 201, created_at=at(4)),
            )
        )
    )
    assert {r["response"]: (r["count"], r["model"]) for r in row["responses"]} == {
        "kept": (4, "new"),
        "two at once": (2, "a"),
        "unknown": (2, None),
        "no name": (1, None),
        "a text": (1, None),
    }


def test_rejected_answers_are_the_days_served_rows_with_negative_feedback(opened: Open) -> None:
    bad = {"cache_hit": True, "feedback": -1, "response": "wrong"}
    source = opened(
        log(
            log_row(**bad, user_id="u1", created_at=at(1)),
            log_row(**bad, user_id="u1", created_at=at(3)),
            log_row(**bad, user_id="u2", created_at=at(2), agent_type=" support\t"),
            log_row(**bad, user_id=None, created_at=at(2)),
            log_row(**bad | {"response": "another"}, user_id=""),
            log_row(**bad | {"cache_hit": False}),
            log_row(**bad | {"feedback": 1}),
            log_row(**bad | {"feedback": None}),
            log_row(**bad | {"response": None}),
            log_row(**bad | {"response": " \n"}),
            log_row(**bad, created_at=at(-1)),
            log_row(**bad, created_at=at(24)),
        )
    )
    rows = source.rejected(DAY).to_pylist()
    assert [(r["agent_type"], r["query"], r["response"], r["reports"], r["last_at"]) for r in rows] == [
        ("support", "How do I log in?", "another", 1, NOON),
        ("support", "How do I log in?", "wrong", 4, at(3)),
    ]
    assert [r["users"] for r in rows] == [[], sorted([hash_user("u1"), hash_user("u2")])]
    assert [r["response"] for r in source.rejected(DAY - timedelta(1)).to_pylist()] == ["wrong"]


def test_rejected_answers_stay_within_the_day_and_the_bound_of_users(opened: Open) -> None:
    bad = {"cache_hit": True, "feedback": -1, "response": "wrong"}
    rows = [log_row(**bad, user_id=f"user {n}") for n in range(MAX_USERS + 3)]
    dirty: list[dict[str, Any]] = [
        {"query": None},
        {"query": "x" * 2001},
        {"agent_type": None},
        {"agent_type": " "},
        {"agent_type": "a" * 201},
        {"agent_type": "bell\x07"},
        {"response": "y" * 101},
        {"response": "é" * 60},
    ]
    source = opened(log(*rows, *(log_row() | bad | change for change in dirty)), max_response_bytes=100)
    (row,) = source.rejected(DAY).to_pylist()
    assert (row["reports"], len(row["users"])) == (MAX_USERS + 3, MAX_USERS)
    assert not any("user" in user for user in row["users"])


def test_without_feedback_cache_hits_or_a_log_nothing_is_rejected(opened: Open) -> None:
    bad = log_row(cache_hit=True, feedback=-1)
    for missing in ("feedback", "cache_hit"):
        rows = [{name: value for name, value in bad.items() if name != missing}]
        assert opened({"llm_query_logs": rows}).rejected(DAY).num_rows == 0
    assert opened(golden_data({})).rejected(DAY).num_rows == 0


def test_a_day_is_a_utc_day_to_the_microsecond(opened: Open) -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    source = opened(
        log(
            log_row("first", created_at=at(0)),
            log_row("last", created_at=at(24) - timedelta(microseconds=1)),
            log_row("east", created_at=at(1).astimezone(east)),
            log_row("before", created_at=at(0) - timedelta(microseconds=1)),
            log_row("after", created_at=at(24)),
        )
    )
    assert [r["canonical"] for r in mined(source)[0]] == ["east", "first", "last"]
    assert [r["canonical"] for r in mined(source, DAY - timedelta(1))[0]] == ["before"]
    assert [r["canonical"] for r in mined(source, DAY + timedelta(1))[0]] == ["after"]
    assert mined(source, DAY + timedelta(2))[0] == []
    (last,) = [r for r in mined(source)[0] if r["canonical"] == "last"]
    assert last["responses"][0]["last_at"] == at(24) - timedelta(microseconds=1)


def test_the_best_supported_responses_are_kept_and_the_others_still_count_as_answered(opened: Open) -> None:
    rows = [
        log_row(response=f"answer {n}", created_at=at(n + again / 100))
        for n in range(MAX_RESPONSES + 2)
        for again in range(2 if n == 0 else 1)
    ]
    rows.append(log_row(response="answer 3", created_at=at(23), feedback=-1))
    (row,), _ = mined(opened(log(*rows)))
    assert [(r["response"], r["count"], r["negative"]) for r in row["responses"]] == [
        ("answer 3", 2, 1),
        ("answer 0", 2, 0),
        ("answer 6", 1, 0),
        ("answer 5", 1, 0),
        ("answer 4", 1, 0),
    ]
    assert row["answered"] == len(rows)


def test_users_are_hashed_and_bounded_and_blank_ones_are_unknown(opened: Open) -> None:
    crowd = [log_row("crowded", user_id=f"user {n}") for n in range(MAX_USERS + 5)]
    rows, _ = mined(
        opened(log(*crowd, log_row("alone", user_id="u1"), log_row("alone"), log_row("nobody", user_id=None)))
    )
    users = {r["canonical"]: r["users"] for r in rows}
    assert users["alone"] == [hash_user("u1")]
    assert users["nobody"] == []
    assert len(users["crowded"]) == MAX_USERS == len(set(users["crowded"]))
    assert users["crowded"] == sorted(users["crowded"])
    assert not any("user" in user for user in users["crowded"])


def test_each_response_has_the_users_with_the_smallest_hashes_and_its_rows_without_an_id(opened: Open) -> None:
    crowd = [f"Büro {n} \\x41" for n in range(MAX_USERS + 9)]
    rows = [log_row(response="popular", user_id=user, created_at=at(n % 24)) for n, user in enumerate(crowd * 2)]
    rows += [log_row(response="rare", user_id=user) for user in ("u1", None, "", None)]
    rows += [log_row("Other?", response="popular", user_id="u2")]
    other, own = sorted(mined(opened(log(*rows)))[0], key=lambda row: row["count"])
    assert [(r["response"], r["count"], r["users"], r["anonymous"]) for r in own["responses"]] == [
        ("popular", 2 * len(crowd), sorted(map(hash_user, crowd))[:MAX_USERS], 0),
        ("rare", 4, [hash_user("u1")], 3),
    ]
    assert [(r["users"], r["anonymous"]) for r in other["responses"]] == [([hash_user("u2")], 0)]


def test_each_dirty_row_is_excluded_for_its_reason(opened: Open) -> None:
    rows, excluded = mined(
        opened(
            log(
                log_row("good"),
                log_row(None),
                log_row("   \t "),
                log_row("?!"),
                log_row("\u200b\u00a0"),
                log_row("x" * 2000),
                log_row("x" * 2001),
                log_row("x" * 50_000),
                log_row(agent_type=None),
                log_row(agent_type=" \n"),
                log_row(agent_type="a" * 201),
                log_row(agent_type="bell\x07"),
                log_row("large", response="y" * 101),
                log_row("large in bytes", response="é" * 60),
            ),
            max_response_bytes=100,
        )
    )
    assert excluded == {
        ExclusionReason.EMPTY_PROMPT: 4,
        ExclusionReason.PROMPT_TOO_LONG: 2,
        ExclusionReason.EMPTY_AGENT_TYPE: 2,
        ExclusionReason.BAD_AGENT_TYPE: 2,
        ExclusionReason.RESPONSE_TOO_LARGE: 2,
    }
    assert [r["canonical"] for r in rows] == ["good", "large", "large in bytes", "x" * 2000]
    # A response that is too large cannot be warmed, but it is an answer that differs from the others.
    assert [(r["answered"], len(r["responses"])) for r in rows[:3]] == [(1, 1), (1, 0), (1, 0)]


def test_unknown_numbers_are_neutral(opened: Open) -> None:
    nothing = {"cost_usd": None, "latency_ms": None, "prompt_tokens": None, "completion_tokens": None}
    (row,), _ = mined(
        opened(
            log(
                log_row(cost_usd=0.25, latency_ms=10.5),
                log_row(cost_usd=-1.0, latency_ms=-5.0, prompt_tokens=-3, completion_tokens=2),
                log_row(cost_usd=float("nan"), latency_ms=float("inf")),
                log_row(**nothing),
                log_row(response=None),
                log_row(response=" \n"),
            )
        )
    )
    assert (row["cost_usd"], row["costed"]) == (0.75, 3)
    assert (row["latency_ms"], row["timed"]) == (210.5, 3)
    assert row["tokens"] == 15 + 2 + 15 + 15 + 15
    assert (row["count"], row["answered"]) == (6, 4)


def test_agent_types_may_have_odd_names(opened: Open) -> None:
    names = sorted(
        ["a,b", "{tenant}", "two words", "it's", '"quoted"', "Ünïcode", "a|b", "-", "%s", "\\", "$1", "NULL"]
    )
    rows, excluded = mined(opened(log(*(log_row(agent_type=text) for name in names for text in (f" {name}\t", name)))))
    assert [(row["agent_type"], row["count"]) for row in rows] == [(name, 2) for name in names]
    assert not excluded


def test_two_reads_of_a_day_give_the_same_tables(opened: Open) -> None:
    draw = random.Random(3)
    rows = [
        log_row(
            f"question {draw.randrange(9)}",
            response=f"r{draw.randrange(9)}",
            user_id=f"u{draw.randrange(99)}",
            cost_usd=draw.random(),
            latency_ms=draw.random() * 999,
        )
        for _ in range(300)
    ]
    source = opened(log(*rows))
    once, again = source.day_groups(DAY), source.day_groups(DAY)
    assert once == again
    draw.shuffle(rows)
    assert mined(opened(log(*rows))) == mined(source)


def test_counts_are_those_of_a_plain_loop_over_the_rows_for_any_text(opened: Open) -> None:
    draw = random.Random(11)
    # Postgres has no NUL, and no form has lone surrogates. Hard are characters whose case or space rules differ.
    common = [chr(c) for c in range(1, 0x3000) if not 0xD800 <= c < 0xE000]
    hard = [*"aAbBiI?!' \t\n\r\v\f,\"\\\u0085\u00a0\u200b\u2028\ufeff\U0001f600"]
    hard += [*"\u0130\u0131\u0307\u0345\u1e9e\u00df\u017f\u212a\u03a3\u03c2\u13a0\uab70"]
    texts = ["".join(draw.choices(draw.choice((hard, common)), k=draw.randrange(1, 5))) for _ in range(1500)]
    rows, excluded = mined(opened(log(*(log_row(text) for text in texts))))
    expected = Counter(canonical(text) for text in texts)
    assert excluded == {ExclusionReason.EMPTY_PROMPT: expected.pop("")}
    assert {row["canonical"]: row["count"] for row in rows} == expected
    assert [row["canonical"] for row in rows] == sorted(expected)
    assert all(row["prompt"] in texts and canonical(row["prompt"]) == row["canonical"] for row in rows)
    assert max(expected.values()) > 20
