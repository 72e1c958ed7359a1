"""One budget for embedding, writing and judging, over real HTTP: reported usage never exceeds it, and everything paid
is in the ledger, also for runs that fail."""

import socket
import threading
from contextlib import nullcontext, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from cachewarm_client.embedders.batch_threads import run_batches
from cachewarm_client.embedders.openai import most_tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from cachewarm_pipeline.errors import ConfigurationError, EmbeddingError, JudgeError, SpendCapError
from cachewarm_pipeline.models.budgets import ModelBudget, ModelCost, RunBudget
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts
from cachewarm_pipeline.models.usage_ledger import read_usage
from cachewarm_pipeline.settings import Settings
from cachewarm_pipeline.workspace.workspace import Workspace
from tests.support.chat_server import KEY, saying
from tests.support.openai_server import SOON, error_answer
from tests.support.paid_models import PaidModels, near_pairs
from tests.support.pipeline import environment
from tests.support.writer_server import bases

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
    return sum(read_usage(own.usage_folder, date.min, date.max)["usd"].to_pylist())


def spend_all(own: Workspace, models: PaidModels) -> tuple[int, int, int]:
    """Pairs judged, bases written and texts embedded, as far as the budget allows."""
    judge, writer = own.judge(lambda _: None), own.llm(lambda _: None)
    assert writer is not None
    with suppress(SpendCapError):
        judge.same(near_pairs(12))
    wrote = sum(texts is not None for texts in writer.variants(bases(6)))
    before = own.embedder.usage.texts
    with suppress(SpendCapError):
        embed_new_texts(own.embedder, own.vectors, TEXTS)
    return judge.usage.asked, wrote, own.embedder.usage.texts - before


def test_reported_usage_never_exceeds_the_cap_and_the_ledger_has_all_of_it(models: PaidModels, tmp_path: Path) -> None:
    seen = set()
    for n, cap in enumerate((0.0, 2e-5, 1.5e-3, 2.5e-3, 3.5e-3, 1.0)):
        with models.counting():
            own = workspace(models, tmp_path / str(n), max_usd=cap, embedding_concurrency=4)
            seen.add(spend_all(own, models))
            assert models.usd() <= cap
            assert paid(own) == pytest.approx(models.usd(), rel=1e-9)
            assert own.run_budget.spent == pytest.approx(models.usd(), abs=1e-12)
    assert (0, 0, 0) in seen
    assert (12, 6, 40) in seen
    assert len(seen) >= 4


def test_a_cap_under_a_single_request_says_that_running_again_does_not_help(models: PaidModels, tmp_path: Path) -> None:
    for cap, todo in ((1e-7, "raise the cap to more than one request takes"), (1e-3, "raise the cap, or run again")):
        own = workspace(models, tmp_path / str(cap), max_usd=cap)
        own.run_budget.start(cap)
        with pytest.raises(SpendCapError, match=todo):
            embed_new_texts(own.embedder, own.vectors, TEXTS)


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0, 5), st.floats(0, 1))
def test_a_budget_never_reserves_more_than_its_limit(amounts: list[float], limit: float, used: float) -> None:
    run_budget, budget = RunBudget(limit), ModelBudget(10.0, 1.0, 1.0, run_budget=RunBudget(limit))
    for amount in amounts:
        if run_budget.reserve(amount):
            assert run_budget.spent <= limit
            run_budget.settle(amount, used * amount)
        if budget.reserve(ModelCost(amount, 1)):
            budget.settle(ModelCost(amount, 1), ModelCost(used * amount, 1))
    assert run_budget.spent <= limit + 1e-9
    assert not budget.closed or budget.closed_by_run


