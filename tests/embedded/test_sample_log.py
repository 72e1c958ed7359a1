"""The sample's log: repetition, drift, traps, faults, costs; read from the default 45 days and their truth."""

import json
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cachewarm_client.text import canonical, cut

from cachewarm_pipeline.embedded.sample import ensure_sample, faulty_rows, ground_truth, query_log, word_lists
from cachewarm_pipeline.embedded.sample.intent_catalogue import catalogue
from cachewarm_pipeline.embedded.sample.sample_folder import truth_file

LAST, DAYS = date(2026, 11, 22), 45
Row = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_sample(tmp_path_factory.mktemp("sample"), seed=7, last_day=LAST)


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[Row]:
    """All rows with their truth and the day of their file."""
    found: list[Row] = []
    for back in reversed(range(DAYS)):
        day = LAST - timedelta(days=back)
        found += [{**row, "day": day} for row in ground_truth.day_rows(folder, day).to_pylist()]
    return found


@pytest.fixture(scope="module")
def clean(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["dirty"] is None]


def of_kind(rows: list[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["kind"] == kind]


def test_every_day_has_all_its_rows_and_the_contracts_columns(folder: Path) -> None:
    files = sorted((folder / "llm_query_logs").iterdir())
    assert [file.stem for file in files] == [str(LAST - timedelta(days=back)) for back in reversed(range(DAYS))]
    assert {pq.read_metadata(file).num_rows for file in files} == {2200}
    assert pq.read_schema(files[0]).equals(query_log.LOG_SCHEMA)
    assert query_log.LOG_SCHEMA.names == [
        "query", "agent_type", "response", "created_at", "user_id", "cache_hit", "feedback", "model", "prompt_tokens",
        "completion_tokens", "cost_usd", "latency_ms",
    ]  # fmt: skip


def test_there_are_exactly_98_analyses_and_415_findings(folder: Path) -> None:
    analyses, findings = pq.read_table(folder / "analyses.parquet"), pq.read_table(folder / "findings.parquet")
    assert (analyses.num_rows, findings.num_rows) == (98, 415)
    assert analyses.column_names == ["id", "url", "content_preview", "created_at"]
    assert findings.column_names == ["analysis_id", "agent_type", "output", "confidence_score"]
    assert len(set(analyses["id"].to_pylist())) == 98


def test_findings_vary_in_confidence_and_some_are_broken(folder: Path) -> None:
    found = pq.read_table(folder / "findings.parquet").to_pylist()
    flaws = [row["flaw"] for row in pq.read_table(truth_file(folder, "findings")).to_pylist()]
    fine = [row["confidence_score"] for row, flaw in zip(found, flaws, strict=True) if flaw is None]
    assert 0.55 < np.mean(np.array(fine) >= 0.8) < 0.8
    assert len(set(fine)) > 150
    broken = {flaw: row for row, flaw in zip(found, flaws, strict=True) if flaw}
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken["broken_json"]["output"])
    assert broken["null_confidence"]["confidence_score"] is None
    assert broken["confidence_over_1"]["confidence_score"] == 1.7
    assert broken["negative_confidence"]["confidence_score"] < 0
    assert np.isnan(broken["nan_confidence"]["confidence_score"])
    assert (broken["null_output"]["output"], broken["empty_output"]["output"]) == (None, "")
    known = set(pq.read_table(folder / "analyses.parquet")["id"].to_pylist())
    assert broken["no_analysis"]["analysis_id"] not in known
    assert len({row["agent_type"] for row in found}) >= 6


def test_each_large_agent_has_60_to_150_intents_with_5_to_12_wordings() -> None:
    asked = [intent for intent in catalogue(7).intents if intent.kind == "stable" or intent.near]
    per_agent = Counter(intent.agent_type for intent in asked)
    small = per_agent.pop('team "A", {beta}')
    assert len(per_agent) >= 6
    assert all(60 <= number <= 150 for number in per_agent.values())
    assert 10 <= small < 60
    assert {intent.wordings for intent in asked} <= set(range(5, 13))
    assert len({intent.wordings for intent in asked}) > 4
    for intent in asked:
        answer = intent.answers[0]
        assert len(answer.responses) == 8 if answer.free_text else 2 <= len(answer.responses) <= 4


def test_a_few_questions_make_up_most_of_an_agents_traffic(clean: list[Row]) -> None:
    for agent in word_lists.agents()[:4]:
        counts = Counter(
            row["intent_id"]
            for row in clean
            if row["agent_type"] == agent.name and (row["kind"] == "stable" or row["kind"].startswith("trap_"))
        )
        ranked = np.array(sorted(counts.values(), reverse=True), float)
        tenth = len(ranked) // 10
        assert ranked[:tenth].sum() / ranked.sum() > 0.45
        head = ranked[:50]
        slope = np.polyfit(np.log(np.arange(1, 51)), np.log(head), 1)[0]
        assert -1.5 < slope < -0.6


