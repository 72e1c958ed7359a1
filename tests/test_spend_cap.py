"""One cap over embedding, writing and judging, over real HTTP: what is reported never passes it, and what is paid is in
the ledger, also of runs that fail."""

import threading
from contextlib import suppress
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from cachewarm_pipeline.core.errors import EmbeddingError, JudgeError, SpendCapError
from cachewarm_pipeline.resources.embedders.batches import run_batches
from cachewarm_pipeline.resources.embedding import embed_missing
from cachewarm_pipeline.resources.spend import Cost, Purse, Spend
from cachewarm_pipeline.resources.usage import read_usage
from cachewarm_pipeline.resources.workspace import Workspace
from cachewarm_pipeline.settings import Settings
from tests.chat_server import KEY, saying
from tests.paid_models import PaidModels, near_pairs
from tests.pipeline import environment
from tests.writer_server import bases

DAY = date(2026, 3, 20)
TEXTS = [f"a text of some words, number {n}" for n in range(40)]


@pytest.fixture
def models(_openai_http: HTTPServer) -> PaidModels:
    return PaidModels(_openai_http)


def workspace(models: PaidModels, home: Path, **more: float | int | None) -> Workspace:
    values = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": models.url}
    with environment(values):
        own = Workspace(
            Settings(home=home, embedder="openai", judge="llm", llm="openai", variants_per_base=2, **more)  # type: ignore[arg-type]
        )
        _ = own.embedder
    own.begin("run", "test", DAY)
    return own


def paid(own: Workspace) -> float:
    return sum(read_usage(own, date.min, date.max)["usd"].to_pylist())


def spend_all(own: Workspace, models: PaidModels) -> tuple[int, int, int]:
    """Pairs judged, bases written and texts embedded, as far as the cap lets."""
    judge, writer = own.judge(lambda _: None), own.llm(lambda _: None)
    assert writer is not None
    with suppress(SpendCapError):
        judge.same(near_pairs(12))
    wrote = sum(texts is not None for texts in writer.variants(bases(6)))
    before = own.embedder.usage.texts
    with suppress(SpendCapError):
        embed_missing(own.embedder, own.vectors, TEXTS)
    return judge.usage.asked, wrote, own.embedder.usage.texts - before


def test_reported_usage_never_passes_the_cap_and_the_ledger_has_all_of_it(models: PaidModels, tmp_path: Path) -> None:
    seen = set()
    for n, cap in enumerate((0.0, 2e-5, 1.5e-3, 2.5e-3, 3.5e-3, 1.0)):
        with models.counting():
            own = workspace(models, tmp_path / str(n), max_usd=cap, embedding_concurrency=4)
            seen.add(spend_all(own, models))
            assert models.usd() <= cap
            assert paid(own) == pytest.approx(models.usd(), rel=1e-9)
            assert own.purse.spent == pytest.approx(models.usd(), abs=1e-12)
    assert (0, 0, 0) in seen
    assert (12, 6, 40) in seen
    assert len(seen) >= 4


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0, 5), st.floats(0, 1))
def test_a_purse_never_has_more_out_than_its_limit(asides: list[float], limit: float, used: float) -> None:
    purse, spend = Purse(limit), Spend(10.0, 1.0, 1.0, purse=Purse(limit))
    for aside in asides:
        if purse.take(aside):
            assert purse.spent <= limit
            purse.settle(aside, used * aside)
        if spend.take(Cost(aside, 1)):
            spend.settle(Cost(aside, 1), Cost(used * aside, 1))
    assert purse.spent <= limit + 1e-9
    assert not spend.closed or spend.by_run


def test_what_does_not_fit_waits_for_what_is_under_way_and_then_goes(tmp_path: Path) -> None:
    purse, order = Purse(1.0), []
    assert purse.take_or_wait(0.9)
    waiting = threading.Thread(target=lambda: order.append(purse.take_or_wait(0.5)))
    waiting.start()
    purse.end(0.9, 0.1)
    waiting.join(10)
    assert order == [True]
    purse.end(0.5, 0.5)
    assert not purse.take_or_wait(0.5)
    assert purse.spent == pytest.approx(0.6)


def test_without_a_cap_nothing_is_held_back() -> None:
    purse = Purse(None)
    assert purse.take(1e9)
    assert purse.take_or_wait(1e9)


def test_another_process_of_the_run_goes_on_from_what_was_paid(models: PaidModels, tmp_path: Path) -> None:
    first = workspace(models, tmp_path, max_usd=1.0)
    embed_missing(first.embedder, first.vectors, TEXTS[:20])
    again = workspace(models, tmp_path, max_usd=1.0)
    assert again.purse.spent == pytest.approx(models.usd())
    again.begin("another run", "test", DAY)
    assert again.purse.spent == 0


def test_an_answer_that_is_no_verdict_was_paid_all_the_same(models: PaidModels, tmp_path: Path) -> None:
    models.chat.reply = lambda body: saying("neither")
    own = workspace(models, tmp_path)
    with pytest.raises(JudgeError):
        own.judge(lambda _: None).same(near_pairs(1))
    rows = read_usage(own, date.min, date.max).to_pylist()
    assert {row["purpose"]: row["completion_tokens"] for row in rows} == {"embedding": 0, "judging": 16}


def test_vectors_that_cannot_be_used_were_paid_all_the_same(models: PaidModels, tmp_path: Path) -> None:
    models.embedder.change = lambda answer: {**answer, "data": answer["data"][1:]}
    own = workspace(models, tmp_path)
    with pytest.raises(EmbeddingError):
        embed_missing(own.embedder, own.vectors, TEXTS[:2])
    assert paid(own) == pytest.approx(models.usd())


def test_batches_that_were_under_way_when_one_failed_are_kept() -> None:
    begun, kept = threading.Barrier(2), []

    def work(batch: list[int]) -> np.ndarray:
        begun.wait(10)
        if batch == [0]:
            raise EmbeddingError("no")
        return np.zeros((1, 1))

    with pytest.raises(EmbeddingError):
        run_batches([[0], [1]], work, lambda batch, _: kept.append(batch), 2)
    assert kept == [[1]]