def test_a_request_that_does_not_fit_waits_for_those_under_way(tmp_path: Path) -> None:
    run_budget, order = RunBudget(1.0), []
    assert run_budget.reserve_or_wait(0.9)
    waiting = threading.Thread(target=lambda: order.append(run_budget.reserve_or_wait(0.5)))
    waiting.start()
    run_budget.settle_and_notify(0.9, 0.1)
    waiting.join(10)
    assert order == [True]
    run_budget.settle_and_notify(0.5, 0.5)
    assert not run_budget.reserve_or_wait(0.5)
    assert run_budget.spent == pytest.approx(0.6)


def test_without_a_limit_everything_can_be_reserved() -> None:
    run_budget = RunBudget(None)
    assert run_budget.reserve(1e9)
    assert run_budget.reserve_or_wait(1e9)


def test_another_process_of_the_run_continues_from_what_was_paid(models: PaidModels, tmp_path: Path) -> None:
    first = workspace(models, tmp_path, max_usd=1.0)
    embed_new_texts(first.embedder, first.vectors, TEXTS[:20])
    again = workspace(models, tmp_path, max_usd=1.0)
    assert again.run_budget.spent == pytest.approx(models.usd())
    again.begin("another run", "test", DAY)
    assert again.run_budget.spent == 0


def test_the_caps_of_judge_and_writer_hold_over_the_processes_of_a_run(models: PaidModels, tmp_path: Path) -> None:
    first = workspace(models, tmp_path)
    assert spend_all(first, models) == (12, 6, 40)
    again = workspace(models, tmp_path)
    for before, after in ((first.judge_budget, again.judge_budget), (first.llm_budget, again.llm_budget)):
        assert (after.spent, after.tokens) == (pytest.approx(before.spent), before.tokens)
        assert after.tokens > 0


def test_money_reserved_for_a_batch_is_reserved_in_every_process_of_its_run(models: PaidModels, tmp_path: Path) -> None:
    def process(run: str = "run") -> Workspace:
        own = workspace(models, tmp_path, max_usd=reserved and 1.5 * reserved, llm_batch=True)
        own.begin(run, "test", DAY)
        return own

    def write(own: Workspace, first: int, last: int) -> list[list[str] | None]:
        writer = own.llm(lambda _: None)
        assert writer is not None
        return writer.variants(bases(last)[first:])

    reserved = None
    submitting = process()
    assert write(submitting, 0, 6) == [None] * 6
    reserved = submitting.run_budget.spent
    assert reserved > 0
    second = process()
    assert (second.run_budget.spent, second.llm_budget.spent) == (pytest.approx(reserved), pytest.approx(reserved))
    write(second, 6, 12)
    lines = [len(models.chat.lines(each)) for each in models.chat.batches]
    assert lines == [6, 3]  # half of the money is left: half of the bases
    assert process("another").run_budget.spent == 0

    for each in models.chat.batches:
        models.chat.finish(each)
    with models.counting():
        assert None not in write(process(), 0, 6)  # the run collects its own batch: it has paid for it
    assert process().run_budget.spent == pytest.approx(1.5 * reserved)
    later = process("later")
    assert None not in write(later, 0, 9)
    assert later.run_budget.spent == process().run_budget.spent == 0
    assert not [*tmp_path.rglob("batches/*.json")]


def test_attempts_without_an_answer_count_as_billed_so_the_cap_holds(models: PaidModels, tmp_path: Path) -> None:
    seen = set()
    for n, cap in enumerate((1e-5, 2e-3, 4e-3, 7e-3, 1.0)):
        lost_and_answered = [error_answer(504, "", SOON), None] * 50
        models.embedder.faults = [*lost_and_answered]  # type: ignore[list-item]
        models.chat.faults = {"POST /v1/chat/completions": [*lost_and_answered]}  # type: ignore[list-item]
        with models.counting():
            own = workspace(models, tmp_path / str(n), max_usd=cap)
            seen.add(spend_all(own, models))
            models.judged, models.wrote = len(models.chat.paths), 0  # what the server may bill: every attempt
            assert models.usd() <= paid(own) <= own.run_budget.spent + 1e-12
            assert own.run_budget.spent <= cap
    assert (0, 0, 0) in seen
    assert (12, 6, 40) in seen
    assert len(seen) >= 4


