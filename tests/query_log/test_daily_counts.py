"""One day: engine groups of spellings become counts of canonical queries."""

from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

import pyarrow as pa
from cachewarm_client.text import canonical, hash_user
from hypothesis import given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.exclusion_reasons import ExclusionReason
from cachewarm_pipeline.query_log.daily_counts import count_day
from cachewarm_pipeline.query_log.sources.log_table import QUERIES, RESPONSE_USERS, RESPONSES, USERS
from cachewarm_pipeline.storage.schemas import DAILY_QUERY_COUNTS, MAX_RESPONSES, MAX_USERS, conform
from tests.support.source_data import NOON

Row = dict[str, Any]
ZERO = {"cache_hits": 0, "answered": 0, "cost_usd": 0.0, "costed": 0, "latency_ms": 0.0, "timed": 0, "tokens": 0}
NOBODY = {"users": [], "anonymous": 0}


def count(
    queries: list[Row], responses: list[Row] = (), users: list[Row] = (), response_users: list[Row] = ()
) -> tuple[list[Row], Counter[ExclusionReason]]:  # type: ignore[assignment]
    """daily_query_counts of groups; defaults: agent type "a", a count of 1."""
    table, excluded = count_day(
        pa.Table.from_pylist([{"agent_type": "a", "count": 1, **ZERO, **row} for row in queries], QUERIES),
        pa.Table.from_pylist(
            [
                {"agent_type": "a", "count": 1, "last_at": NOON, "negative": 0, "anonymous": 0, **row}
                for row in responses
            ],
            RESPONSES,
        ),
        pa.Table.from_pylist([{"agent_type": "a", **row} for row in users], USERS),
        pa.Table.from_pylist([{"agent_type": "a", **row} for row in response_users], RESPONSE_USERS),
    )
    assert conform("daily_query_counts", table).schema == DAILY_QUERY_COUNTS
    return table.to_pylist(), excluded


def test_an_empty_day_has_no_rows() -> None:
    assert count([]) == ([], {})


def test_spellings_merge_and_their_numbers_add_up() -> None:
    numbers = {"cache_hits": 1, "answered": 2, "costed": 1, "latency_ms": 5.0, "timed": 2, "tokens": 7}
    rows, _ = count(
        [
            {"query": "Hello?", "count": 3, "cost_usd": 0.5, **numbers},
            {"query": "hello", "count": 4, "cost_usd": 0.25, **numbers},
            {"query": "hello", "agent_type": "b", "count": 1},
        ]
    )
    assert [(r["agent_type"], r["canonical"], r["prompt"], r["prompt_count"], r["count"]) for r in rows] == [
        ("a", "hello", "hello", 4, 7),
        ("b", "hello", "hello", 1, 1),
    ]
    assert [rows[0][name] for name in ("cost_usd", "cache_hits", "answered", "costed", "latency_ms", "tokens")] == [
        0.75,
        2,
        4,
        2,
        10.0,
        14,
    ]


def test_the_first_of_equally_frequent_spellings_by_code_point_is_the_prompt() -> None:
    assert count([{"query": "hello"}, {"query": "Hello"}, {"query": "HELLO", "count": 1}])[0][0]["prompt"] == "HELLO"


def test_queries_without_canonical_form_are_excluded_and_their_rows_counted() -> None:
    rows, excluded = count(
        [{"query": " ?!", "count": 3}, {"query": "", "count": 2}, {"query": "\u200b"}, {"query": "ok"}],
        [{"query": "?!", "response": "r"}, {"query": " ?!", "response": "r"}],
        [{"query": "", "user_id": "u"}],
    )
    assert excluded == {ExclusionReason.EMPTY_PROMPT: 6}
    assert [(r["canonical"], r["responses"], r["users"]) for r in rows] == [("ok", [], [])]


