"""Arms: the same in every process, with the requested share, and with buckets that do not depend on the arm."""

import os
import subprocess
import sys

import numpy as np
import pytest
from cachewarm_client.arms import BUCKETS, NO_HOLDOUT, assign, check_share
from cachewarm_client.counters import HOLDOUT_ARM
from cachewarm_client.text import canonical
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.errors import ConfigurationError

USERS = [f"user-{number}" for number in range(20_000)]


def in_holdout(share: float, name: str = "cache") -> set[str]:
    return {user for user in USERS if assign(name, share, user, None).arm == HOLDOUT_ARM}


def test_arms_and_buckets_are_the_same_in_every_process() -> None:
    code = (
        "from cachewarm_client.arms import assign\n"
        "print([tuple(assign('cache', 0.3, f'user-{n}', None)) for n in range(300)],\n"
        "      tuple(assign('cache', 0.3, None, 'How?')), tuple(assign('cache', 0.3, None, None, b'v')))"
    )
    processes = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    here = (
        f"{[tuple(assign('cache', 0.3, f'user-{n}', None)) for n in range(300)]} "
        f"{tuple(assign('cache', 0.3, None, 'How?'))} {tuple(assign('cache', 0.3, None, None, b'v'))}"
    )
    assert processes == [here, here]


def test_an_arm_never_changes_with_a_new_version_of_this_program() -> None:
    # Users who change arms between two releases would spoil what is compared over the days of both.
    assert [tuple(assign("cache", 0.5, f"user-{n}", None)) for n in range(4)] == PINNED


PINNED = [("holdout", 14), ("warmed", 4), ("warmed", 8), ("holdout", 12)]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.5])
def test_shares_are_within_the_binomial_error(share: float) -> None:
    expected, error = share * len(USERS), (len(USERS) * share * (1 - share)) ** 0.5
    assert abs(len(in_holdout(share)) - expected) < 3.3 * error  # 99.9%, two-sided


def test_raising_the_share_keeps_users_in_the_holdout() -> None:
    before: set[str] = set()
    for share in (0.0, 0.01, 0.05, 0.5, 0.99, 1.0):
        now = in_holdout(share)
        assert before <= now
        before = now
    assert before == set(USERS)


def test_two_caches_hold_different_users_out() -> None:
    both = in_holdout(0.2, "one") & in_holdout(0.2, "two")
    assert len(both) == pytest.approx(0.04 * len(USERS), rel=0.15)


def test_buckets_are_even_in_both_arms() -> None:
    assignments = [assign("cache", 0.3, user, None) for user in USERS]
    for arm in ("warmed", HOLDOUT_ARM):
        counts = np.bincount([one.bucket or 0 for one in assignments if one.arm == arm], minlength=BUCKETS)
        even = counts.sum() / BUCKETS
        assert ((counts - even) ** 2 / even).sum() < 37.7  # chi-square of 15 degrees, 99.9%


@given(st.text(max_size=30), st.text(min_size=1, max_size=30))
def test_spellings_of_one_prompt_have_one_arm_and_a_key_takes_precedence_over_the_prompt(key: str, prompt: str) -> None:
    if canonical(prompt):
        assert assign("c", 0.5, None, prompt) == assign("c", 0.5, "", f"  {prompt}  ")
    if key:
        assert assign("c", 0.5, key, prompt) == assign("c", 0.5, key, "another")


def test_without_a_holdout_every_lookup_has_the_same_assignment() -> None:
    assert assign("cache", 0.0, "user", "prompt") is NO_HOLDOUT


@pytest.mark.parametrize("share", [-0.1, 1.01, float("nan"), float("inf"), "0.1", None, True])
def test_an_unusable_share_is_refused(share: float) -> None:
    with pytest.raises(ConfigurationError, match="holdout must be a share from 0 to 1"):
        check_share(share)
