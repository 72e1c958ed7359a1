"""An embedder as a RedisVL vectorizer: opened when a lookup first needs a vector, and checked to be the cache's own."""

import asyncio
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import PrivateAttr
from redisvl.utils.vectorize.base import BaseVectorizer

from cachewarm_client.errors import CacheError

if TYPE_CHECKING:
    from cachewarm_client.embedders.embedder import Embedder


class EmbedderVectorizer(BaseVectorizer):  # type: ignore[misc]  # RedisVL has no type information
    """Vectors by the embedder that made a generation's vectors. Thread-safe."""

    _info: dict[str, Any] = PrivateAttr()
    _embedder: "Embedder | None" = PrivateAttr(default=None)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, info: Mapping[str, Any], embedder: "Embedder | None" = None) -> None:
        """``info`` is the generation's EmbedderInfo as a mapping; ``embedder`` is one to use instead of opening it.

        Raises CacheError when ``embedder`` is another one than made the generation's vectors.
        """
        super().__init__(model=str(info["model"]), dims=int(info["dimensions"]))
        self._info = dict(info)
        self._embedder = embedder
        if embedder is not None and embedder.info.id != info["id"]:
            raise CacheError(
                f"the live generation was embedded by {info['id']!r}, this reader has {embedder.info.id!r}: their "
                "vectors cannot be compared; open the cache with the embedder that it was warmed with"
            )

    @property
    def type(self) -> str:
        return "cachewarm"

    def same_as(self, info: Mapping[str, Any]) -> bool:
        """Whether vectors made here can be compared with those of a generation with this EmbedderInfo."""
        return bool(info["id"] == self._info["id"] and info["dimensions"] == self.dims)

    def vectors(self, texts: list[str]) -> np.ndarray:
        """Vectors, float32 (len(texts), dims).

        Raises EmbeddingError, CacheError when they have other dimensions than the cache, and EmbeddedError or
        ConfigurationError when the embedder is not installed or configured.
        """
        vectors = self._open_embedder().embed(texts)
        if vectors.shape != (len(texts), self.dims):
            raise CacheError(
                f"the embedder {self._info['id']!r} returned vectors of shape {vectors.shape}, the cache has "
                f"{self.dims} dimensions: open the cache with the embedder that it was warmed with"
            )
        return vectors

    def buffer(self, text: str) -> bytes:
        """The vector of one text as float32 bytes, as Redis stores it."""
        return np.ascontiguousarray(self.vectors([text])[0], dtype="<f4").tobytes()

    def _open_embedder(self) -> "Embedder":
        if self._embedder is None:
            with self._lock:
                if self._embedder is None:
                    from cachewarm_client.embedders.open_embedder import open_from_info

                    self._embedder = open_from_info(self._info)
        return self._embedder

    def _embed(self, content: Any, **kwargs: Any) -> list[float]:
        return [float(value) for value in self.vectors([content])[0]]

    def _embed_many(self, contents: list[Any], batch_size: int = 10, **kwargs: Any) -> list[list[float]]:
        return [[float(value) for value in row] for row in self.vectors(contents)]

    async def _aembed(self, content: Any, **kwargs: Any) -> list[float]:
        return await asyncio.to_thread(self._embed, content)

    async def _aembed_many(self, contents: list[Any], batch_size: int = 10, **kwargs: Any) -> list[list[float]]:
        return await asyncio.to_thread(self._embed_many, contents)
