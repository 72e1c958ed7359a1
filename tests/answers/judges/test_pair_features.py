"""The words of an answer, and the features of a pair."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachewarm_pipeline.answers.judges.answer_words import (
    FIRST,
    NAME,
    NUMBER,
    AnswerWords,
    answer_words,
    stems_of,
    word_hash,
)
from cachewarm_pipeline.answers.judges.answer_words_store import AnswerWordsStore
from cachewarm_pipeline.answers.judges.pair_features import FEATURES, Rarity, Texts, pair_features
from cachewarm_pipeline.answers.judges.question_kinds import asks_for_name, asks_for_number, asks_how

TEXT = st.text(alphabet=st.sampled_from(list("abcABC 019.,!?'-\n{}[]\":第二年ก")), max_size=120)


def flags_of(text: str, stem: str) -> int:
    words = answer_words(text)
    place = np.flatnonzero(words.words == np.uint64(word_hash(stem)))
    return int(words.flags[place[0]]) if len(place) else -1


def test_words_know_names_numbers_and_the_first_sentence() -> None:
    text = "The tower was built by Gustave Eiffel. It has three floors and 1,665 steps."
    assert flags_of(text, "eiffel") & (NAME | FIRST) == NAME | FIRST
    assert flags_of(text, "3") & NUMBER
    assert flags_of(text, "1665") == NUMBER
    assert flags_of(text, "step") == 0


def test_a_greeting_or_a_hedge_is_not_the_first_sentence() -> None:
    assert flags_of("Sure! The limit is 50 requests.", "50") & FIRST
    assert flags_of("Sorry, I could not find that page. The limit is 50 requests.", "50") & FIRST


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("in Canada1.", "in Canada."),
        ("the 2nd step", "the 2 step"),
        ("Rotates keys", "rotate key"),
        ("seven days", "7 days"),
        ('{"level": "high"}', "level: high"),
    ],
)
def test_spellings_of_one_word_have_one_stem(left: str, right: str) -> None:
    assert stems_of(left) == stems_of(right)


def test_scripts_without_blanks_are_compared_by_pairs_of_characters() -> None:
    assert stems_of("设置密码") == {"设置", "置密", "密码"}


@given(TEXT)
def test_stored_words_are_the_words(text: str) -> None:
    words = answer_words(text)
    again = AnswerWords.of_bytes(words.to_bytes())
    assert again.words.tolist() == words.words.tolist()
    assert (again.flags.tolist(), again.length) == (words.flags.tolist(), words.length)
    assert (np.diff(words.words.astype(object)) > 0).all()


def test_other_bytes_are_not_words() -> None:
    with pytest.raises(ValueError, match="are not the words"):
        AnswerWords.of_bytes(answer_words("two words").to_bytes()[:-1])


def test_the_store_gives_back_what_it_read(tmp_path: Path) -> None:
    texts = ["one text", "another text", "one text", ""]
    first = AnswerWordsStore(str(tmp_path)).of(texts)
    second = AnswerWordsStore(str(tmp_path)).of(texts)
    assert {text: words.to_bytes() for text, words in first.items()} == {
        text: words.to_bytes() for text, words in second.items()
    }


def features(question: str, left: str, right: str, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(3, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    texts = [question, left, right]
    described = Texts([answer_words(text) for text in texts], vectors, texts)
    return pair_features(described, np.array([[0, 1, 2]]), Rarity({"the": 0.0}))[0]


@settings(max_examples=200)
@given(TEXT, TEXT, TEXT)
def test_features_are_finite_and_the_same_in_both_orders(question: str, left: str, right: str) -> None:
    vectors = np.eye(3, 8, dtype=np.float32)
    texts = [question, left, right]
    described = Texts([answer_words(text) for text in texts], vectors, texts)
    both = pair_features(described, np.array([[0, 1, 2], [0, 2, 1]]), Rarity({}))
    assert both.shape == (2, len(FEATURES))
    assert np.isfinite(both).all()
    np.testing.assert_allclose(both[0], both[1])


def test_features_of_a_pair_do_not_depend_on_the_other_pairs_of_the_block() -> None:
    texts = ["Where is it?", "In Paris, near the river.", "It is in Lyon.", "Ask in Rome at 9."]
    vectors = np.eye(4, 8, dtype=np.float32)
    described = Texts([answer_words(text) for text in texts], vectors, texts)
    pairs = np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3]])
    together = pair_features(described, pairs, Rarity({}))
    alone = np.concatenate([pair_features(described, pairs[k : k + 1], Rarity({})) for k in range(3)])
    np.testing.assert_allclose(together, alone)


def test_a_clash_needs_something_on_both_sides() -> None:
    column = {name: place for place, name in enumerate(FEATURES)}
    added = features("Who?", "It was Ada.", "It was Ada with Grace.")
    clash = features("Who?", "It was Ada.", "It was Grace.")
    assert added[column["name_clash"]] == 0 < clash[column["name_clash"]]
    assert clash[column["asks_name_name_none"]] == 1


def test_kinds_of_questions() -> None:
    assert asks_for_number("When did it open?")
    assert asks_for_number("how many users fit?")
    assert asks_for_name("Who wrote it?")
    assert asks_how("How do I turn it on?")
    assert asks_how("Write a short poem")
    assert not asks_how("the capital of France")
