"""Planning: which candidates become cache entries on a day.

In: the candidate tables (golden, frequent, synthetic), the labelled queries, the vectors of prompts, and what
``freshness`` knows of stale, withdrawn and idle entries. Out: the datasets ``warming_plan``, ``plan_conflicts`` and
``plan_curve``. The decisions are pure; ``service.py`` reads and never writes, ``assets.py`` writes.

- ``service.py``: the plan of a day, selected in two passes
- ``warming_plan.py``: union of the candidate tables, quality floors, conflicts, answer groups, plan hash
- ``entry_conflicts.py``: pairs of prompts that no lookup can tell apart
- ``expected_demand.py``: lookups a day per agent_type, and the candidates near each
- ``entry_selection.py``: selection by coverage under a budget; ``greedy_coverage.py``: the lazy greedy algorithm
- ``gain_curves.py``: expected hits by number of entries, against two other orders
- ``candidate_row.py``: the rows that these files hand to each other
- ``embedding_service.py``: the vectors of a day
- ``planned_cost.py``: tokens and dollars of a run before anything is paid
- ``assets.py``, ``plan_page.py``: the Dagster assets ``embeddings`` and ``warming_plan``, and their pages
"""
