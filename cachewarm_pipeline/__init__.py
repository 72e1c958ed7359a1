"""Fills a semantic cache before users come, and proves what it will bring."""

__version__ = "0.1.0"
