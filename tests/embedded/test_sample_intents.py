"""The questions of the sample and their right answers: wordings, rewordings, traps, one-off questions. No files."""

import json
import re
from collections import defaultdict
from datetime import date
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from cachewarm_client.text import canonical, cut
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.embedded.sample import (
    faulty_rows,
    golden_tables,
    intent_catalogue,
    one_off_questions,
    rewording,
    word_lists,
)
from cachewarm_pipeline.embedded.sample.intent_catalogue import Catalogue, catalogue
from cachewarm_pipeline.embedded.sample.intent_types import Intent

DAY = date(2026, 11, 22)
sentences = st.text("abcdefghijklmnopqrstuvwxyz -#+./123", min_size=1, max_size=60).filter(lambda s: canonical(s) != "")


@pytest.fixture(scope="module")
def cat() -> Catalogue:
    return catalogue(7)


@pytest.fixture(scope="module")
def traps(cat: Catalogue) -> dict[str, list[Intent]]:
    """The trap intents by kind."""
    found = defaultdict(list)
    for intent in cat.intents:
        if intent.near:
            found[intent.kind].append(intent)
    return found


@pytest.mark.parametrize("seed", [7, -1])
def test_no_two_intents_of_an_agent_share_a_wording_or_a_response(seed: int) -> None:
    asked: dict[tuple[str, str], str] = {}
    answered: dict[tuple[str, str], str] = {}
    for intent in catalogue(seed).intents:
        assert intent.surfaces
        for text, _ in intent.surfaces:
            assert asked.setdefault((intent.agent_type, canonical(cut(text))), intent.id) == intent.id
        for answer in (*intent.answers, *intent.near_misses):
            for text in answer.responses:
                assert answered.setdefault((intent.agent_type, text), answer.id) == answer.id
    ids = [intent.id for intent in catalogue(seed).intents]
    assert len(ids) == len(set(ids))


def test_every_seed_has_all_kinds() -> None:
    for seed in (7, 123_456_789_012):
        kinds = {intent.kind for intent in catalogue(seed).intents}
        traps = {f"trap_{kind}" for kind in word_lists.load("look_alike_questions")}
        assert kinds == {"stable", *traps, *intent_catalogue.SHARES}


def test_the_shares_of_a_day_add_up_and_each_kind_has_its_share(cat: Catalogue) -> None:
    weights = cat.weights(DAY)
    assert weights.min() > 0
    assert weights.sum() == pytest.approx(1 - intent_catalogue.ONE_OFF)
    for kind, share in intent_catalogue.SHARES.items():
        part = np.array([intent.kind == kind for intent in cat.intents])
        assert weights[part].sum() == pytest.approx(share)


def test_every_trap_kind_has_groups_in_demand_with_different_answers(
    cat: Catalogue, traps: dict[str, list[Intent]]
) -> None:
    assert set(traps) == {"trap_negation", "trap_version", "trap_swap", "trap_language"}
    weights = dict(zip([intent.id for intent in cat.intents], cat.weights(DAY), strict=True))
    by_id = {intent.id: intent for intent in cat.intents}
    for intents in traps.values():
        assert len(intents) >= 40
        for intent in intents:
            for other in intent.near:
                assert by_id[other].agent_type == intent.agent_type
                assert not set(by_id[other].answers[0].responses) & set(intent.answers[0].responses)
    share = sum(weights[intent.id] for intents in traps.values() for intent in intents)
    assert 0.1 < share < 0.25


def plain(intent: Intent) -> list[str]:
    return [text for text, _ in intent.surfaces[: intent.wordings]]


def words(text: str) -> set[str]:
    return set(re.findall(r"[\w#+.]+", text.lower()))


def test_the_members_of_a_trap_differ_only_in_their_token(cat: Catalogue, traps: dict[str, list[Intent]]) -> None:
    by_id = {intent.id: intent for intent in cat.intents}
    for intent in traps["trap_swap"]:
        for one, other in zip(plain(intent), plain(by_id[intent.near[0]]), strict=True):
            assert one != other
            assert words(one) == words(other)
    for intent in traps["trap_negation"]:
        for one, other in zip(plain(intent), plain(by_id[intent.near[0]]), strict=True):
            assert words(one) ^ words(other) == {"not"}
    for kind in ("trap_version", "trap_language"):
        for intent in traps[kind]:
            for one, other in zip(plain(intent), plain(by_id[intent.near[0]]), strict=True):
                assert 1 <= len(words(one) ^ words(other)) <= 2