def test_most_rows_of_a_day_were_asked_before_and_a_long_tail_never(clean: list[Row]) -> None:
    before = {(r["agent_type"], canonical(cut(r["query"]))) for r in clean if r["day"] < LAST}
    seen_intents = {row["intent_id"] for row in clean if row["day"] < LAST}
    today = [row for row in clean if row["day"] == LAST]
    assert 0.6 < np.mean([(r["agent_type"], canonical(cut(r["query"]))) in before for r in today]) < 0.9
    assert 0.7 < np.mean([row["intent_id"] in seen_intents for row in today]) < 0.9
    tail = of_kind(clean, "one_off")
    assert 0.15 < len(tail) / len(clean) < 0.25
    assert len({row["query"] for row in tail}) > 0.995 * len(tail)
    assert len({row["answer_id"] for row in tail}) > 0.995 * len(tail)


def week_shares(rows: list[Row], week: int) -> dict[str, float]:
    days = {LAST - timedelta(days=41 - 7 * week - day) for day in range(7)}
    counts = Counter(row["intent_id"] for row in rows if row["day"] in days)
    return {intent: number / counts.total() for intent, number in counts.items()}


def distance(one: dict[str, float], two: dict[str, float]) -> float:
    return sum(abs(one.get(key, 0) - two.get(key, 0)) for key in one.keys() | two.keys()) / 2


def test_topics_drift_smoothly_over_the_weeks(clean: list[Row]) -> None:
    stable = of_kind(clean, "stable")
    weeks = [week_shares(stable, week) for week in range(6)]
    steps = [distance(a, b) for a, b in pairwise(weeks)]
    assert distance(weeks[0], weeks[-1]) > 1.4 * max(steps)


def test_some_intents_appear_and_some_fade(clean: list[Row]) -> None:
    stable = of_kind(clean, "stable")
    early = Counter(row["intent_id"] for row in stable if row["day"] <= LAST - timedelta(days=DAYS - 10))
    late = Counter(row["intent_id"] for row in stable if row["day"] > LAST - timedelta(days=10))
    assert sum(late[intent] >= 20 and early[intent] <= 2 for intent in late) >= 3
    assert sum(early[intent] >= 20 and late[intent] <= 2 for intent in early) >= 3


