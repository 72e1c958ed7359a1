"""Opens the embedder that a live generation names, for a reader that embeds one text at a time."""

from collections.abc import Mapping
from typing import Any

from cachewarm_client.embedders.embedder import Embedder
from cachewarm_client.errors import ConfigurationError


def open_from_info(
    info: Mapping[str, Any],
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    timeout: float = 5.0,
    max_retries: int = 1,
) -> Embedder:
    """The embedder of a published ``EmbedderInfo`` (as a mapping).

    ``api_key`` and ``base_url`` default to OPENAI_API_KEY and OPENAI_BASE_URL. ``timeout`` (seconds) and
    ``max_retries`` are small because a user waits. Raises EmbeddedError or ConfigurationError when the embedder's extra
    is not installed, and ConfigurationError when the embedder has another id here, since its vectors could not be
    compared with the stored ones.
    """
    wanted, kind, model, dimensions = (info.get(name) for name in ("id", "kind", "model", "dimensions"))
    built: Embedder
    if kind == "minilm":
        from cachewarm_client.embedders.minilm import MiniLMEmbedder

        built = MiniLMEmbedder()
    elif kind == "openai" and isinstance(model, str) and (dimensions is None or isinstance(dimensions, int)):
        from cachewarm_client.embedders.openai import OpenAIEmbedder, model_id

        built = OpenAIEmbedder(
            model,
            api_key=api_key,
            base_url=base_url,
            dimensions=dimensions if wanted == model_id(model, dimensions) else None,
            expected_dimensions=dimensions,
            usd_per_million_tokens=float(info.get("usd_per_million_tokens") or 0.0),
            timeout=timeout,
            max_retries=max_retries,
        )
    else:
        raise ConfigurationError(
            f"the cache was embedded by {wanted!r} of the unknown kind {kind!r}: upgrade cachewarm-client where "
            "this cache is read"
        )
    if built.info.id != wanted:
        raise ConfigurationError(
            f"the cache was embedded by {wanted!r} and this reader has {built.info.id!r}: their vectors cannot be "
            "compared; use the same version on both sides, or warm the cache again"
        )
    return built
