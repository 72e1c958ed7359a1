"""The local judge on real vectors, and the exact judge."""

from pathlib import Path

import numpy as np
import pytest
from cachewarm_client.embedders.minilm import MiniLMEmbedder

from cachewarm_pipeline.answers.judges.answer_words_store import AnswerWordsStore
from cachewarm_pipeline.answers.judges.exact_match import ExactJudge
from cachewarm_pipeline.answers.judges.local import LocalJudge
from cachewarm_pipeline.answers.judges.local_model import local_model, model_of
from cachewarm_pipeline.answers.judges.pair_features import FEATURES
from cachewarm_pipeline.ports import AnswerPair, JudgeUse, QueryAnswers
from cachewarm_pipeline.storage.vectors import ParquetVectorStore
from tests.answers.veto import answer_pairs, answer_pairs_held_out

QUESTION = "How do I rotate the signing key?"
REWORDED = [
    "Rotate the signing key every quarter and keep the old public key for a week.",
    "Every quarter rotate the signing key, and keep the old public key for one week.",
    "Add an index on the foreign key and run the query again with EXPLAIN.",
    "rotate the signing key every quarter and keep the old public key for a week",
    "Every quarter rotate the signing key, but never keep the old public key for one week.",
]


@pytest.fixture(scope="module")
def embedder() -> MiniLMEmbedder:
    return MiniLMEmbedder()


@pytest.fixture
def judge(embedder: MiniLMEmbedder, tmp_path: Path) -> LocalJudge:
    vectors = ParquetVectorStore(f"{tmp_path}/vectors", embedder.info.id)
    return LocalJudge(embedder, vectors, AnswerWordsStore(f"{tmp_path}/words"), lambda _: None)


@pytest.mark.parametrize("texts", [answer_pairs, answer_pairs_held_out], ids=["first", "held out"])
def test_no_opposite_pair_is_equivalent_for_any_use(judge: LocalJudge, texts: object) -> None:
    pairs = [AnswerPair(*row[:3]) for row in texts.OPPOSITES]  # type: ignore[attr-defined]
    assert len(pairs) == 36
    probability = judge.probability(pairs)
    assert [pair for pair, value in zip(pairs, probability, strict=True) if value >= 0.5] == []


@pytest.mark.parametrize(
    ("texts", "fewest"), [(answer_pairs, 60), (answer_pairs_held_out, 54)], ids=["first", "held out"]
)
def test_rewordings_of_switch_instructions_are_mostly_equivalent(judge: LocalJudge, texts: object, fewest: int) -> None:
    pairs = [AnswerPair(*row) for row in texts.REWORDINGS]  # type: ignore[attr-defined]
    assert len(pairs) == 72
    assert int(judge.same(pairs).sum()) >= fewest


def test_rewordings_are_one_answer_and_other_answers_are_not(judge: LocalJudge) -> None:
    assert judge([QueryAnswers(QUESTION, REWORDED[:3])]) == [[0, 0, 1]]


def test_a_refusal_is_not_the_answer(judge: LocalJudge) -> None:
    answer = "To reset your password, open Settings, choose Security and click Reset password."
    refusal = "Sorry, I could not find information on resetting a password."
    (probability,) = judge.probability([AnswerPair("How do I reset my password?", answer, refusal)])
    assert probability < 0.3


def test_the_question_decides_what_an_addition_means(judge: LocalJudge) -> None:
    left, right = "It opened in 1889 in Paris.", "It opened in 1890 in Paris."
    where, when = judge.probability(
        [AnswerPair("Where is the tower?", left, left + " It is tall."), AnswerPair("When was it?", left, right)]
    )
    assert where > 0.8
    assert when < 0.5


def test_an_addition_is_no_contradiction_and_another_number_is_one(judge: LocalJudge) -> None:
    question = "What is the refund window?"
    base = "Refunds are possible within 30 days of purchase."
    added, other = judge.probability(
        [
            AnswerPair(question, base, base + " The rule is from 2019."),
            AnswerPair(question, base, "Refunds are possible within 14 days of purchase."),
        ]
    )
    assert added > 0.9
    assert other < 0.5