def test_noise_never_changes_the_token_that_decides(cat: Catalogue, traps: dict[str, list[Intent]]) -> None:
    for intent in traps["trap_version"]:
        name = intent.id.rpartition("/")[2]
        assert all(name in rewording.slug(text) for text, _ in intent.surfaces)
    for intent in traps["trap_negation"]:
        negated = "/not-" in intent.id
        assert all((" not " in f" {text.lower()} ") is negated for text, _ in intent.surfaces)


def test_a_plain_distance_threshold_would_confuse_the_traps(cat: Catalogue, traps: dict[str, list[Intent]]) -> None:
    from cachewarm_client.embedders.minilm import MiniLMEmbedder

    by_id = {intent.id: intent for intent in cat.intents}
    pairs = [
        (plain(intent)[0], plain(by_id[intent.near[0]])[0])
        for kind in ("trap_negation", "trap_version", "trap_swap")
        for intent in traps[kind]
        if intent.id < intent.near[0]
    ]
    vectors = MiniLMEmbedder(threads=1).embed([text for pair in pairs for text in pair])
    distance = 1 - (vectors[::2] * vectors[1::2]).sum(axis=1)
    assert len(pairs) > 70
    assert np.mean(distance < 0.1) > 0.5
    assert np.mean(distance < 0.03) > 0.1


def test_rewordings_are_nearer_to_each_other_than_to_any_other_answer(cat: Catalogue) -> None:
    from cachewarm_client.embedders.minilm import MiniLMEmbedder

    own = [intent for intent in cat.intents if intent.agent_type == "api_designer" and intent.kind != "volatile"][::6]
    texts = [(number, text) for number, intent in enumerate(own) for text in intent.answers[0].responses]
    vectors = MiniLMEmbedder(threads=1).embed([text for _, text in texts])
    group = np.array([number for number, _ in texts])
    close = vectors @ vectors.T
    same = (group[:, None] == group[None]) & ~np.eye(len(group), dtype=bool)
    assert np.mean(close[same] > 0.85) > 0.97
    assert np.mean(close[group[:, None] != group[None]] > 0.85) < 0.001


def test_rewordings_keep_the_severity_and_the_number_of_recommendations(cat: Catalogue) -> None:
    for intent in cat.intents:
        for answer in intent.answers:
            if answer.free_text:
                continue
            claimed = [json.loads(text) for text in answer.responses]
            assert len({(one["severity"], len(one["recommendations"])) for one in claimed}) == 1
            assert all(set(one) == {"summary", "recommendations", "severity"} for one in claimed)


def test_only_the_format_differs_in_the_fourth_wording(cat: Catalogue) -> None:
    four = [a.responses for intent in cat.intents for a in intent.answers if len(a.responses) == 4]
    assert len(four) > 20
    assert all(json.loads(texts[3]) == json.loads(texts[0]) and texts[3] != texts[0] for texts in four)


@given(sentences, st.integers(0, 2**32))
def test_other_casing_and_punctuation_keep_the_canonical_form(text: str, seed: int) -> None:
    assert canonical(rewording.cased(text, Random(seed))) == canonical(text)


@given(sentences, st.integers(0, 2**32))
def test_control_characters_keep_the_canonical_form(text: str, seed: int) -> None:
    changed = faulty_rows._with_controls(text, np.random.default_rng(seed))
    assert changed != text
    assert canonical(changed) == canonical(text)


@given(sentences, st.integers(0, 2**32), st.text("abcdef", min_size=6, max_size=9))
def test_a_typing_error_spares_protected_tokens_and_short_words(text: str, seed: int, token: str) -> None:
    wrong = rewording.mistyped(f"{token} {text} abc", Random(seed), protected=[token])
    assert wrong.startswith(f"{token} ")
    assert wrong.endswith(" abc")
    assert abs(len(wrong) - len(f"{token} {text} abc")) <= 1


