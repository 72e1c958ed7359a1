"""Candidates: the prompts with answers that could be warmed, from three sources.

In: the findings of the application, the daily counts of its query log, and base queries. Out: the datasets
``golden_candidates``, ``frequent_queries`` (with ``unfit_queries`` and ``judge_noise`` for reviewers) and
``synthetic_variants``. Every row that is excluded is counted under a reason.

- ``golden_candidates``: which findings become candidates.
- ``window_rollup``: a window of daily counts as frequent queries; ``window_counts``: their counts and responses;
  ``window_responses``: the responses as numbers.
- ``base_queries``: which queries the model writes variants for; ``variant_writers``: what writes them.
- ``variant_filter``: which variants become candidates; ``variant_neighbours``: which are nearer to another question;
  ``variant_table``: their rows.
- ``service`` and ``variant_service``: the candidates of a day through the ports.
- ``provenance``: what an answer depends on.
- ``assets`` and ``variants_page``: the Dagster assets and what their pages show.
"""