def test_one_intent_comes_in_many_spellings(clean: list[Row]) -> None:
    spellings = defaultdict(set)
    for row in of_kind(clean, "stable"):
        spellings[row["intent_id"]].add(canonical(cut(row["query"])))
    counts = sorted((len(texts) for texts in spellings.values()), reverse=True)
    assert counts[len(counts) // 2] >= 8
    assert counts[0] <= 12 * 3


def test_json_answers_are_reworded_between_calls_and_one_text_leads(clean: list[Row]) -> None:
    texts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in of_kind(clean, "stable"):
        if row["agent_type"] == "api_designer" and not row["cache_hit"]:
            texts[row["answer_id"]][row["response"]] += 1
    often = {answer: counter for answer, counter in texts.items() if counter.total() >= 30}
    assert len(often) > 10
    assert all(2 <= len(counter) <= 4 for counter in often.values())
    # The first wording leads, so that even grouping by the exact text finds a majority for most.
    leading = [counter.most_common(1)[0][1] / counter.total() for counter in often.values()]
    assert 0.5 < np.median(leading) < 0.7


def test_volatile_answers_change_from_call_to_call(clean: list[Row]) -> None:
    answers = defaultdict(list)
    for row in of_kind(clean, "volatile"):
        answers[row["intent_id"]].append(row["response"])
    assert len(answers) > 10
    for texts in answers.values():
        assert Counter(texts).most_common(1)[0][1] / len(texts) < 0.5


def test_personal_queries_carry_values_that_a_detector_should_find(clean: list[Row]) -> None:
    text = "\n".join(row["query"] for row in of_kind(clean, "personal"))
    assert "@example.com" in text
    assert "+1 202-555-01" in text
    assert "203.0.113." in text
    assert "api_key=sk" + "-" in text
    assert "AK" + "IA" in text
    assert "ey" + "J" in text
    users = defaultdict(set)
    for row in of_kind(clean, "personal"):
        users[row["query"]].add(row["user_id"])
    assert sum(len(names) >= 2 for names in users.values()) > 10


def test_no_file_of_the_package_contains_anything_like_a_key() -> None:
    package = Path(ground_truth.__file__).parent
    for file in [*package.glob("*.py"), *package.glob("*.toml")]:
        text = file.read_text(encoding="utf-8")
        assert not [mark for mark in ("AK" + "IA", "sk" + "-", "ey" + "J", "gh" + "p_") if mark in text], file


def test_one_user_alone_asks_one_question_hundreds_of_times(clean: list[Row]) -> None:
    poison = of_kind(clean, "poison")
    assert len(poison) > 300
    assert {row["user_id"] for row in poison} == {query_log.POISONER}
    assert len({row["query"] for row in poison}) == 1
    assert not any(row["cache_hit"] for row in poison)
    assert all(row["kind"] == "poison" for row in clean if row["user_id"] == query_log.POISONER)


def test_each_kind_of_fault_occurs_and_is_what_its_name_says(rows: list[Row]) -> None:
    found = {kind: [row for row in rows if row["dirty"] == kind] for kind in faulty_rows.FAULT_KINDS}
    assert all(len(some) >= 5 for some in found.values())
    assert 0.007 < sum(map(len, found.values())) / len(rows) < 0.013

    def all_of(kind: str, check: Any) -> bool:
        return all(check(row) for row in found[kind])

    assert all_of("null_query", lambda row: row["query"] is None)
    assert all_of("empty_query", lambda row: row["query"] == "")
    assert all_of("blank_query", lambda row: canonical(row["query"]) == "")
    assert all_of("long_query", lambda row: len(row["query"]) == 50_000)
    assert all_of("control_characters", lambda row: not row["query"].isprintable())
    assert all_of("null_agent_type", lambda row: row["agent_type"] is None)
    assert all_of("empty_agent_type", lambda row: row["agent_type"] == "")
    assert all_of("bad_agent_type", lambda row: row["agent_type"] in faulty_rows.BAD_AGENT_TYPES)
    assert all_of("null_response", lambda row: row["response"] is None)
    assert all_of("empty_response", lambda row: row["response"] == "")
    assert all_of("long_response", lambda row: len(row["response"]) > 50_000)
    assert all_of("null_created_at", lambda row: row["created_at"] is None)
    assert all_of("epoch_date", lambda row: row["created_at"] == datetime(1970, 1, 1, tzinfo=UTC))
    assert all_of("far_date", lambda row: row["created_at"].year == 9999)
    assert all_of("nan_cost", lambda row: np.isnan(row["cost_usd"]))
    for kind in ("broken_json", "plain_text_response"):
        for row in found[kind]:
            with pytest.raises(json.JSONDecodeError):
                json.loads(row["response"])


def test_other_languages_are_asked_and_answered(clean: list[Row]) -> None:
    text = "".join(row["query"] for row in of_kind(clean, "foreign"))
    for start, end in (("\u3040", "\u30ff"), ("\u0600", "\u06ff"), ("\u00c0", "\u00ff"), ("\U0001f300", "\U0001faff")):
        assert any(start <= letter <= end for letter in text)


def test_the_tenant_with_a_difficult_name_has_frequent_questions(clean: list[Row]) -> None:
    counts = Counter(row["query"] for row in clean if row["agent_type"] == 'team "A", {beta}')
    assert 300 < counts.total() < 2500
    assert counts.most_common(10)[-1][1] >= 10


def test_contents_are_analysed_again_word_for_word(folder: Path, clean: list[Row]) -> None:
    previews = set(pq.read_table(folder / "analyses.parquet")["content_preview"].to_pylist()) - {None, ""}
    again = of_kind(clean, "content")
    assert 0.04 < len(again) / len(clean) < 0.06
    assert len({row["query"] for row in again} & previews) > 80
    assert all(row["query"] in previews or row["query"][:-1] in previews for row in again)


def test_clean_rows_are_in_their_day_in_order_and_follow_office_hours(clean: list[Row]) -> None:
    assert all(row["created_at"].date() == row["day"] for row in clean)
    assert all(a["created_at"] <= b["created_at"] for a, b in pairwise(clean))
    hours = Counter(row["created_at"].hour for row in clean if row["day"].weekday() < 5)
    assert sum(hours[hour] for hour in (22, 23, 0, 1, 2, 3, 4, 5)) < hours.total() / 10
    assert min(hours[hour] for hour in range(8, 18)) > 10 * hours[2]


def test_costs_follow_from_tokens_and_cached_rows_are_free(clean: list[Row]) -> None:
    paid = [row for row in clean if not row["cache_hit"]]
    for row in paid[:5000]:
        prompt, completion = query_log.MODELS[row["model"]]
        expected = (row["prompt_tokens"] * prompt + row["completion_tokens"] * completion) / 1e6
        assert row["cost_usd"] == pytest.approx(expected, abs=1e-6)
    costs = np.array([row["cost_usd"] for row in paid])
    assert costs.min() >= 0.01
    assert costs.max() <= 0.06
    cached = [row for row in clean if row["cache_hit"]]
    assert 0.07 < len(cached) / len(clean) < 0.09
    assert all(row["cost_usd"] == 0 == row["prompt_tokens"] == row["completion_tokens"] for row in cached)
    assert max(row["latency_ms"] for row in cached) < 50 < min(row["latency_ms"] for row in paid)


def test_feedback_is_rare_and_users_are_many_and_uneven(clean: list[Row]) -> None:
    feedback = Counter(row["feedback"] for row in clean)
    assert set(feedback) == {None, -1, 0, 1}
    assert feedback[None] / len(clean) > 0.9
    users = Counter(row["user_id"] for row in clean)
    people = [number for name, number in users.items() if name and name.startswith("user-")]
    assert 380 < len(people) <= 401
    assert max(people) > 20 * min(people)
    assert users[None] / len(clean) < 0.05
    assert all(users[bot] > 100 for bot in query_log.BOTS)


def test_every_clean_row_has_its_truth(clean: list[Row], rows: list[Row]) -> None:
    assert all(row["intent_id"] and row["answer_id"] and row["kind"] for row in clean)
    lost = {row["dirty"] for row in rows if row["intent_id"] is None}
    assert lost == faulty_rows.NO_TRUTH
    assert all(row["intent_id"] is None for row in rows if row["dirty"] in faulty_rows.NO_TRUTH)


def test_truth_names_the_answer_of_every_prompt_and_response(folder: Path, clean: list[Row]) -> None:
    days = [LAST, LAST - timedelta(days=1)]
    known = ground_truth.Truth(folder, days=days)
    for row in [row for row in clean if row["day"] in days]:
        intent = known.intent(row["agent_type"], row["query"])
        assert intent is not None
        assert (intent.id, intent.kind) == (row["intent_id"], row["kind"])
        right = known.is_right(row["agent_type"], row["query"], row["response"])
        if row["kind"] == "volatile":
            assert right is False
        elif not row["cache_hit"]:
            assert known.answer_of(row["agent_type"], row["response"]) == row["given_answer_id"]
            assert right is (row["given_answer_id"] == row["answer_id"])
        else:
            assert (known.answer_of(row["agent_type"], row["response"]) == row["answer_id"]) is right


def test_only_the_earlier_cache_and_slips_of_the_model_are_wrong(folder: Path, clean: list[Row]) -> None:
    known = ground_truth.Truth(folder)
    wrong = [
        row
        for row in clean
        if row["kind"].startswith("trap_") and not known.is_right(row["agent_type"], row["query"], row["response"])
    ]
    cached, slips = ([row for row in wrong if row["cache_hit"] is hit] for hit in (True, False))
    assert min(len(cached), len(slips)) > 100
    assert all("#miss-" not in row["given_answer_id"] for row in cached)
    assert all("#miss-" in row["given_answer_id"] for row in slips)
    assert np.mean([row["feedback"] == -1 for row in wrong]) > 0.15


def test_truth_handles_agent_types_casing_formats_and_unknown_texts(folder: Path) -> None:
    known = ground_truth.Truth(folder)
    swaps = [intent for intent in catalogue(7).intents if intent.kind == "trap_swap"]
    trap = next(intent for intent in swaps if intent.agent_type == "api_designer")
    other = next(intent for intent in catalogue(7).intents if intent.id == trap.near[0])
    prompt, response = trap.surfaces[0][0], trap.answers[0].responses[0]
    assert known.is_right(trap.agent_type, prompt.lower() + " ...", json.dumps(json.loads(response), indent=4)) is True
    assert known.is_right(trap.agent_type, prompt, other.answers[0].responses[0]) is False
    assert known.is_right(trap.agent_type, prompt, "never said") is False
    assert known.is_right(trap.agent_type, "never asked", response) is None
    assert known.is_right("nobody", prompt, response) is None


def test_the_truth_of_findings_names_their_answers(folder: Path) -> None:
    found = pq.read_table(folder / "findings.parquet").to_pylist()
    known = ground_truth.Truth(folder)
    for finding, right in zip(found, pq.read_table(truth_file(folder, "findings")).to_pylist(), strict=True):
        assert (finding["analysis_id"], finding["agent_type"]) == (right["analysis_id"], right["agent_type"])
        if right["flaw"] not in ("broken_json", "null_output", "empty_output"):
            assert known.answer_of(finding["agent_type"], finding["output"]) == right["answer_id"]


def test_the_pipelines_tables_contain_nothing_of_the_truth(folder: Path) -> None:
    for file in [folder / "analyses.parquet", folder / "findings.parquet", *(folder / "llm_query_logs").iterdir()]:
        assert not {"intent_id", "answer_id", "kind", "dirty", "row"} & set(pq.read_schema(file).names)
    table = pa.concat_tables([pq.read_table(file) for file in (folder / "llm_query_logs").iterdir()])
    ids = {intent.id for intent in catalogue(7).intents}
    assert not ids & set(table["response"].to_pylist())
