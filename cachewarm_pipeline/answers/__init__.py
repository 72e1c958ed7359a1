"""Answers: which logged responses say the same, which one is warmed, and which queries must not be cached.

In: the distinct responses of each query, with the number of log rows behind them.
Out: groups of equivalent responses, the response to warm, and how stable a query's answer is.

    facts                 the numbers, names, claims and orders in a response that no rewording may change;
                          put together from clauses, number_facts, order_facts and json_facts
    contradictions        the veto: whether two responses claim what the other excludes
    contradiction_words   opposites; contradiction_phrases, number_words and language_words are the other word lists
    languages             whether the veto knows the language of a text
    words_of              reads a word list
    noise_floor           how often the judge calls two answers to one prompt different
    leader_clustering     the clustering algorithm, over positions: nothing about text
    answer_words          the words of one answer, hashed, with what is known of each
    pair_features         the features of a question and two answers; question_kinds says what is asked for
    equivalence_groups    groups of equivalent responses: a judge and clustering together
    judges/               the three judges: exact, local and llm
    probability_matrix    the judge's probabilities for all pairs of a query's responses
    votes                 how many people got a response
    response_choice       which of a query's logged responses is warmed
    answer_pairs          a query's answers in pairs, by time and user
    change_model          whether they merely vary, change over time, or differ by user (empirical Bayes)
    volatility            when a frequent query counts as volatile, and why
    personal_data         personal data and secrets in a query and its response

``candidates`` puts these together for one window of the log.
"""
