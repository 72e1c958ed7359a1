"""Judges: which responses are equivalent, behind the one ``Judge`` port (ports.py).

In: pairs, queries or whole agent types of responses. Out: flags or groups of equivalent ones, and what that cost.

    open_judge              the judge that CACHEWARM_JUDGE names
    exact_match             `exact`: the same JSON or text; costs nothing
    local                   `local`, the default: a small model over features of question and answers, and a veto
    answer_words            the words of one answer, hashed, with what is known of each
    pair_features           the features of a question and two answers; question_kinds says what is asked for
    local_model             its weights, plain data in local_weights.json (fitted by benchmarks.fit_judge)
    answer_words_store      the words of answers on disk: no text is read twice
    llm                     `llm`: a chat model decides where the local judge is not certain
    judge_question          all that is said to that model, and how its answer is read
    judge_injection         which texts instruct the judge and are not sent to it
    response_vectors        the vectors of responses, embedded once and kept for the pairs that follow
    verdict_store           the model's verdicts on disk: no pair is paid for twice
"""
