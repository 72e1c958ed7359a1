"""How texts are put into batches. Pure: sizes in, positions out."""

from collections.abc import Sequence


def padded_batches(lengths: Sequence[int], max_texts: int, max_padded_tokens: int) -> list[list[int]]:
    """Positions of texts in batches for a model that pads each batch to its longest text.

    Texts are sorted by length (stable), so that there is little padding. Each batch has at most ``max_texts`` texts and
    ``texts x longest <= max_padded_tokens``; a longer text is a batch of its own. Every position occurs once.
    """
    if max_texts < 1:
        raise ValueError("max_texts must be at least 1")
    batches: list[list[int]] = []
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        longest = lengths[position]  # ascending order: the latest is the longest
        if batch and (len(batch) == max_texts or (len(batch) + 1) * longest > max_padded_tokens):
            batches.append(batch)
            batch = []
        batch.append(position)
    if batch:
        batches.append(batch)
    return batches


def summed_batches(sizes: Sequence[int], max_texts: int, max_total: int) -> list[list[int]]:
    """Positions of texts in batches for a server that limits the texts and the total size of a request.

    The order is kept. Each batch has at most ``max_texts`` texts and a sum of sizes ``<= max_total``. Every position
    occurs once. Raises ValueError for a single text that is larger.
    """
    if max_texts < 1:
        raise ValueError("max_texts must be at least 1")
    batches: list[list[int]] = []
    batch: list[int] = []
    total = 0
    for position, size in enumerate(sizes):
        if size > max_total:
            raise ValueError(f"text {position} has size {size}, more than a request may hold ({max_total})")
        if batch and (len(batch) == max_texts or total + size > max_total):
            batches.append(batch)
            batch, total = [], 0
        batch.append(position)
        total += size
    if batch:
        batches.append(batch)
    return batches
