"""The facts of a response: the names of code in it."""

import re

from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.answers.veto.facts import code_names


@given(st.text(alphabet="aB_./- é1", max_size=14))
def test_code_names_are_those_of_one_slow_expression(text: str) -> None:
    assert code_names(text) == re.findall(r"[\w./-]*\w_\w[\w./-]*|\b[a-z]+[A-Z]\w*", text)
