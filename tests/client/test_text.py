"""Canonical form, stable ids and user hashes."""

from cachewarm_client.text import MAX_PROMPT_CHARS, canonical, cut, embedding_key, entry_id, hash_user, sha256_hex
from cachewarm_client.wrong_hit_reports import reporter_sha
from hypothesis import given
from hypothesis import strategies as st


@given(st.text())
def test_canonical_form_is_idempotent(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


@given(st.text(alphabet="abcXYZ äßé.?! ", min_size=1))
def test_case_outer_white_space_and_sentence_marks_do_not_change_the_id(text: str) -> None:
    assert entry_id(f"  {text.upper().lower()} ??", "a") == entry_id(text.upper().lower(), "a")


def test_prompts_with_another_meaning_keep_their_own_id() -> None:
    different = [
        "what is c",
        "what is c#",
        "what is c++",
        "what is .net",
        "what is net",
        "is tls 1.2 ok",
        "is tls 1.3 ok",
        "what is 25",
        "what is 2⁵",
        "what is 2₅",
        "cd",
        "cd .",
        "cd ..",
    ]
    assert len({entry_id(text, "a") for text in different}) == len(different)


def test_the_same_prompt_of_two_agent_types_is_two_entries() -> None:
    assert entry_id("hello", "a") != entry_id("hello", "b")


def test_control_and_invisible_characters_count_as_white_space() -> None:
    assert canonical("plan\x00 the\u200b\u200b api\r\n") == "plan the api"


@given(st.text(alphabet="a.…?'”² ₂\u200b"))
def test_canonical_form_of_dots_and_small_digits_is_idempotent(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


def test_marks_around_a_path_of_dots_are_trimmed() -> None:
    assert {canonical(text) for text in ("cd ..", "cd ..?", "'cd ..'", "CD '..' ?!")} == {"cd .."}
    assert canonical("so ... ") == canonical("so…") == "so"


def test_the_canonical_form_of_marks_alone_is_empty() -> None:
    assert canonical(" ?!… \u200b") == ""


def test_a_prompt_is_its_first_2000_characters() -> None:
    assert len(cut("x" * 50_000)) == MAX_PROMPT_CHARS
    assert entry_id("x" * 2_000 + "tail", "a") == entry_id("x" * 2_000, "a")


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_no_two_lists_of_parts_share_a_hash(left: list[str], right: list[str]) -> None:
    assert (sha256_hex(*left) == sha256_hex(*right)) == (left == right)


def test_a_lone_surrogate_from_a_broken_log_row_still_has_an_id() -> None:
    assert len(entry_id("broken \ud800 text", "a")) == 64


def test_the_embedding_key_depends_on_the_model_and_the_exact_text() -> None:
    assert len({embedding_key("m", "a"), embedding_key("n", "a"), embedding_key("m", "A")}) == 3


def test_a_user_of_the_log_and_the_same_person_as_a_reporter_have_one_hash() -> None:
    assert hash_user("alice@example.org") == reporter_sha("alice@example.org")
    assert hash_user("") == "e3b0c44298fc1c14"  # SHA-256 of nothing: stored hashes must never change
