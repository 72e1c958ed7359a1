"""`cachewarm report`: one report from stored tables, as sentences, as a page and as JSON."""

import json
import re
from datetime import date
from html import unescape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from cachewarm_pipeline.answers.noise_floor import NoiseFloors
from cachewarm_pipeline.cli import app
from cachewarm_pipeline.errors import ConfigurationError
from cachewarm_pipeline.reporting import stored_rows
from cachewarm_pipeline.reporting.report_templates import number, percent
from cachewarm_pipeline.reporting.run_report import SHOWN, run_report
from cachewarm_pipeline.reporting.run_report_inputs import Stored, Terms
from cachewarm_pipeline.reporting.run_report_page import page, pictures_of
from cachewarm_pipeline.reporting.run_report_sections import RunReport
from cachewarm_pipeline.reporting.run_report_text import cards
from cachewarm_pipeline.storage.datasets import DatasetStore
from cachewarm_pipeline.storage.measurement_schemas import ENTRY_PAYBACK, NET_RETURN, USAGE, WARMING_IMPACT
from cachewarm_pipeline.storage.schemas import GATES, MATCH_RULES, PLAN_CURVE, VERDICT, WARMING_PLAN
from tests.support.stored_rows import DAY, table

TERMS = Terms("shop", 0.05, 0.99, 1.0, 28, False)

NO_COUNTS = (
    "No lookups were counted yet: applications that open the cache with WarmedSemanticCache(holdout=0.05) count them, "
    "and the daily run reads the counts after each day has ended."
)

PLAN = table(
    WARMING_PLAN,
    {"prompt": "How do I rotate a key? <b>", "agent_type": "ops", "source": "golden", "gain": 9.0, "demand": 12.0},
    {"prompt": "write to jane.doe@corp.at", "agent_type": "ops", "source": "query_log", "gain": 3.0, "demand": 4.0},
    {"prompt": "What is XSS?", "agent_type": "audit", "source": "query_log", "gain": 5.0, "demand": 6.0},
)

CURVE = table(
    PLAN_CURVE,
    {"entries": 1, "plan": 9.0, "frequency": 4.0, "random": 1.0, "lookups": 40.0, "planned": True},
    {"entries": 3, "plan": 17.0, "frequency": 9.0, "random": 6.0, "lookups": 40.0, "planned": True},
    {"entries": 103, "plan": 21.0, "frequency": 20.0, "random": 18.0, "lookups": 40.0, "planned": False},
)

REPLAY = {
    "lookups": 400,
    "hit_rate": 0.6,
    "cold_hit_rate": 0.4,
    "lift": 0.2,
    "lift_interval": [0.1, 0.3],
    "exact_hit_rate": 0.4,
    "semantic_hit_rate": 0.1,
    "hits": 200,
    "judged_hits": 150,
    "wrong_hits": 3,
    "wrong_hit_rate": 0.02,
    "wrong_hit_rate_upper": 0.06,
}

IMPACT = table(
    WARMING_IMPACT,
    {"scope": "total", "days": 2, "hits": 550, "lookups": 1000, "hit_rate": 0.55, "holdout_lookups": 60}
    | {"holdout_hit_rate": 0.3, "lift": 0.25, "lift_low": 0.2, "lift_high": 0.31},
    {"scope": "agent_type", "name": "ops", "hits": 550, "lookups": 1000, "hit_rate": 0.55, "why": "too few users"},
    {"scope": "day", "name": "2026-03-19", "hit_rate": 0.5, "holdout_hit_rate": 0.3, "lift": 0.2}
    | {"lift_low": 0.1, "lift_high": 0.3, "forecast_hit_rate": 0.6},
    {"scope": "day", "name": "2026-03-20", "hit_rate": 0.6, "holdout_hit_rate": 0.3, "lift": 0.3},
    {"scope": "source", "name": "golden", "hits": 400, "share": 0.8},
    {"scope": "before", "why": "the log records no cache_hit"},
    {"scope": "after", "hit_rate": 0.55},
)

RETURNS = table(
    NET_RETURN,
    *(
        {"basis": basis, "agent_type": name, "extra_hits": 100 * part, "wrong_hits": 2.0 * part, "wrong_hit_usd": 1.0}
        | {"saved_usd": 3.0 * part, "harm_usd": 2.0 * part, "running_usd": 0.5 * part, "savings_usd": 0.5 * part}
        | {"warming_usd": 4.0 * part, "payback_days": 8.0, "break_even_harm_usd": 1.5}
        for basis in ("expected", "measured")
        for name, part in (("ops", 0.75), ("audit", 0.25), ("", 1.0))
    ),
)