@pytest.mark.parametrize(
    ("question", "left", "right"),
    [
        ("How do I turn on dark mode?", "Du kan slå på mörkt läge i menyn.", "Du kan inte slå på mörkt läge i menyn."),
        ("Hur slår jag på mörkt läge?", "Du kan slå på mörkt läge i menyn.", "Du kan inte slå på mörkt läge i menyn."),
        ("How do I open it?", "Voit avata tilin sivulta nopeasti.", "Et voi avata tiliä sivulta nopeasti."),
    ],
)
def test_answers_in_an_unknown_language_are_never_evidence(
    judge: LocalJudge, question: str, left: str, right: str
) -> None:
    pair = AnswerPair(question, left, right)
    assert not judge.same([pair], JudgeUse.LABEL)[0]
    assert not judge.same([pair], JudgeUse.GROUP)[0]


def test_a_list_of_names_is_in_every_language(judge: LocalJudge) -> None:
    pair = AnswerPair("Who plays Ducky on NCIS?", "David McCallum", "David McCallum portrays Ducky Mallard on NCIS.")
    assert judge.probability([pair])[0] > 0.9


def test_queries_with_one_answer_cost_no_embedding(judge: LocalJudge, embedder: MiniLMEmbedder) -> None:
    before = embedder.usage.texts
    answers = [["only"], [], ['{"a":1}', '{"a": 1}']]
    assert judge([QueryAnswers("q", own) for own in answers]) == [[0], [], [0, 0]]
    assert judge.probability([AnswerPair("q", " Yes ", "yes"), AnswerPair("q", "", "a")]).tolist() == [1.0, 0.0]
    assert embedder.usage.texts == before


def test_a_judged_response_is_never_embedded_or_read_again(
    judge: LocalJudge, embedder: MiniLMEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = AnswerPair("What is it?", "one answer", "another thing")
    (first,) = judge.probability([pair])
    before = embedder.usage.texts
    vectors = ParquetVectorStore(f"{tmp_path}/vectors", embedder.info.id)
    again = LocalJudge(embedder, vectors, AnswerWordsStore(f"{tmp_path}/words"), lambda _: None)
    monkeypatch.setattr(
        "cachewarm_pipeline.answers.judges.answer_words_store.answer_words", lambda _: pytest.fail("read again")
    )
    (second,) = again.probability([pair._replace(left=pair.right, right=pair.left)])
    assert first == second
    assert embedder.usage.texts == before


def test_groups_of_an_agent_type_are_named_by_their_first_response(judge: LocalJudge) -> None:
    questions = [QUESTION] * len(REWORDED)
    assert judge.groups(questions, REWORDED).tolist() == [0, 0, 2, 0, 4]
    assert judge.groups(questions, REWORDED[::-1]).tolist() == [0, 1, 2, 1, 1]
    assert judge.groups([], []).tolist() == []


def test_same_is_reflexive_and_symmetric_and_agrees_with_the_groups(judge: LocalJudge) -> None:
    pairs = [AnswerPair(QUESTION, left, right) for left in REWORDED for right in REWORDED]
    same = judge.same(pairs, JudgeUse.GROUP).reshape(5, 5)
    np.testing.assert_array_equal(same, same.T)
    assert same.diagonal().all()
    np.testing.assert_array_equal(same[0], [True, True, False, True, False])
    assert judge.same([]).tolist() == []


def test_the_operating_points_go_from_lenient_to_strict() -> None:
    points = local_model().operating_points
    assert 0.5 <= points[JudgeUse.EXCLUDE] < points[JudgeUse.GROUP] < points[JudgeUse.LABEL] < 1
    assert set(points) == set(JudgeUse)


def test_weights_for_other_features_are_refused() -> None:
    weights = dict.fromkeys(FEATURES[1:], 0.0)
    with pytest.raises(ValueError, match="fit it again"):
        model_of({"weights": weights})


def test_the_exact_judge_splits_rewordings() -> None:
    judge = ExactJudge()
    responses = ["Do it.", "do it", "Just do it"]
    assert judge([QueryAnswers("q", responses)]) == [[0, 0, 1]]
    assert judge.groups(["q"] * 4, ["Just do it", *responses]).tolist() == [0, 1, 1, 0]
    pairs = [AnswerPair("q", "Do it.", "do it"), AnswerPair("q", "do it", "Just do it")]
    assert judge.same(pairs).tolist() == [True, False]
    assert judge.probability(pairs).tolist() == [1.0, 0.0]
    assert judge.groups([], []).tolist() == judge.same([]).tolist() == []
