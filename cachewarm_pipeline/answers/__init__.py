"""Answers: which logged responses say the same, which one is warmed, and which queries must not be cached.

In: the distinct responses of each query, with the number of log rows behind them.
Out: groups of equivalent responses, the response to warm, and how stable a query's answer is.

    facts                 the numbers, names and claims in a response that no rewording may change
    contradictions        whether the facts of two responses differ
    leader_clustering     the clustering algorithm, over positions: nothing about text
    equivalence_groups    groups of equivalent responses: facts, vectors and clustering together
    judges/               the three judges: exact, local and llm
    response_choice       which of a query's logged responses is warmed
    volatility            when a frequent query counts as volatile
    personal_data         personal data and secrets in a query and its response

``candidates`` puts these together for one window of the log.
"""
