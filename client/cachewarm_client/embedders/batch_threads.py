"""What both embedders share: preparing texts, and running batches in threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

import numpy as np

from cachewarm_client.errors import EmbeddingError
from cachewarm_client.text import cut


def prepare(texts: Sequence[str]) -> list[str]:
    """The texts as they are embedded: cut at MAX_PROMPT_CHARS, unpaired surrogates replaced.

    Raises EmbeddingError for a text without content, since its vector would mean nothing.
    """
    prepared = []
    for position, text in enumerate(texts):
        if not text.strip():
            raise EmbeddingError(f"text {position} of {len(texts)} is empty: an empty text has no embedding")
        prepared.append(cut(text).encode("utf-8", "replace").decode("utf-8"))
    return prepared


def run_batches(
    batches: Sequence[list[int]],
    work: Callable[[list[int]], np.ndarray],
    finished: Callable[[list[int], np.ndarray], None],
    threads: int,
) -> None:
    """Call ``work`` on every batch, at most ``threads`` at once, and ``finished`` in the caller's thread.

    The first error of either is raised, and batches that have not started are cancelled. After an error of ``work``,
    running batches are finished first, since they are paid for. A single batch runs without a thread: a reader that
    looks up one prompt should not pay for a pool.
    """
    if threads == 1 or len(batches) == 1:
        for batch in batches:
            finished(batch, work(batch))
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="embed") as pool:
        running: dict[Future[np.ndarray], list[int]] = {pool.submit(work, batch): batch for batch in batches}
        accepted = True
        try:
            for future in as_completed(list(running)):
                batch, vectors = running.pop(future), future.result()
                accepted = False
                finished(batch, vectors)
                accepted = True
        finally:
            for future, batch in list(running.items()):
                # After ``finished`` failed on one batch, it is not called with another.
                if not future.cancel() and future.exception() is None and accepted:
                    finished(batch, future.result())
