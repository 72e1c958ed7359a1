"""Match rules that are learned from the labelled log and certified: who may answer a semantic lookup, with a promise.

Proven by benchmarks/match_rules.py (results, what was tried and caveats stand at its top). NOT YET WIRED into the graph
or serving: what is published and applied today is core/match.py's `distance` or `exact_only`.

    binomial   exact bounds          features   what a lookup and its neighbours say    rule      the published form
    certify    the promise           space      re-scores the few nearest entries       simulate  does the promise hold?
                                     fit        the model; features of many queries

The procedure, for each agent_type:
1. Split the labelled log by hash of the canonical query: choose / fit / certify. Choose and fit both train; the
   certifying part stays unseen. A decision is one DISTINCT query; its repeats are no further evidence.
2. `training_rows`, `fit_model`, `learn_scorer` on choose + fit + entries.
3. `plan_thresholds` from the out-of-fold scores; then `describe` and `certify` on the certifying part, once.
4. Step 3 again with the plain similarity as the score. Learned if certified, else distance if certified, else
   exact_only: broken in at most 2 delta of the cases. Never take the one with the larger certified hit rate.

Next step: a `match_rules` asset that does this with the judge's labels, `LearnedRule` inside the published rules (a
new RULES_VERSION), `rule.pack` bytes on each entry, and `rule.decide` in core/lookup.py. Serving may then answer with
another of the ten entries than the nearest. Before that: choose delta (1% is advised), time `decide` on a quiet core.
"""
