"""Fills a semantic cache before users come, and proves what it will bring.

The stages, in the order in which data flow: ``query_log``, ``answers``, ``candidates``, ``freshness``, ``match_rules``,
``planning``, ``proof``, ``publishing``, ``measurement``, ``reporting``. Under them: ``errors``, ``days``,
``exclusion_reasons``, ``number_format``, ``numerics``, ``settings``, ``storage``, ``plots``, ``models``, ``ports``.
Over them: ``embedded``, ``workspace``, ``lineage``, then each stage's ``assets`` and ``checks``, ``automation``,
``definitions``, ``cli``. docs/architecture.md has the map.
"""
