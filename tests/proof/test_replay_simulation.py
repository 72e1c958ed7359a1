"""Replay: the counts equal those of a cache that gets one lookup at a time, for any block size and at bounded cost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.numerics.nearest_neighbours import BLOCK
from cachewarm_pipeline.proof import replay_simulation as replay
from cachewarm_pipeline.proof.replay_simulation import (
    COUNTS,
    JudgedLookups,
    ReplayTraffic,
    ServedLookups,
    plain_distance,
    shown_response,
    simulate_lookups,
)

DAYS = 4


@st.composite
def cases(draw: st.DrawFn) -> tuple[ReplayTraffic, ServedLookups, JudgedLookups, np.ndarray]:
    """Traffic, what serves it, what is judged, and which query's stored answer answers which (q, q), not symmetric."""
    q = draw(st.integers(1, 9))
    rows = draw(st.lists(st.tuples(st.integers(0, DAYS - 1), st.integers(0, q - 1)), unique=True, max_size=20))
    rows.sort(key=lambda row: row[0])
    lookups = [draw(st.integers(1, 4)) for _ in rows]
    exact = [draw(st.integers(-1, 2)) for _ in range(q)]
    semantic = [-1 if place >= 0 else draw(st.integers(-1, 2)) for place in exact]
    distance = [draw(st.booleans()) for _ in range(q)]
    answers = [
        draw(st.integers(0, n)) if max(exact[query], semantic[query]) >= 0 else 0
        for (_, query), n in zip(rows, lookups, strict=True)
    ]
    wrong = [draw(st.integers(0, n)) for n in answers]
    own = np.array(draw(st.lists(st.booleans(), min_size=q * q, max_size=q * q))).reshape(q, q)
    return (
        ReplayTraffic(ints([day for day, _ in rows]), ints([query for _, query in rows]), ints(lookups)),
        ServedLookups(ints(exact), ints(semantic), np.array(distance, bool)),
        JudgedLookups(ints(answers), ints(wrong)),
        own,
    )


def ints(values: list[int]) -> np.ndarray:
    return np.array(values, np.int64)


def one_by_one(
    traffic: ReplayTraffic, served: ServedLookups, own: np.ndarray | None, warmed: bool
) -> list[dict[str, int]]:
    """A cache that is asked each lookup in turn and keeps a set of what it stored."""
    stored: set[int] = set()
    days = [dict.fromkeys(("exact", "semantic", "own", "distance"), 0) for _ in range(DAYS)]
    for day, query, lookups in zip(*(a.tolist() for a in (traffic.day, traffic.query, traffic.lookups)), strict=True):
        for _ in range(lookups):
            if warmed and (served.exact[query] >= 0 or served.distance[query]):
                days[day]["distance"] += 1
            if warmed and served.exact[query] >= 0:
                days[day]["exact"] += 1
            elif warmed and served.semantic[query] >= 0:
                days[day]["semantic"] += 1
            elif query in stored or (own is not None and any(own[query, other] for other in stored)):
                days[day]["own"] += 1
            else:
                stored.add(query)
    return days


@given(cases(), st.booleans(), st.integers(1, 5))
def test_the_counts_equal_those_of_a_cache_that_gets_one_lookup_at_a_time(
    case: tuple[ReplayTraffic, ServedLookups, JudgedLookups, np.ndarray], with_own: bool, block: int
) -> None:
    traffic, served, judged, own = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "block_rows", lambda columns: block)  # blocks of any size give the same
        table = simulate_lookups(traffic, served, judged, DAYS, (lambda a, b: own[np.ix_(a, b)]) if with_own else None)
    warmed = one_by_one(traffic, served, own if with_own else None, warmed=True)
    cold = one_by_one(traffic, served, own if with_own else None, warmed=False)
    assert table.schema == COUNTS
    rows = table.to_pylist()
    assert len(rows) == DAYS
    for day, row in enumerate(rows):
        assert row["lookups"] == sum(traffic.lookups[traffic.day == day].tolist())
        assert row["cold_hits"] == cold[day]["own"]
        assert row["exact_hits"] == warmed[day]["exact"]
        assert row["semantic_hits"] == warmed[day]["semantic"]
        assert row["own_hits"] == warmed[day]["own"]
        assert row["distance_hits"] == warmed[day]["distance"]
        assert row["warmed_hits"] == row["exact_hits"] + row["semantic_hits"] + row["own_hits"] <= row["lookups"]
        assert row["cold_hits"] <= row["lookups"]
        assert with_own or row["warmed_hits"] >= row["cold_hits"]
        assert row["exact_judged"] + row["semantic_judged"] == judged.answers[traffic.day == day].sum()
        assert row["exact_wrong"] + row["semantic_wrong"] == judged.wrong[traffic.day == day].sum()
        assert row["exact_judged"] <= row["exact_hits"]
        assert row["semantic_judged"] <= row["semantic_hits"]


