"""An embedder as RedisVL wants it: loaded when a lookup first needs a vector, and checked to be the cache's own."""

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
    """Vectors by the embedder that made a generation's. Safe to use from several threads."""

    _info: dict[str, Any] = PrivateAttr()
    _embedder: "Embedder | None" = PrivateAttr(default=None)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, info: Mapping[str, Any], embedder: "Embedder | None" = None) -> None:
        """``info`` is the generation's EmbedderInfo as a mapping; ``embedder`` one to use instead of building it.

        Raises CacheError when that embedder is not the one that made the generation's vectors.
        """
        super().__init__(model=str(info["model"]), dims=int(info["dimensions"]))
        self._info = dict(info)
        self._embedder = embedder
        if embedder is not None and embedder.info.id != info["id"]:
            raise CacheError(
                f"the live generation was embedded by {info['id']!r}, this reader has {embedder.info.id!r}: their "
                "vectors do not compare; open the cache with the embedder that it was warmed with"
            )

    @property
    def type(self) -> str:
        return "cachewarm"

    def same_as(self, info: Mapping[str, Any]) -> bool:
        """Whether vectors of a generation with this EmbedderInfo compare with the ones made here."""
        return bool(info["id"] == self._info["id"] and info["dimensions"] == self.dims)

    def vectors(self, texts: list[str]) -> np.ndarray:
        """float32 (len(texts), dims). Raises EmbeddingError, and CacheError when the size is not the cache's."""
        vectors = self._opened().embed(texts)
        if vectors.shape != (len(texts), self.dims):
            raise CacheError(
                f"the embedder {self._info['id']!r} answered with vectors of shape {vectors.shape}, the cache has "
                f"{self.dims} dimensions: open the cache with the embedder that it was warmed with"
            )
        return vectors

    def buffer(self, text: str) -> bytes:
        """The vector of one text as Redis takes it."""
        return np.ascontiguousarray(self.vectors([text])[0], dtype="<f4").tobytes()

    def _opened(self) -> "Embedder":
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
