"""Judges: which responses are equivalent, behind the one ``Judge`` port (ports.py).

In: pairs, queries or whole agent types of responses. Out: flags or groups of equivalent ones, and what that cost.

    open_judge              the judge that CACHEWARM_JUDGE names
    exact_match             `exact`: the same JSON or text; costs nothing
    embedding_similarity    `embedding`, the default: same facts and near vectors; EQUIVALENT_COSINE is the threshold
    llm                     `llm`: a chat model decides about near pairs with the same facts
    judge_question          the question to that model, and how its answer is read
    verdict_store           the model's verdicts on disk: no pair is paid for twice
"""