@given(cases(), st.booleans())
def test_without_entries_the_warmed_cache_is_the_cold_one(
    case: tuple[ReplayTraffic, ServedLookups, JudgedLookups, np.ndarray], with_own: bool
) -> None:
    traffic, served, judged, own = case
    nothing = ServedLookups(*(np.full_like(served.exact, -1),) * 2, np.zeros(len(own), bool))
    none_judged = JudgedLookups(*(np.zeros_like(judged.wrong),) * 2)
    table = simulate_lookups(
        traffic, nothing, none_judged, DAYS, (lambda a, b: own[np.ix_(a, b)]) if with_own else None
    )
    assert table["warmed_hits"] == table["cold_hits"] == table["own_hits"]
    assert not any(table["exact_hits"].to_pylist() + table["distance_hits"].to_pylist())


def test_an_example_by_hand() -> None:
    # Query 0 has an entry of its own, 1 is near an entry, 2 and 3 are strangers, and 3 is a wording of 2.
    traffic = ReplayTraffic(ints([0, 0, 0, 2, 2, 2]), ints([0, 1, 2, 0, 2, 3]), ints([10, 4, 3, 5, 2, 1]))
    served = ServedLookups(ints([7, -1, -1, -1]), ints([-1, 3, -1, -1]), np.array([True, False, True, False]))
    judged = JudgedLookups(ints([6, 4, 0, 5, 0, 0]), ints([1, 2, 0, 0, 0, 0]))
    table = simulate_lookups(traffic, served, judged, 3).to_pydict()
    assert table == {
        "lookups": [17, 0, 8],
        "cold_hits": [9 + 3 + 2, 0, 5 + 2],
        "warmed_hits": [10 + 4 + 2, 0, 5 + 2],
        "exact_hits": [10, 0, 5],
        "semantic_hits": [4, 0, 0],
        "own_hits": [2, 0, 2],
        "distance_hits": [10 + 3, 0, 5 + 2],
        "exact_judged": [6, 0, 5],
        "exact_wrong": [1, 0, 0],
        "semantic_judged": [4, 0, 0],
        "semantic_wrong": [2, 0, 0],
    }
    wording = np.zeros((4, 4), bool)
    wording[3, 2] = True
    table = simulate_lookups(traffic, served, judged, 3, lambda a, b: wording[np.ix_(a, b)]).to_pydict()
    assert table["cold_hits"] == [14, 0, 8]
    assert table["own_hits"] == [2, 0, 3]


def test_plain_distance_answers_up_to_the_threshold_and_never_if_the_words_contradict() -> None:
    angles = np.array([0.0, 0.1, 0.3])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    own = plain_distance(vectors, float(1 - np.cos(0.11)))
    everyone = np.arange(3)
    assert own(everyone, everyone).tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    assert own(np.array([1]), np.array([2, 0])).tolist() == [[False, True]]
    asked = []

    def veto(query: int, stored: int) -> bool:
        asked.append((query, stored))
        return (query, stored) == (1, 0)

    assert plain_distance(vectors, 0.01, veto)(everyone[:2], everyone).tolist() == [[1, 1, 0], [0, 1, 0]]
    assert asked == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_app_entries_cost_at_most_distinct_queries_times_stored_ones() -> None:
    q, kinds = 5_000, 40
    traffic = ReplayTraffic(np.zeros(3 * q, np.int64), np.tile(np.arange(q), 3), np.full(3 * q, 1_000))
    nothing = ServedLookups(*(np.full(q, -1),) * 2, np.zeros(q, bool))
    none_judged = JudgedLookups(*(np.zeros(3 * q, np.int64),) * 2)
    asked: list[int] = []

    def own(queries: np.ndarray, stored: np.ndarray) -> np.ndarray:
        asked.append(len(queries) * len(stored))
        return queries[:, None] % kinds == stored[None, :] % kinds

    table = simulate_lookups(traffic, nothing, none_judged, 1, own)
    assert table["cold_hits"].to_pylist() == [3 * q * 1_000 - kinds]
    assert sum(asked) <= 2 * q * (kinds + BLOCK)  # for the cold and for the warmed cache
    assert max(asked) <= BLOCK * BLOCK


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lookups": ints([1])}, "lookups has shape"),
        ({"day": ints([1, 0])}, "not ordered"),
        ({"day": ints([0, 9])}, "not within 0..3"),
        ({"query": ints([0, 2])}, "query is not within 0..1"),
        ({"lookups": ints([1, 0])}, "row 1 of traffic has no lookups"),
        ({"answers": ints([4, 0])}, "row 0: not 0 <= wrong"),
        ({"answers": ints([1, 1])}, "no warmed entry serves"),
        ({"distance": np.ones(3, bool)}, "distance has shape"),
    ],
)
def test_arrays_that_do_not_fit_are_named(change: dict[str, np.ndarray], message: str) -> None:
    given = {"day": ints([0, 1]), "query": ints([0, 1]), "lookups": ints([3, 2]), "distance": np.zeros(2, bool)}
    given |= {"answers": ints([1, 0]), "wrong": ints([0, 0])} | change
    with pytest.raises(ValueError, match=message):
        simulate_lookups(
            ReplayTraffic(given["day"], given["query"], given["lookups"]),
            ServedLookups(ints([0, -1]), ints([-1, -1]), given["distance"]),
            JudgedLookups(given["answers"], given["wrong"]),
            DAYS,
        )


def test_a_long_response_is_cut() -> None:
    assert shown_response("a" * 500) == "a" * 500
    assert shown_response("a" * 501) == "a" * 499 + "…"
