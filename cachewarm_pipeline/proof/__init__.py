"""Proof: how often will the plan's entries hit on held-out traffic, how often will they be wrong, and may they be
published?

In: the log's daily counts, the plan, the match rules with their evidence, and the vectors. Out: the datasets ``replay``
and ``replay_decisions``, and one verdict per gate. ``publishing`` loads only a plan that every gate has passed.

- ``service.py``: the replay of a day; reads and never writes. ``replay_split.py``: which days are held out
- ``held_out_lookups.py``: which entry would serve each held-out query, and whether its answer is right
- ``replay_simulation.py``: hits of a warmed and a cold cache, day by day
- ``replay_summary.py``: rates, lift and bounds. ``precision_curve.py``: what other thresholds would do
- ``replay_history.py``: past replays as lines over days
- ``plan_gates.py``: gates on vectors, plan and loaded cache. ``wrong_hit_gate.py``: the gate on the wrong-hit rate
- ``gate_verdict.py``, ``gate_verdict_store.py``, ``gate_remediation.py``: a verdict, where it is stored, what to do
- ``assets.py``, ``checks.py``, ``replay_page.py``, ``replay_history_chart.py``: the Dagster side
"""
