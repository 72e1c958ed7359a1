"""The net return in words: its sentence, and the format of dollars and durations."""

from typing import Any

import pytest

from cachewarm_pipeline.measurement.net_return.net_return_text import net_return_sentence
from cachewarm_pipeline.number_format import duration, span, usd

ROW = dict.fromkeys(
    ("savings_usd", "savings_usd_low", "savings_usd_high", "payback_days", "break_even_harm_usd", "saved_usd"), None
) | {"why": "", "warming_usd": 1.0, "wrong_hits": 1.0, "wrong_hit_usd": 1.0, "running_usd": 0.5}
ROW |= {"break_even_harm_low_usd": None}


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            {"savings_usd": 12.4, "savings_usd_low": 8.1, "savings_usd_high": 17.0, "payback_days": 0.3}
            | {"break_even_harm_usd": 4.1, "break_even_harm_low_usd": 1.5, "saved_usd": 13.0},
            "saves $12.40 a day ($8.10 to $17.00), paid back in 0.3 days; stops paying if a wrong hit costs more than "
            "$4.10 (cautiously: $1.50); CACHEWARM_WRONG_HIT_USD is $1.00",
        ),
        (
            {"savings_usd": -2.0, "savings_usd_low": -3.0, "savings_usd_high": 1.0, "saved_usd": -1.0},
            "loses $2.00 a day (-$3.00 to $1.00, may save); the $1.00 paid for warming is never earned back; does not "
            "pay even if wrong hits did no harm",
        ),
        (
            {"savings_usd": 3.0, "warming_usd": 0.0, "wrong_hits": 0.0, "saved_usd": 3.0},
            "saves $3.00 a day; warming cost nothing; no judged hit was wrong",
        ),
        (
            {"savings_usd": 2.5, "savings_usd_low": 0.9, "savings_usd_high": 4.0, "saved_usd": 3.0, "payback_days": 2.0}
            | {"break_even_harm_usd": 0.59, "break_even_harm_low_usd": 0.21, "wrong_hit_usd": None},
            "saves $2.50 a day before the harm of wrong hits ($0.90 to $4.00), paid back in 2.0 days; pays as long as "
            "a wrong hit costs less than $0.59 (cautiously: $0.21); set CACHEWARM_WRONG_HIT_USD to what a wrong hit "
            "costs you",
        ),
        (
            {"savings_usd": 2.5, "saved_usd": 3.0, "payback_days": 2.0, "wrong_hits": 0.0, "wrong_hit_usd": None}
            | {"break_even_harm_low_usd": 0.21},
            "saves $2.50 a day before the harm of wrong hits, paid back in 2.0 days; no judged hit was wrong "
            "(cautiously: pays as long as a wrong hit costs less than $0.21); set CACHEWARM_WRONG_HIT_USD to what a "
            "wrong hit costs you",
        ),
        (
            {"savings_usd": 2.5, "saved_usd": 3.0, "payback_days": 2.0, "wrong_hit_usd": None}
            | {"break_even_harm_usd": 0.59, "break_even_harm_low_usd": 0.0},
            "saves $2.50 a day before the harm of wrong hits, paid back in 2.0 days; pays as long as a wrong hit costs "
            "less than $0.59; at the cautious end it does not pay at all; set CACHEWARM_WRONG_HIT_USD to what a wrong "
            "hit costs you",
        ),
    ],
)
def test_the_net_return_is_one_sentence(row: dict[str, Any], sentence: str) -> None:
    assert net_return_sentence(ROW | row) == sentence


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "$0.00"), (None, "-"), (1234.5, "$1,234.50"), (-0.25, "-$0.25"), (0.004, "$0.0040"), (1e-6, "under $0.0001")],
)
def test_dollars_have_cents_and_small_ones_are_not_hidden(amount: float | None, text: str) -> None:
    assert usd(amount) == text


def test_durations_are_in_the_unit_that_fits() -> None:
    assert [duration(d) for d in (None, 12, 0.3, 0.05, 0.001)] == [
        "never",
        "12.0 days",
        "0.3 days",
        "1.2 hours",
        "1 min",
    ]
    assert (span(1, 2), span(None, 2)) == ("$1.00 to $2.00", "")
