"""Plots for Dagster's pages and for the report: PNG pictures as data URIs.

In: numbers that the stages have computed. Out: data URIs, and Markdown that shows them.

- ``drawing.py``: line plots with matplotlib, and Markdown images
- ``charts.py``: the plots that an asset's page and the report share
"""