PAYBACK = table(
    ENTRY_PAYBACK,
    {"entry_id": "a", "prompt": "How do I rotate a key? <b>", "agent_type": "ops", "live": True, "hits": 400}
    | {"days_looked_up": 2, "recovered_usd": 12.0, "source": "golden"},
    {"entry_id": "b", "prompt": "write to jane.doe@corp.at", "agent_type": "ops", "live": True, "hits": 100}
    | {"days_looked_up": 2, "recovered_usd": None, "source": "query_log"},
    {"entry_id": "c", "prompt": "What is XSS?", "agent_type": "audit", "live": True, "days_looked_up": 2},
    {"entry_id": "d", "prompt": "gone", "agent_type": "audit", "live": False, "left_on": DAY},
)

PAID = table(
    USAGE,
    {"purpose": "embedding", "model": "small", "prompt_tokens": 1_000_000, "usd": 0.02},
    {"purpose": "judging", "model": "mini", "prompt_tokens": 900, "completion_tokens": 100, "usd": 0.5},
    {"purpose": "embedding", "model": "small", "prompt_tokens": 500_000, "usd": 0.01},
)


VERDICTS = table(VERDICT, *({"gate": gate, "passed": True, "sentence": "All reach it."} for gate in GATES)).to_pylist()


def stored(**changed: Any) -> Stored:
    whole: dict[str, Any] = {
        "day": DAY,
        "plan": PLAN,
        "curve": CURVE,
        "match_rules": table(
            MATCH_RULES,
            {"agent_type": ""},
            {"agent_type": "ops", "certified": True, "rule": "learned", "hits": 90, "wrong_hits": 0, "upper": 0.05},
            {"agent_type": "audit", "rule": "exact_only"},
        ).to_pylist(),
        "verdicts": VERDICTS,
        "replay": REPLAY,
        "replay_days": 7,
        "impact": IMPACT.to_pylist(),
        "returns": RETURNS.to_pylist(),
        "payback": PAYBACK.to_pylist(),
        "of": dict.fromkeys(("warming_impact", "net_return", "entry_payback"), DAY),
        "usage": PAID,
    }
    return Stored(**{**whole, **changed})


NOTHING: dict[str, Any] = {
    "curve": None,
    "match_rules": [],
    "verdicts": [],
    "replay": None,
    "replay_days": 0,
    "impact": [],
    "returns": [],
    "payback": [],
    "usage": USAGE.empty_table(),
}


def made(**changed: Any) -> RunReport:
    return run_report(stored(**changed), TERMS, "20260320-abc", True)


def test_every_dollar_that_was_paid_is_the_sum_of_stored_usage_rows() -> None:
    money = made()["money"]
    rows = PAID.to_pylist()
    assert money["paid_usd"] == pytest.approx(sum(row["usd"] for row in rows))
    for one in money["paid"]:
        mine = [row for row in rows if (row["purpose"], row["model"]) == (one["purpose"], one["model"])]
        assert one["usd"] == pytest.approx(sum(row["usd"] for row in mine))
        assert one["tokens"] == sum(row["prompt_tokens"] + row["completion_tokens"] for row in mine)


def test_savings_are_those_of_the_stored_return_and_its_parts_add_up_to_the_whole() -> None:
    for basis in ("expected", "measured"):
        found = made()["money"][basis]
        for name in ("extra_hits", "saved_usd", "harm_usd", "running_usd", "savings_usd", "warming_usd"):
            assert sum(row[name] for row in found["agent_types"]) == pytest.approx(found["total"][name])


def test_cards_show_measured_figures_and_the_forecast_if_nothing_is_measured() -> None:
    assert [(card.what, card.figure) for card in cards(made())] == [
        ("hit rate, measured", "55%"),
        ("lift, measured", "+25.0 points"),
        ("wrong hits, held out", "2%"),
        ("saved a day, measured", "$0.50"),
    ]
    expected = [row for row in RETURNS.to_pylist() if row["basis"] == "expected"]
    assert [card.what for card in cards(made(impact=[], returns=expected))] == [
        "hit rate, forecast",
        "lift, forecast",
        "wrong hits, held out",
        "saved a day, expected",
    ]


def test_the_sentences_cover_entries_safety_forecast_measurement_money_and_more_entries() -> None:
    assert made()["sentences"] == [
        "3 entries for 2 agent types: 1 golden, 2 from the query log.",
        "All 4 gates passed; 2% of 150 judged hits on held-out traffic were wrong (at most 6%); 1 of 2 agent types may "
        "serve semantic hits, the others exact hits only.",
        "Forecast: a warmed cache answers 60% of lookups, a cold one 40%: +20.0 points (+10.0 to +30.0).",
        "Measured over 2 days: the warmed cache answered 55% of 1,000 lookups, a cold cache filled by all users would "
        "have answered 30%: +25.0 points (+20.0 to +31.0).",
        "Measured: saves $0.50 a day, paid back in 8.0 days; stops paying if a wrong hit costs more than $1.50; "
        "CACHEWARM_WRONG_HIT_USD is $1.00.",
        "2 of 3 live entries had hits; the best 10% of entries bring 80% of the hits.",
        "The next 100 entries would add 4.0 hits a day (10% of the lookups).",
    ]


