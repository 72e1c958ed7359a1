"""Match rules: fitted on one part of the labelled log, certified on another. They decide which semantic lookups are
served, with a bound on the wrong-hit rate.

In: the query log's days, the warming plan, vectors and a judge. Out: the datasets `labelled_queries`, `match_rules`,
`match_vectors` and `match_evidence`, and for planning how likely an entry is expected to answer a similar query.

    assets                    the Dagster assets `labelled_queries` and `match_rules`
    service                   reads what the assets need and calls the functions below
    labelled_queries          distinct log queries with an answer of their own, each in one of three parts
    rule_tables               from datasets to the logs that rules are learned from, and from rules to datasets
    space_learning            the linear space in which wordings of one answer lie close together
    word_weights              how much each differing word says about a different answer
    match_model_fit           cross-fitted features of many queries, entries' reliability, the choice of the penalty
    logistic_regression       the penalised logistic regression
    training                  the models of all agent types, with borrowed weights; no certifying query is read
    certification             thresholds to test, and the test that certifies one of them
    learn_rules               the whole procedure: a rule for each agent type, and its evidence
    hit_probability_curve     the chance that an entry answers a lookup at a cosine, as a curve
    expected_hit_probability  that curve as the match rules of a plan are expected to make it

The procedure (learn_rules), for each agent_type:
1. The labelled log is split by a hash of the query into choose / fit / certify (labelled_queries). The first two parts
   train; the certifying part stays unseen. One DISTINCT query is one decision; its repeats are no further evidence.
2. Training: cross-fitted features of entries and training queries; the model; the learned space and the word weights,
   which all agent types share; and how reliable each entry is.
3. Thresholds come from the out-of-fold scores. `certify` then tests them on the certifying part, once.
4. Step 3 is repeated with the plain similarity as the score. The rule is `learned` if the first test certifies a
   threshold, else `distance` if the second does, else `exact_only`: wrong in at most 2 delta of the cases. The choice
   never depends on which of the two certified the larger hit rate.

The published form is `MatchRules` of cachewarm_client/match_rules.py. benchmarks/match_rules.py compares the methods
that were tried, and benchmarks/promise.py measures how often the certificate's promise breaks.
"""
