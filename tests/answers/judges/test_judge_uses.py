"""The operating points of the judges: what each use promises about contradictions and about wording."""

from pathlib import Path

import numpy as np
import pytest
from cachewarm_client.text import embedding_key

from cachewarm_pipeline.answers.judges.answer_words_store import AnswerWordsStore
from cachewarm_pipeline.answers.judges.local import SOFT_AT_MOST, LocalJudge
from cachewarm_pipeline.answers.judges.local_model import LocalModel, local_model
from cachewarm_pipeline.answers.judges.pair_features import FEATURES
from cachewarm_pipeline.answers.veto.contradictions import contradict
from cachewarm_pipeline.answers.veto.facts import facts
from cachewarm_pipeline.ports import AnswerPair, JudgeUse
from cachewarm_pipeline.proof.plan_gates import no_conflicting_entries
from cachewarm_pipeline.storage.schemas import PLAN_CONFLICTS
from cachewarm_pipeline.storage.vectors import ParquetVectorStore
from tests.support.cache_fakes import TrigramEmbedder, make_plan

QUESTION = "How often is a failed upload retried, and with which version?"
ANSWERS = [
    "A failed upload is retried 3 times.",
    "A failed upload is retried 5 times.",
    "A failed upload is retried 3 times, one after the other.",
    "A failed upload is never retried.",
    "The upload uses TLS 1.2.",
    "The upload uses TLS 1.3.",
    "Yes, it is retried.",
    "No, it is not retried.",
]


def credulous_judge(home: Path) -> LocalJudge:
    """A local judge whose model calls any two answers equivalent: only the contradictions are left."""
    real = local_model()
    model = LocalModel(np.zeros(len(FEATURES)), 6.0, {}, real.operating_points, "nothing")
    embedder = TrigramEmbedder()
    vectors = ParquetVectorStore(str(home / "vectors"), embedder.info.id)
    texts = [QUESTION, *ANSWERS]
    vectors.put([embedding_key(embedder.info.id, text) for text in texts], embedder.embed(texts))
    return LocalJudge(embedder, vectors, AnswerWordsStore(str(home / "words")), lambda _: None, model)


def test_no_operating_point_is_reached_by_answers_that_contradict_each_other() -> None:
    points = local_model().operating_points
    assert set(points) == set(JudgeUse)
    assert 1 / (1 + np.exp(-SOFT_AT_MOST)) < min(points.values())
    assert points[JudgeUse.CHANGED] < points[JudgeUse.GROUP] < points[JudgeUse.LABEL]


def test_a_member_of_an_answer_group_never_contradicts_its_head(tmp_path: Path) -> None:
    heads = credulous_judge(tmp_path).groups([QUESTION] * len(ANSWERS), ANSWERS).tolist()
    assert len(set(heads)) < len(heads)
    assert all(
        contradict(facts(ANSWERS[head]), facts(ANSWERS[member])) is None
        for member, head in enumerate(heads)
        if head != member
    )
    plan = make_plan(
        [
            {"prompt": f"{QUESTION} {place}", "response": text, "answer_group": f"g{head}"}
            for place, (text, head) in enumerate(zip(ANSWERS, heads, strict=True))
        ]
    )
    apart = np.eye(len(ANSWERS), dtype=np.float32)
    verdict = no_conflicting_entries(plan, apart, PLAN_CONFLICTS.empty_table(), "local")
    assert verdict.passed, verdict.worst


@pytest.mark.parametrize("use", list(JudgeUse))
def test_contradicting_answers_are_different_for_every_use(tmp_path: Path, use: JudgeUse) -> None:
    pairs = [AnswerPair(QUESTION, *ANSWERS[at : at + 2]) for at in (0, 4, 6)]
    assert not credulous_judge(tmp_path).same(pairs, use).any()


def test_a_reworded_answer_may_be_too_uncertain_for_evidence_and_still_be_no_change(tmp_path: Path) -> None:
    judge = credulous_judge(tmp_path)
    judge._model = LocalModel(np.zeros(len(FEATURES)), 1.0, {}, local_model().operating_points, "nothing")  # 73%
    pair = [AnswerPair(QUESTION, ANSWERS[0], ANSWERS[2])]
    assert [bool(judge.same(pair, use)[0]) for use in (JudgeUse.LABEL, JudgeUse.CHANGED)] == [False, True]