def test_the_same_response_to_two_spellings_is_one_response() -> None:
    rows, _ = count(
        [{"query": "Hello?"}, {"query": "hello"}],
        [
            {"query": "Hello?", "response": "Hi", "count": 2, "negative": 1},
            {"query": "hello", "response": "Hi", "count": 3, "last_at": NOON + timedelta(hours=1)},
            {"query": "hello", "response": "Ho", "count": 4},
        ],
    )
    assert rows[0]["responses"] == [
        {"response": "Hi", "count": 5, "last_at": NOON + timedelta(hours=1), "negative": 1, "model": None} | NOBODY,
        {"response": "Ho", "count": 4, "last_at": NOON, "negative": 0, "model": None} | NOBODY,
    ]


def test_a_response_keeps_the_users_who_got_it_in_any_spelling_and_the_rows_without_an_id() -> None:
    got = [("Hello?", "Hi", "u1"), ("hello", "Hi", "u1"), ("hello", "Hi", "u2"), ("hello", "Ho", "u3")]
    rows, _ = count(
        [{"query": "Hello?"}, {"query": "hello"}],
        [
            {"query": "Hello?", "response": "Hi", "count": 3, "anonymous": 2},
            {"query": "hello", "response": "Hi", "count": 3, "anonymous": 1},
            {"query": "hello", "response": "Ho", "count": 1},
            {"query": "hello", "response": "{}", "count": 1},
        ],
        response_users=[
            *({"query": query, "response": text, "user_id": user} for query, text, user in got),
            {"query": "hello", "response": "not among the best", "user_id": "u9"},
            *({"query": "hello", "response": "{}", "user_id": f"u{n}"} for n in range(20)),
        ],
    )
    assert [(r["response"], r["users"], r["anonymous"]) for r in rows[0]["responses"]] == [
        ("Hi", sorted([hash_user("u1"), hash_user("u2")]), 3),
        ("Ho", [hash_user("u3")], 0),
    ]


def test_the_users_of_a_response_are_those_with_the_smallest_hashes() -> None:
    users = [f"u{n}" for n in range(100)]
    rows, _ = count(
        [{"query": "q"}],
        [{"query": "q", "response": "r", "count": 100}],
        response_users=[{"query": "q", "response": "r", "user_id": user} for user in users],
    )
    assert rows[0]["responses"][0]["users"] == sorted(map(hash_user, users))[:MAX_USERS]


def test_a_response_to_two_spellings_has_the_model_of_its_newest_row_even_if_unknown() -> None:
    later = {"last_at": NOON + timedelta(hours=1)}
    rows, _ = count(
        [{"query": "Hello?"}, {"query": "hello"}],
        [
            {"query": "Hello?", "response": "Hi", "model": "old"},
            {"query": "hello", "response": "Hi", "model": "new", **later},
            {"query": "Hello?", "response": "Ho", "model": "known"},
            {"query": "hello", "response": "Ho", "model": None, **later},
            {"query": "Hello?", "response": "Hum", "model": None},
            {"query": "hello", "response": "Hum", "model": "known"},
        ],
    )
    assert {r["response"]: r["model"] for r in rows[0]["responses"]} == {"Hi": "new", "Ho": None, "Hum": "known"}


def test_rows_that_arrive_between_two_statements_are_ignored() -> None:
    rows, _ = count(
        [{"query": "b"}],
        [{"query": "a", "response": "x"}, {"query": "b", "agent_type": "z", "response": "y"}],
        [{"query": "c", "user_id": "u"}],
    )
    assert [(r["responses"], r["users"]) for r in rows] == [([], [])]


def test_no_raw_user_id_is_stored() -> None:
    rows, _ = count([{"query": "q"}], users=[{"query": "q", "user_id": "alice@example.org"}])
    assert rows[0]["users"] == [hash_user("alice@example.org")]
    assert len(rows[0]["users"][0]) == 16
    assert "alice" not in str(rows)


