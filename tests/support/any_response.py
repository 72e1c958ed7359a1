"""Short responses for property tests: texts of words that facts depend on, and JSON."""

from hypothesis import strategies as st

WORDS = [
    "use",
    "the",
    "key",
    "not",
    "TLS",
    "1.2",
    "1.3",
    "`a`",
    "`b`",
    "MySQL",
    "from",
    "to",
    "flush_all",
    "yes",
    "no.",
]
RESPONSES = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join),
    st.sampled_from(['{"risk": "low"}', '{"risk": "high"}', '{"risk":"low" }', '{"n": [1, 2]}', '{"n": [2, 1]}']),
)
