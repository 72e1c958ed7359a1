"""Match rules that are learned from the labelled log and certified: who may answer a semantic lookup, with a promise.

    binomial   exact bounds          features   what a lookup and its neighbours say    model     the weights, as data
    certify    the promise           space      re-scores the few nearest entries       rule      applies it to a lookup
    tables     from and to datasets  fit        the model; features of many queries     learn     the procedure, whole
    simulate   does the promise hold?  word_weights  which differing words matter       foresee   what will be served

The procedure (learn.py), for each agent_type:
1. The labelled log is split by hash of the query: choose / fit / certify (match_rules.labelled_queries). Both of the
   first train; the certifying part stays unseen. A decision is one DISTINCT query; its repeats are no further evidence.
2. Cross-fitted features of entries and training queries; the model; the learned space and the weights of words, which
   all agent types share; how reliable each entry is.
3. Thresholds from the out-of-fold scores; then `certify` on the certifying part, once.
4. Step 3 again with the plain similarity as the score. Learned if certified, else distance if certified, else
   exact_only: broken in at most 2 delta of the cases. Never the one with the larger certified hit rate.

What is published is cachewarm_client/match_rules.py's `MatchRules`; benchmarks/match_rules.py compares what was tried.
"""