@settings(max_examples=60, deadline=None)
@given(
    days=st.lists(
        st.dictionaries(st.sampled_from(["q", "Q", "q?", " q"]), st.sets(st.integers(0, 40), max_size=30), min_size=1),
        min_size=1,
        max_size=4,
    )
)
def test_bounded_sets_of_users_answer_at_least_k_exactly_over_spellings_and_days(
    days: list[dict[str, set[int]]],
) -> None:
    true_users: set[int] = set()
    kept: set[str] = set()
    for spellings in days:
        users = [
            {"query": spelling, "user_id": f"u{user}"}
            for spelling, ids in spellings.items()
            for user in sorted(ids)[:MAX_USERS]  # the engine gives any MAX_USERS of a spelling
        ]
        (row,), _ = count([{"query": spelling} for spelling in spellings], users=users)
        assert row["users"] == sorted(set(row["users"]))
        assert len(row["users"]) <= MAX_USERS
        kept |= set(row["users"])
        true_users |= {user for ids in spellings.values() for user in ids}
    assert min(len(kept), MAX_USERS) == min(len(true_users), MAX_USERS)


def test_responses_that_are_no_answer_are_no_evidence_but_stay_demand() -> None:
    blank = ["\u00a0", "\u3000 ", "\x85", "null", "{}", "[ ]", '" "']
    broken = ['{"summary": "trunc', '["a", ', '{"a": NaN}']
    fine = ["[1] see the note", "no", '"yes" is the answer', '{"a": 1}']
    texts = [*blank, *broken, *fine]
    rows, excluded = count(
        [{"query": "q", "count": 30, "answered": 28}],
        [{"query": "q", "response": text, "count": 2} for text in texts],
    )
    assert excluded == {
        ExclusionReason.EMPTY_RESPONSE: 2 * len(blank),
        ExclusionReason.UNPARSABLE_OUTPUT: 2 * len(broken),
    }
    assert {response["response"] for response in rows[0]["responses"]} == set(fine)
    assert (rows[0]["count"], rows[0]["answered"]) == (30, 2 * len(fine))


GROUP = st.tuples(st.sampled_from("ab"), st.text("xX .?é\u00c9", max_size=3))
ANSWER = st.tuples(GROUP, st.sampled_from(["r1", "r2", "r3", "r4", "r5", "r6", "r7"]))
FACTS = st.tuples(st.integers(1, 5), st.integers(0, 3), st.integers(0, 2))


@settings(max_examples=60, deadline=None)
@given(
    queries=st.dictionaries(GROUP, st.integers(1, 9), max_size=25),
    responses=st.dictionaries(ANSWER, FACTS, max_size=40),
)
def test_merged_counts_are_those_of_a_plain_loop(
    queries: dict[tuple[str, str], int], responses: dict[tuple[tuple[str, str], str], tuple[int, int, int]]
) -> None:
    rows, excluded = count(
        [{"agent_type": agent, "query": query, "count": number} for (agent, query), number in queries.items()],
        [
            {
                "agent_type": agent,
                "query": query,
                "response": response,
                "count": number,
                "last_at": NOON + timedelta(hours=hour),
                "negative": negative,
            }
            for ((agent, query), response), (number, hour, negative) in responses.items()
        ],
    )
    counts: Counter[tuple[str, str]] = Counter()
    for (agent, query), number in queries.items():
        counts[agent, canonical(query)] += number
    empty = sum(counts.pop((agent, ""), 0) for agent in "ab")
    assert excluded.total() == empty
    assert {(r["agent_type"], r["canonical"]): r["count"] for r in rows} == counts
    assert [(r["agent_type"], r["canonical"]) for r in rows] == sorted(counts)
    spellings = {query for _, query in queries}
    merged: dict[tuple[str, str], dict[str, list[tuple[int, int, int]]]] = defaultdict(lambda: defaultdict(list))
    for ((agent, query), response), facts in responses.items():
        # A spelling that the agent lacks and another agent has still belongs to its canonical query.
        if query in spellings and (agent, canonical(query)) in counts:
            merged[agent, canonical(query)][response].append(facts)
    for row in rows:
        expected = [
            (
                -sum(number for number, _, _ in facts),
                -max(hour for _, hour, _ in facts),
                response,
                sum(negative for _, _, negative in facts),
            )
            for response, facts in merged[row["agent_type"], row["canonical"]].items()
        ]
        found = [
            (-r["count"], -int((r["last_at"] - NOON).total_seconds() // 3600), r["response"], r["negative"])
            for r in row["responses"]
        ]
        assert found == sorted(expected)[:MAX_RESPONSES]
