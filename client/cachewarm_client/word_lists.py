"""The word lists behind the words of a prompt (cachewarm_client.words). They are English.

NEGATIONS and ROLES, and FILLERS through the roles, are part of the match features. Published weights were fitted on
them, so ``match_features.VERSION`` must rise whenever one of these lists changes.
"""

# fmt: off
NEGATIONS = frozenset(
    [
        "not", "no", "never", "without", "cannot", "none", "nor", "neither", "cant", "dont", "doesnt", "isnt", "wont",
        "didnt", "couldnt", "wasnt", "arent", "havent", "hasnt",
    ]
)
"""Words that negate. A longer list finds more prompts negated: features, contradictions and the local judge change."""

FILLERS = frozenset(
    [
        "a", "an", "the", "is", "are", "was", "were", "be", "do", "does", "did", "i", "i'm", "we", "you",
        "it", "this", "that", "these", "those", "my", "our", "your", "me", "us", "of", "for", "at", "and",
        "so", "please", "kindly", "hey", "hi", "hello", "thanks", "thank", "quick", "question", "just",
        "really", "also", "can", "could", "would", "should",
    ]
)
"""Words that may be exchanged without another meaning. A longer list finds fewer contradictions, and a role word skips
more words to find the word it belongs to."""
# fmt: on

ROLES = {"from": "from", "to": "to", "into": "to", "onto": "to", "before": "before", "after": "after", "than": "than"}
"""Role words, and the role that each gives to the word behind it. A longer list finds more prompts in which a word has
another role ("from Kafka", "to Kafka"): the feature ``exchanged`` changes."""
