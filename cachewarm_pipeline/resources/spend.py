"""What one run may pay a model, and asking it within that: bounded money, tokens and requests under way."""

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple, TypeVar

_Item = TypeVar("_Item")
_Reply = TypeVar("_Reply")


class Cost(NamedTuple):
    """USD and tokens, prompt and completion together."""

    usd: float
    tokens: int


class Spend:
    """The caps of one run, over all that ask the model in it. Prices in USD per million tokens.

    Neither cap is ever passed as long as no request takes more than its upper bound; requests that failed on the
    server are taken as free. Once a request does not fit, nothing more is asked in this run.
    """

    def __init__(
        self, limit: float, prompt_price: float, completion_price: float, max_tokens: int | None = None
    ) -> None:
        """``limit`` in USD; ``max_tokens``: None for no cap on tokens."""
        self.limit = limit
        self.max_tokens = max_tokens
        self.spent = 0.0
        """USD paid, and set aside for requests under way."""
        self.tokens = 0
        """Tokens used, and set aside."""
        self.closed = False
        self.by_tokens = False
        """Whether it was the tokens that closed it."""
        self._prices = prompt_price / 1e6, completion_price / 1e6

    def cost(self, prompt_tokens: int, completion_tokens: int, share: float = 1.0) -> Cost:
        """``share`` of the price is paid: 0.5 in a batch."""
        usd = prompt_tokens * self._prices[0] + completion_tokens * self._prices[1]
        return Cost(usd * share, prompt_tokens + completion_tokens)

    def fits(self, most: Cost) -> bool:
        return not self.closed and self._in_money(most) and self._in_tokens(most)

    def take(self, most: Cost) -> bool:
        """Sets aside what a request takes at most; where that does not fit, closes instead and returns False."""
        if self.fits(most):
            self._add(most.usd, most.tokens)
            return True
        if not self.closed:
            self.closed, self.by_tokens = True, self._in_money(most)
        return False

    def settle(self, most: Cost, used: Cost) -> None:
        """Gives back what was set aside and not used."""
        self._add(used.usd - most.usd, used.tokens - most.tokens)

    def _in_money(self, most: Cost) -> bool:
        return self.spent + most.usd <= self.limit

    def _in_tokens(self, most: Cost) -> bool:
        return self.max_tokens is None or self.tokens + most.tokens <= self.max_tokens

    def _add(self, usd: float, tokens: int) -> None:
        self.spent += usd
        self.tokens += tokens


def ask_within(
    spend: Spend,
    items: Mapping[str, _Item],
    ask: Callable[[_Item], _Reply],
    *,
    most: Callable[[_Item], Cost],
    finished: Callable[[str, _Reply], Cost],
    concurrency: int,
    name: str,
) -> bool:
    """Asks about the items in order, at most ``concurrency`` at once; False where the spend left some out.

    ``most`` is the upper bound of one ``ask``. ``finished(key, reply)`` keeps an answer and says what it cost; it is
    called from this thread. What ``ask`` raises ends the asking, after all that was under way is finished: it is paid.
    """
    running: dict[Future[_Reply], tuple[str, Cost]] = {}

    def settle(future: Future[_Reply]) -> None:
        key, aside = running.pop(future)
        spend.settle(aside, finished(key, future.result()))

    def collect() -> None:
        done = wait(running, return_when=FIRST_COMPLETED).done
        for future in [future for future in running if future in done]:
            settle(future)

    with ThreadPoolExecutor(concurrency, thread_name_prefix=name) as pool:
        try:
            for key, item in items.items():
                aside = most(item)
                # What was set aside comes back as answers come in: so what is asked does not depend on timing.
                while running and (len(running) == concurrency or not spend.fits(aside)):
                    collect()
                if not spend.take(aside):
                    return False
                running[pool.submit(ask, item)] = key, aside
            while running:
                collect()
        finally:
            for future in list(running):
                if not future.cancel() and future.exception() is None:
                    settle(future)
    return True