def test_a_time_out_counts_as_its_upper_bound_and_a_request_never_sent_is_free(
    models: PaidModels, tmp_path: Path
) -> None:
    models.embedder.hold = 0.3
    slow = workspace(models, tmp_path / "slow", embedding_timeout_seconds=0.05, embedding_max_retries=0, max_usd=1.0)
    with pytest.raises(EmbeddingError, match="no answer"):
        embed_new_texts(slow.embedder, slow.vectors, TEXTS[:2])
    (row,) = read_usage(slow.usage_folder, date.min, date.max).to_pylist()
    assert row["prompt_tokens"] == most_tokens(TEXTS[:2])
    assert slow.run_budget.spent == pytest.approx(row["usd"])
    for status in (429, 500, 503):  # the server says itself that there is no answer
        models.embedder.hold, models.embedder.faults = 0.0, [error_answer(status, "", SOON)]
        refused = workspace(models, tmp_path / str(status), embedding_max_retries=0, max_usd=1.0)
        with pytest.raises(EmbeddingError):
            embed_new_texts(refused.embedder, refused.vectors, TEXTS[:2])
        assert (paid(refused), refused.run_budget.spent) == (0, 0)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        models.url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        away = workspace(models, tmp_path / "away", embedding_max_retries=0, max_usd=1.0)
        with pytest.raises(EmbeddingError, match="cannot reach"):
            embed_new_texts(away.embedder, away.vectors, TEXTS[:2])
    assert (paid(away), away.run_budget.spent) == (0, 0)


def test_embedding_without_reported_usage_counts_as_its_upper_bound(models: PaidModels, tmp_path: Path) -> None:
    models.embedder.change = lambda answer: {**answer, "usage": None}
    own = workspace(models, tmp_path, max_usd=1.0)
    report = embed_new_texts(own.embedder, own.vectors, TEXTS[:2])
    assert report.tokens == most_tokens(TEXTS[:2])
    assert paid(own) == pytest.approx(report.tokens * 0.02 / 1e6) == pytest.approx(own.run_budget.spent)
    assert workspace(models, tmp_path, max_usd=1.0).run_budget.spent == pytest.approx(own.run_budget.spent)


def test_prices_of_a_future_day_are_refused_before_anything_is_paid(models: PaidModels, tmp_path: Path) -> None:
    for days, refused in ((-1, False), (0, False), (1, False), (2, True)):  # a day ahead it may be elsewhere on earth
        looked_up = DAY + timedelta(days=days)
        own = Workspace(Settings(home=tmp_path, prices_as_of=looked_up), lambda: datetime(2026, 3, 20, 12, tzinfo=UTC))
        with (
            pytest.raises(ConfigurationError, match=f"CACHEWARM_PRICES_AS_OF={looked_up} is after today, {DAY}")
            if refused
            else nullcontext()
        ):
            own.begin("run", "test", DAY)


def test_an_answer_without_a_verdict_is_still_paid_for(models: PaidModels, tmp_path: Path) -> None:
    models.chat.reply = lambda body: saying("neither")
    own = workspace(models, tmp_path)
    with pytest.raises(JudgeError):
        own.judge(lambda _: None).same(near_pairs(1))
    rows = read_usage(own.usage_folder, date.min, date.max).to_pylist()
    assert {row["purpose"]: row["completion_tokens"] for row in rows} == {"embedding": 0, "judging": 16}


def test_unusable_vectors_are_still_paid_for(models: PaidModels, tmp_path: Path) -> None:
    models.embedder.change = lambda answer: {**answer, "data": answer["data"][1:]}
    own = workspace(models, tmp_path)
    with pytest.raises(EmbeddingError):
        embed_new_texts(own.embedder, own.vectors, TEXTS[:2])
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
