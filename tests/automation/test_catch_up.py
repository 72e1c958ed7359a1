"""When a failed run is retried: after a wait, at most three times, and never when a gate stopped it."""

from datetime import UTC, datetime, timedelta

from cachewarm_pipeline.automation.catch_up import RETRIES, FinishedRun, RetryDecision, decide_retry

WHAT = "the run for 2026-03-04"
AT = datetime(2026, 3, 5, 2, 5, tzinfo=UTC)


def failed(*minutes: int, gate: bool = False) -> list[FinishedRun]:
    return [FinishedRun(AT + timedelta(minutes=m), False, gate) for m in minutes]


def again(runs: list[FinishedRun], minutes: int) -> RetryDecision:
    return decide_retry(WHAT, runs, AT + timedelta(minutes=minutes))


def test_a_failed_run_is_retried_after_half_an_hour_then_one_hour_then_two() -> None:
    assert not again(failed(0), 29).start
    assert again(failed(0), 30).start
    assert not again(failed(0, 40), 99).start
    assert again(failed(0, 40), 100).number == 2
    assert again(failed(0, 40, 110), 230).number == 3


def test_a_run_is_not_retried_any_more_after_three_retries() -> None:
    found = again(failed(0, 40, 110, 240), 100_000)
    assert not found.start
    assert f"failed {RETRIES + 1} times" in found.sentence


def test_a_run_that_a_gate_stopped_is_not_retried() -> None:
    found = again(failed(0, gate=True), 100_000)
    assert not found.start
    assert "gate" in found.sentence


def test_a_day_that_succeeded_or_has_no_run_is_not_retried() -> None:
    assert not again([*failed(0), FinishedRun(AT + timedelta(hours=1), True)], 100_000).start
    assert not again([], 100_000).start


def test_failures_before_a_success_do_not_count() -> None:
    runs = [*failed(0, 40, 110, 240), FinishedRun(AT + timedelta(hours=5), True), *failed(400)]
    assert again(runs, 430).number == 1
