"""Answers: which logged responses say the same, which one is warmed, and which queries must not be cached.

In: the distinct responses of each query, with the number of log rows behind them.
Out: groups of equivalent responses, the response to warm, and how stable a query's answer is.

    judges/               how likely two answers serve a person equally well: exact, local and llm
    veto/                 whether two answers contradict each other
    leader_clustering     the clustering algorithm, over positions: nothing about text
    equivalence_groups    groups of equivalent responses: a judge and clustering together
    probability_matrix    the judge's probabilities for all pairs of a query's responses
    votes                 how many people got a response
    response_choice       which of a query's logged responses is warmed
    answer_pairs          a query's answers in pairs, by time and user
    change_model          whether they merely vary, change over time, or differ by user (empirical Bayes)
    volatility            when a frequent query counts as volatile, and why
    noise_floor           how often the judge calls two answers to one prompt different
    personal_data         personal data and secrets in a query and its response

``candidates`` puts these together for one window of the log.
"""
