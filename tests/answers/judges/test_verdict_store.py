"""Stored verdicts: content-addressed, immutable, whole, safe for several processes; a no wins over a yes."""

import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.answers.judges.verdict_store import VerdictStore
from cachewarm_pipeline.errors import DatasetError
from cachewarm_pipeline.ports import AnswerPair
from cachewarm_pipeline.storage import parquet_segments as segments_module
from tests.support.segment_files import segments

MODEL = "gpt-4.1-mini@0123abcd"


@pytest.fixture
def reopened(store_uri: str) -> Callable[[], VerdictStore]:
    """Opens the store again, as another process would see it."""
    return lambda: VerdictStore(store_uri, MODEL)


def test_an_empty_store_knows_nothing(reopened: Callable[[], VerdictStore]) -> None:
    store = reopened()
    assert store.get("a") is None
    store.put({})
    assert reopened().get("a") is None


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.dictionaries(st.text(max_size=5), st.booleans(), max_size=6), max_size=8),
    most=st.integers(1, 4),
)
def test_every_stored_verdict_is_found_after_any_merge_and_a_no_wins(
    tmp_path: Path, batches: list[dict[str, bool]], most: int
) -> None:
    base = str(tmp_path / uuid.uuid4().hex)
    wanted: dict[str, bool] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments_module, "MAX_SEGMENTS", most)
        for batch in batches:
            VerdictStore(base, MODEL).put(batch)
            for key, equivalent in batch.items():
                wanted[key] = wanted.get(key, True) and equivalent
        store = VerdictStore(base, MODEL)
        assert {key: store.get(key) for key in wanted} == wanted
        assert store.get("a key too long to be drawn") is None
        assert len(segments(Path(base))) <= most + 1


def test_a_key_depends_on_the_question_the_unordered_canonical_answers_and_the_model(tmp_path: Path) -> None:
    store, other = VerdictStore(str(tmp_path), MODEL), VerdictStore(str(tmp_path), "another")
    pair = AnswerPair("Which one?", '{"a": 1, "b": 2}', "Do it.")
    assert store.key(pair) == store.key(AnswerPair("which  one", "do it", '{"b":2,"a":1}'))
    assert store.key(pair) == store.key(pair._replace(model="gpt-4o"))
    different = [("q", "a", "b"), ("q", "a", "c"), ("q", "ab", ""), ("r", "a", "b"), ("a", "q", "b")]
    keys = [store.key(AnswerPair(*texts)) for texts in different]
    keys += [other.key(AnswerPair("q", "a", "b")), store.key(AnswerPair("q", "a", "b"), swapped=True)]
    assert len({*keys}) == len(keys)


@settings(max_examples=50)
@given(st.tuples(st.text(), st.text(), st.text()))
def test_the_order_of_the_answers_changes_no_key(texts: tuple[str, str, str]) -> None:
    store = VerdictStore("memory://unused", MODEL)
    pair = AnswerPair(*texts)
    back = AnswerPair(pair.question, pair.right, pair.left)
    assert store.key(pair) == store.key(back)
    assert store.key(pair, swapped=True) == store.key(back, swapped=True) != store.key(pair)


def test_verdicts_of_another_model_or_question_do_not_count(tmp_path: Path) -> None:
    VerdictStore(str(tmp_path), MODEL).put({"k": True})
    assert VerdictStore(str(tmp_path), "gpt-4.1-mini@another1").get("k") is None


def test_many_segments_become_one_and_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments_module, "MAX_SEGMENTS", 10)
    store = VerdictStore(str(tmp_path), MODEL)
    for number in range(25):
        store.put({f"k{number}": number % 2 == 0})
        assert len(segments(tmp_path)) <= 11
    again = VerdictStore(str(tmp_path), MODEL)
    assert [again.get(f"k{number}") for number in range(25)] == [number % 2 == 0 for number in range(25)]


def test_concurrent_writers_and_merges_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments_module, "MAX_SEGMENTS", 3)
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            store = VerdictStore(str(tmp_path), MODEL)
            for number in range(30):
                store.put({f"{name}{number}": True})
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    store = VerdictStore(str(tmp_path), MODEL)
    assert all(store.get(f"{name}{number}") for name in "abc" for number in range(30))


def test_a_killed_writer_leaves_whole_segments_only(tmp_path: Path) -> None:
    script = (
        "import sys, itertools\n"
        "from cachewarm_pipeline.answers.judges.verdict_store import VerdictStore\n"
        f"store = VerdictStore(sys.argv[1], {MODEL!r})\n"
        "for number in itertools.count():\n"
        "    store.put({f'k{number}': True})\n"
        "    print(number, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        last = 0
        while last < segments_module.MAX_SEGMENTS + 5:  # a merge has happened too
            last = int(writer.stdout.readline())
        writer.kill()
    store = VerdictStore(str(tmp_path), MODEL)
    assert all(store.get(f"k{number}") for number in range(last + 1))


@pytest.mark.parametrize("damage", [b"", b"PAR1 not a segment", None], ids=["empty", "nonsense", "flipped"])
def test_a_damaged_segment_is_named_in_the_error_with_the_remedy(tmp_path: Path, damage: bytes | None) -> None:
    VerdictStore(str(tmp_path), MODEL).put({f"key{number}": True for number in range(100)})
    [segment] = segments(tmp_path)
    data = bytearray(segment.read_bytes())
    data[200] ^= 0xFF
    segment.write_bytes(bytes(data) if damage is None else damage)
    with pytest.raises(DatasetError, match=r"damaged or unreadable.*delete it: its pairs are asked again") as caught:
        VerdictStore(str(tmp_path), MODEL).get("key1")
    assert segment.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DatasetError, match="verdicts"):
        VerdictStore(str(tmp_path / "taken"), MODEL).put({"k": True})
