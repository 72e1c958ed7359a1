"""Budgets: what one run may pay for models. Requests are made only within a budget of money, tokens and concurrency."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cachewarm_pipeline.errors import SpendCapError
from cachewarm_pipeline.models.usage_prices import Price

if TYPE_CHECKING:
    from cachewarm_pipeline.models.usage_ledger import Ledger

_Item = TypeVar("_Item")
_Reply = TypeVar("_Reply")


class ModelCost(NamedTuple):
    """The cost of one or more requests."""

    usd: float
    tokens: int
    """Prompt and completion tokens together."""


class Meter:
    """Notes the usage of one model in the ledger, at its price. Safe to call from several threads."""

    def __init__(self, ledger: "Ledger", price: Price) -> None:
        self._ledger, self._price = ledger, price

    @property
    def run_id(self) -> str:
        """The run that pays."""
        return self._ledger.run_id

    def note(self, prompt_tokens: int, completion_tokens: int = 0, share: float = 1.0) -> None:
        """Note the tokens of one answer. Call it as soon as the answer arrives: it is paid for even if it turns out to
        be unusable. ``share`` is the part of the price that is paid: 0.5 in a batch."""
        self._ledger.note(self._price, prompt_tokens, completion_tokens, share)

    def write(self) -> None:
        """Store what was noted. Call it with every batch of answers that is stored, and when asking ends."""
        self._ledger.write()


class RunBudget:
    """The budget of a run for all models together: embedding, writing and judging. Safe to call from several threads.

    Before a request is sent, the most that it can cost is reserved. The budget is never exceeded as long as no attempt
    takes more than this upper bound. The reservation stays where the answer is lost (``unanswered_request_retries``).
    An attempt is free where the server itself says that there is no answer.

    Where each step has its own process, the budget starts with what the run has spent so far (``Workspace.begin``). It
    applies across consecutive steps, as the steps of one pool are.
    """

    def __init__(self, limit: float | None = None) -> None:
        """``limit`` in USD; None for no limit."""
        self.limit = limit
        self.spent = 0.0
        """USD paid, and reserved for requests under way and for submitted batches."""
        self._under_way = 0
        self._settled = threading.Condition()

    def start(self, spent: float) -> None:
        """Begin a run, or continue one that has spent ``spent`` USD in another process."""
        with self._settled:
            self.spent = spent

    def fits(self, usd: float) -> bool:
        """Whether this much could be reserved now."""
        return self.limit is None or self.spent + usd <= self.limit

    def reserve(self, usd: float) -> bool:
        """Reserve the most that a request can cost; False where it does not fit."""
        with self._settled:
            if self.fits(usd):
                self.spent += usd
                return True
            return False

    def settle(self, reserved: float, used: float) -> None:
        """Release the part of a reservation that was not used."""
        with self._settled:
            self.spent += used - reserved

    def reserve_or_wait(self, usd: float) -> bool:
        """Like ``reserve``, but wait where it does not fit: most of what other requests reserved is released again.

        Only requests that were reserved by this method are waited for. Call ``settle_and_notify`` for each that
        returned True."""
        with self._settled:
            while not self.fits(usd) and self._under_way:
                self._settled.wait()
            if not self.fits(usd):
                return False
            self.spent += usd
            self._under_way += 1
            return True

    def settle_and_notify(self, reserved: float, used: float) -> None:
        """Like ``settle``, and wake the callers that wait in ``reserve_or_wait``."""
        with self._settled:
            self.spent += used - reserved
            self._under_way -= 1
            self._settled.notify_all()


class ModelBudget:
    """The budget of a run for one model, over all that ask it. Safe to call from several threads.

    Reservations work as in ``RunBudget``, and are made there too. Once a request does not fit, the budget is closed:
    nothing more is asked of the model in this run.
    """

    def __init__(
        self,
        limit: float,
        prompt_price: float,
        completion_price: float,
        max_tokens: int | None = None,
        run_budget: RunBudget | None = None,
    ) -> None:
        """``limit`` in USD, prices in USD per million tokens, ``max_tokens`` None for no token cap. ``run_budget`` is
        the budget for all models together."""
        self.limit = limit
        self.max_tokens = max_tokens
        self.spent = 0.0
        """USD paid, and reserved for requests under way."""
        self.tokens = 0
        """Tokens used, and reserved."""
        self.closed = False
        self.closed_by_tokens = False
        """Whether the token cap closed it."""
        self.closed_by_run = False
        """Whether the budget of the whole run closed it."""
        self._run_budget = run_budget or RunBudget()
        self._prices = prompt_price / 1e6, completion_price / 1e6
        self._lock = threading.Lock()

    def start(self, spent: ModelCost) -> None:
        """Begin a run, or continue one that has spent this in another process. ``RunBudget.start`` is called apart."""
        with self._lock:
            self.spent, self.tokens = spent
            self.closed = self.closed_by_tokens = self.closed_by_run = False

    def cost(self, prompt_tokens: int, completion_tokens: int, share: float = 1.0) -> ModelCost:
        """The cost of these tokens. ``share`` is the part of the price that is paid: 0.5 in a batch."""
        usd = prompt_tokens * self._prices[0] + completion_tokens * self._prices[1]
        return ModelCost(usd * share, prompt_tokens + completion_tokens)

    def fits(self, most: ModelCost) -> bool:
        """Whether this much could be reserved now."""
        return not self.closed and self._in_money(most) and self._in_tokens(most) and self._run_budget.fits(most.usd)

    def reserve(self, most: ModelCost) -> bool:
        """Reserve the most that a request can cost. Where it does not fit, close the budget and return False."""
        with self._lock:
            if self.fits(most) and self._run_budget.reserve(most.usd):
                self._add(most.usd, most.tokens)
                return True
            if not self.closed:
                self.closed = True
                self.closed_by_tokens = self._in_money(most) and not self._in_tokens(most)
                self.closed_by_run = self._in_money(most) and self._in_tokens(most)
            return False

    def settle(self, reserved: ModelCost, used: ModelCost) -> None:
        """Release the part of a reservation that was not used."""
        with self._lock:
            self._add(used.usd - reserved.usd, used.tokens - reserved.tokens)
        self._run_budget.settle(reserved.usd, used.usd)

    def attempt_reserver(self, setting: str, tokens_setting: str = "") -> Callable[[int, int], None]:
        """A function that reserves a further attempt at a request, given its (prompt, completion) tokens.

        The reservation is never released, because the attempt before may be billed. The function raises SpendCapError
        where the attempt does not fit; the message names the cap by its setting, as ``cap`` does.
        """

        def reserve_attempt(prompt_tokens: int, completion_tokens: int) -> None:
            if not self.reserve(self.cost(prompt_tokens, completion_tokens)):
                cap = self.cap(setting, tokens_setting)
                raise SpendCapError(f"an attempt had no answer and another one does not fit the {cap}")

        return reserve_attempt

    def cap(self, setting: str, tokens_setting: str = "") -> str:
        """The cap that closed the budget, named by its setting: ``setting`` for the limit in USD, ``tokens_setting``
        for the token cap."""
        if self.closed_by_run:
            return f"spend cap of ${self._run_budget.limit:g} over all models (CACHEWARM_MAX_USD)"
        if self.closed_by_tokens:
            return f"token cap of {self.max_tokens:,} ({tokens_setting})"
        return f"spend cap of ${self.limit:g} ({setting})"

    def _in_money(self, most: ModelCost) -> bool:
        return self.spent + most.usd <= self.limit

    def _in_tokens(self, most: ModelCost) -> bool:
        return self.max_tokens is None or self.tokens + most.tokens <= self.max_tokens

    def _add(self, usd: float, tokens: int) -> None:
        self.spent += usd
        self.tokens += tokens


def ask_within_budget(
    budget: ModelBudget,
    items: Mapping[str, _Item],
    ask: Callable[[_Item], _Reply],
    *,
    most: Callable[[_Item], ModelCost],
    finished: Callable[[str, _Reply], ModelCost],
    concurrency: int,
    name: str,
) -> bool:
    """Ask about the items in order, at most ``concurrency`` at once. False where the budget did not allow all of them.

    ``most`` is the upper bound of one ``ask``. ``finished(key, reply)`` keeps an answer and returns its cost; it is
    called from this thread. An error of ``ask`` ends the asking, but only after the requests under way are finished:
    they are paid for. A SpendCapError of ``ask`` skips its item alone, and the item's reservation stays. ``name``
    prefixes the names of the threads.
    """
    running: dict[Future[_Reply], tuple[str, ModelCost]] = {}
    all_asked = True

    def settle(future: Future[_Reply]) -> None:
        nonlocal all_asked
        key, reserved = running.pop(future)
        try:
            reply = future.result()
        except SpendCapError:
            all_asked = False
            return
        budget.settle(reserved, finished(key, reply))

    def collect() -> None:
        done = wait(running, return_when=FIRST_COMPLETED).done
        for future in [future for future in running if future in done]:
            settle(future)

    with ThreadPoolExecutor(concurrency, thread_name_prefix=name) as pool:
        try:
            for key, item in items.items():
                reserved = most(item)
                # Answers release reservations. Waiting for them makes what is asked independent of timing.
                while running and (len(running) == concurrency or not budget.fits(reserved)):
                    collect()
                if not budget.reserve(reserved):
                    return False
                running[pool.submit(ask, item)] = key, reserved
            while running:
                collect()
        finally:
            for future in list(running):
                if not future.cancel() and future.exception() is None:
                    settle(future)
    return all_asked