def test_the_report_of_a_day_with_only_a_plan_says_what_is_missing() -> None:
    found = made(**NOTHING)
    assert (found["forecast"], found["measured"], found["entries"], found["next_100"]) == (None,) * 4
    assert NO_COUNTS in found["sentences"]
    assert "NOT proven yet: none of 4 gates has a verdict" in " ".join(found["sentences"])
    assert NO_COUNTS in unescape(page(found, pictures_of(found)))


def test_lookups_counted_today_are_reported_if_no_whole_day_is_measured_yet() -> None:
    found = run_report(stored(**NOTHING), TERMS, "20260320-abc", True, 500)
    assert any(one.startswith("Not measured yet: 500 lookups were counted today") for one in found["sentences"])
    assert NO_COUNTS not in found["sentences"]


def test_the_next_steps_are_those_that_would_teach_or_earn_more() -> None:
    wide = [{**row, "lift_low": -0.1} if row["scope"] == "total" else row for row in IMPACT.to_pylist()]
    unset = [{**row, "wrong_hit_usd": None, "harm_usd": None} for row in RETURNS.to_pylist()]
    assert [step.split()[0] for step in made()["next_steps"]] == ["Agent"]
    assert [step.split()[0] for step in made(returns=unset)["next_steps"]] == ["Set", "Agent"]
    assert "the harm of wrong hits is not included" in page(made(returns=unset), {})
    assert "the interval of the lift contains zero" in " ".join(made(impact=wide)["next_steps"])
    assert "WarmedSemanticCache(holdout=0.05" in " ".join(made(impact=[])["next_steps"])


def test_a_failed_gate_comes_first_in_the_sentence_about_safety() -> None:
    failed = table(VERDICT, {"gate": "false_positive_rate", "passed": False, "sentence": "Too many."}).to_pylist()
    found = made(verdicts=failed)
    assert found["sentences"][1].startswith("NOT proven: false positive rate failed")
    assert "FAILED" in page(found, {})


def test_an_agent_type_that_a_gate_withholds_serves_exact_hits_only_whatever_its_rule_is() -> None:
    withheld = [{**one, "withheld": ["ops"]} if one["gate"] == "false_positive_rate" else one for one in VERDICTS]
    found = made(verdicts=withheld)
    assert found["safety"]["certified"] == 0
    assert "no agent type may serve semantic hits yet" in found["sentences"][1]
    assert "exact hits only (withheld by false positive rate)" in page(found, {})


def test_figures_of_an_older_day_name_that_day() -> None:
    older = dict.fromkeys(("warming_impact", "net_return", "entry_payback"), date(2026, 3, 18))
    found = made(of=older)
    assert [(found[part] or {})["as_of"] for part in ("measured", "money", "entries")] == ["2026-03-18"] * 3  # type: ignore[literal-required]
    assert page(found, {}).count("As of 2026-03-18.") == 3
    assert "As of" not in page(made(), {})


def test_what_was_paid_for_later_days_is_not_in_the_report_of_a_day() -> None:
    later = table(USAGE, {"purpose": "judging", "model": "mini", "usd": 9.0, "day": date(2026, 3, 21)})
    assert made(usage=pa.concat_tables([PAID, later]))["money"] == made()["money"]


def test_counts_are_reported_even_if_all_users_are_held_out() -> None:
    only = table(
        WARMING_IMPACT, {"scope": "total", "days": 1, "holdout_lookups": 60, "why": "nobody saw warmed entries"}
    )
    found = made(impact=only.to_pylist())["sentences"]
    assert NO_COUNTS not in found
    assert "No lift: nobody saw warmed entries." in found[3]


def test_personal_data_is_masked_and_markup_in_prompts_is_escaped() -> None:
    found = made()
    text = page(found, pictures_of(found))
    assert "jane.doe" not in text + json.dumps(found, default=str)
    assert "key? &lt;b&gt;" in text
    assert "key? <b>" not in text


def test_the_page_is_one_file_that_loads_nothing() -> None:
    found = made()
    text = page(found, pictures_of(found))
    assert set(re.findall(r'src="([^:"]*):', text)) == {"data"}
    assert not [word for word in ("<script", "href=", "url(") if word in text]
    assert text.count("<img ") == 2


