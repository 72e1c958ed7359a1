"""The Prometheus metrics of a reader under their former name: see ``cachewarm_client.prometheus_metrics``."""

from cachewarm_client.prometheus_metrics import CacheMetrics, register_metrics

__all__ = ["CacheMetrics", "register_metrics"]
