"""What both embedders share: texts made fit to embed, and batches run in threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

import numpy as np

from cachewarm_client.errors import EmbeddingError
from cachewarm_client.text import cut


def prepare(texts: Sequence[str]) -> list[str]:
    """The texts as they are embedded: cut at MAX_PROMPT_CHARS, unpaired surrogates replaced.

    Raises EmbeddingError for a text without content: no provider embeds one to anything of meaning.
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
    """``work`` on every batch, at most ``threads`` at once; ``finished`` is called in the caller's thread.

    The first error, of either, stops what has not begun and is raised. After one of ``work``, what was under way is
    finished first: it is paid. One batch runs without a thread: a reader that looks up one prompt should not pay for a
    pool.
    """
    if threads == 1 or len(batches) == 1:
        for batch in batches:
            finished(batch, work(batch))
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="embed") as pool:
        running: dict[Future[np.ndarray], list[int]] = {pool.submit(work, batch): batch for batch in batches}
        taken = True
        try:
            for future in as_completed(list(running)):
                batch, vectors = running.pop(future), future.result()
                taken = False
                finished(batch, vectors)
                taken = True
        finally:
            for future, batch in list(running.items()):
                # Whoever could not take one batch is not given another.
                if not future.cancel() and future.exception() is None and taken:
                    finished(batch, future.result())