def test_rows_beyond_those_on_the_page_are_counted_there_and_are_in_the_json() -> None:
    many = table(WARMING_PLAN, *({"agent_type": f"agent{n}", "source": "golden"} for n in range(SHOWN + 5)))
    found = made(plan=many)
    assert len(found["warmed"]["agent_types"]) == SHOWN + 5
    assert "and 5 more in the JSON" in page(found, {})


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (3.0, "3.0"), (1200, "1,200"), (3.14159, "3.1"), (1234.5, "1,234"), (-0.25, "-0.2")],
)
def test_numbers_have_a_decimal_only_if_they_are_computed_and_small(value: float | None, text: str) -> None:
    assert number(value) == text


def test_the_report_says_how_much_of_the_wrong_hits_may_be_wording_and_nothing_where_it_is_not_known() -> None:
    replay = {**REPLAY, "semantic_wrong_hit_rate": 0.15}
    noisy = made(replay=replay, noise=NoiseFloors({"ops": 0.12}, 0.12))
    sentence = "So up to about 12 points of the 15% wrong semantic hits may be wording."
    assert sum(sentence in one for one in noisy["sentences"]) == 1
    assert sentence in page(noisy, {})
    assert {rule["agent_type"]: rule["judge_noise"] for rule in noisy["safety"]["match_rules"]} == {
        "ops": 0.12,
        "audit": None,
    }
    plain = made(replay=replay)
    assert plain["safety"]["judge_noise"] is None
    assert '<th class="n">judge noise</th>' in page(noisy, {})
    assert '<th class="n">judge noise</th>' not in page(plain, {})


@pytest.mark.parametrize(
    ("row", "schema"),
    [
        (stored_rows.MatchRuleRow, MATCH_RULES),
        (stored_rows.VerdictRow, VERDICT),
        (stored_rows.ImpactRow, WARMING_IMPACT),
        (stored_rows.PaybackRow, ENTRY_PAYBACK),
    ],
)
def test_row_types_name_columns_of_the_stored_tables(row: Any, schema: pa.Schema) -> None:
    assert set(row.__annotations__) <= set(schema.names)


def test_percent_keeps_the_zeros_of_whole_tens() -> None:
    assert [percent(0.1, 0), percent(0.5), percent(1.0), percent(0.0123, 2), percent(None)] == [
        *("10%", "50%", "100%", "1.23%", "-")
    ]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with a stored plan, and no Redis."""
    monkeypatch.setenv("CACHEWARM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CACHEWARM_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("CACHEWARM_SOURCE_URL", "sample")
    datasets = DatasetStore(str(tmp_path / "home" / "data"))
    datasets.write("warming_plan", DAY, PLAN)
    datasets.write("plan_curve", DAY, CURVE)
    datasets.write("warming_impact", DAY, IMPACT)
    datasets.write("net_return", DAY, RETURNS)
    return tmp_path


def test_the_command_writes_page_and_json_of_what_is_stored_and_says_that_redis_did_not_answer(home: Path) -> None:
    html, to = home / "report.html", home / "report.json"
    result = CliRunner().invoke(app, ["report", "--html", str(html), "--json", str(to)])
    assert result.exit_code == 0, result.output
    assert "the live generation is unknown" in result.stderr
    assert "(planned; whether this plan is live is not known)" in result.stdout
    assert "Find out why this plan is not live" not in html.read_text(encoding="utf-8")
    found = json.loads(to.read_text(encoding="utf-8"))
    assert (found["as_of"], found["generation"], found["live"], found["sample"]) == ("2026-03-20", None, False, True)
    assert found["measured"]["lift"] == 0.25
    assert "synthetic sample" in html.read_text(encoding="utf-8")
    assert all(sentence in result.stdout for sentence in found["sentences"])


def test_with_json_on_standard_output_nothing_else_is_printed_there(home: Path) -> None:
    result = CliRunner().invoke(app, ["report", "--json", "-"])
    assert json.loads(result.stdout)["name"] == "cachewarm"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--as-of", "2026-03-19"], "the newest is 2026-03-20"),
        (["--as-of", "yesterday"], "write YYYY-MM-DD"),
        (["--html", "/nowhere/at/all.html"], "--html /nowhere/at/all.html"),
    ],
)
def test_a_report_that_cannot_be_made_is_refused_before_anything_is_written(
    home: Path, arguments: list[str], message: str
) -> None:
    result = CliRunner().invoke(app, ["report", *arguments])
    assert isinstance(result.exception, ConfigurationError)
    assert message in str(result.exception)


def test_without_a_plan_the_report_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHEWARM_HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["report"])
    assert "run `cachewarm warm` first" in str(result.exception)
