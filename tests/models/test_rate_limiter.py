"""Requests to paid servers come at even intervals, at most N a minute over all threads."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.models.rate_limiter import RateLimiter, rate_limiter_of
from cachewarm_pipeline.settings import Settings
from tests.support.openai_server import SOON, FakeServer, error_answer, open_fake


class FakeTime:
    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(st.integers(1, 600), st.lists(st.floats(0, 90), max_size=40))
def test_no_minute_has_more_requests_than_the_limit(per_minute: int, pauses: list[float]) -> None:
    time = FakeTime()
    rate_limiter = RateLimiter(per_minute, clock=lambda: time.now, sleep=time.sleep)
    sent = []
    for pause in pauses:
        time.now += pause
        rate_limiter.wait()
        sent.append(time.now)
    for at in sent:
        assert sum(at <= other < at + 60 - 1e-6 for other in sent) <= per_minute


def test_threads_share_one_rate_limiter() -> None:
    waits: list[float] = []
    rate_limiter = RateLimiter(60, clock=lambda: 0.0, sleep=waits.append)
    threads = [threading.Thread(target=rate_limiter.wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == [1.0, 2.0, 3.0, 4.0]


def test_every_request_and_every_retry_waits_for_the_rate_limiter(openai_server: FakeServer) -> None:
    waits: list[float] = []
    rate_limiter = RateLimiter(60, clock=lambda: 0.0, sleep=waits.append)
    openai_server.faults = [error_answer(500, headers=SOON)]
    open_fake(openai_server, rate_limiter=rate_limiter).embed(["a"])
    assert waits == [1.0]  # the retry; the first request goes at once


@pytest.mark.parametrize("progressive", [True, False])
def test_only_progressive_warming_has_a_rate_limiter(progressive: bool) -> None:
    assert (rate_limiter_of(Settings(progressive=progressive)) is not None) is progressive