@given(st.lists(sentences, min_size=1, max_size=8, unique=True), st.integers(0, 2**32), st.booleans())
def test_weights_of_surfaces_sum_to_one_and_plain_wordings_come_first(texts: list[str], seed: int, noise: bool) -> None:
    found = rewording.surfaces(texts, Random(seed), noise=noise)
    assert [text for text, _ in found[: len(texts)]] == texts
    assert sum(weight for _, weight in found) == pytest.approx(1)
    assert all(weight > 0 for _, weight in found)


def test_revised_contents_differ_in_one_line_and_have_different_findings() -> None:
    made = golden_tables.build_golden(7)
    for number in range(0, 2 * golden_tables.REVISED, 2):
        old, new = (one.preview or "" for one in made.analyses[number : number + 2])
        changed = [(a, b) for a, b in zip(old.splitlines(), new.splitlines(), strict=True) if a != b]
        assert len(changed) == 1
        agents, answers = (
            {getattr(f, name) for f in made.findings if f.analysis_id in (made.analyses[number].id,)}
            for name in ("agent_type", "output")
        )
        revised = {f.agent_type for f in made.findings if f.analysis_id == made.analyses[number + 1].id}
        assert agents == revised
        assert not answers & {f.output for f in made.findings if f.analysis_id == made.analyses[number + 1].id}


def test_some_contents_are_longer_than_a_prompt() -> None:
    lengths = [len(one.preview or "") for one in golden_tables.build_golden(7).analyses]
    assert sum(length > 2000 for length in lengths) >= 10
    assert sum(0 < length <= 2000 for length in lengths) >= 60


@pytest.mark.parametrize("agent_type", ["security_auditor", "api_designer"])
def test_a_one_off_that_comes_twice_has_the_same_answer(cat: Catalogue, agent_type: str) -> None:
    causes = word_lists.fragments()["causes"]

    def facts(response: str) -> tuple[str, ...]:
        claimed = [cause for cause in causes if cause in response]
        return (*claimed, *re.findall(r"[Ll]ine (\d+)", response))

    agent = np.full(25_000, cat.agents.to_pylist().index(agent_type))
    drawn = [one_off_questions.draw_one_offs(cat, np.random.default_rng(seed), agent) for seed in (1, 2)]
    for tail in drawn:
        texts = tail.responses.to_pylist()
        if agent_type == "api_designer":
            assert all(set(json.loads(text)) == {"summary", "recommendations", "severity"} for text in texts)
        else:
            assert not any(text.startswith("{") for text in texts)
            assert len({" ".join(text.split()[:1]) for text in texts}) > 5
    answers: dict[str, tuple[str, tuple[str, ...]]] = {}
    again = 0
    for tail in drawn:
        rows = zip(tail.queries.to_pylist(), tail.responses.to_pylist(), tail.ids.to_pylist(), strict=True)
        for query, response, id in rows:
            found = (id, facts(response))
            assert len(found[1]) == 2
            again += query in answers
            assert answers.setdefault(query, found) == found
    assert again > 5
    assert len({id for id, _ in answers.values()}) == len(answers)


def test_no_fragment_of_a_one_off_needs_escaping() -> None:
    for name, fragments in word_lists.fragments().items():
        for text in fragments:
            assert json.dumps(text, ensure_ascii=False)[1:-1] == text, name


def test_drawing_for_no_agents_gives_no_rows(cat: Catalogue) -> None:
    tail = one_off_questions.draw_one_offs(cat, np.random.default_rng(0), np.zeros(0, np.int64))
    assert (len(tail.queries), len(tail.responses), len(tail.ids)) == (0, 0, 0)
    assert tail.queries.type == pa.string()


def test_importing_the_sample_reads_no_word_list() -> None:
    import subprocess
    import sys

    code = (
        "import cachewarm_pipeline.embedded.sample as s\n"
        "from cachewarm_pipeline.embedded.sample import word_lists, intent_catalogue\n"
        "print(word_lists.load.cache_info().currsize, intent_catalogue.catalogue.cache_info().currsize)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["0", "0"]
