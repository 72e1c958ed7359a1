"""What all assets and checks of the lineage graph share. Imports Dagster; the stages' ``assets.py``, ``checks.py`` and
``*_page.py`` import it.

- ``partitions.py``: the daily partitions and the mappings of lookback windows
- ``daily_asset.py``: the one decorator of our assets, their groups and pools, and the days of a run
- ``asset_page.py``: metadata for an asset's page: tables, pictures, column schemas, costs
- ``check_result.py``: a gate's verdict as an asset check result
- ``workspace_resource.py``: the one resource, a workspace built from the environment's settings
"""
