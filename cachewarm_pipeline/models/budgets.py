"""What one run may pay a model, and asking it within that: bounded money, tokens and requests under way."""

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
    """USD and tokens, prompt and completion together."""

    usd: float
    tokens: int


class Meter:
    """Where the usage of one model goes: into the ledger, at its price. Safe to call from several threads."""

    def __init__(self, ledger: "Ledger", price: Price) -> None:
        self._ledger, self._price = ledger, price

    @property
    def run_id(self) -> str:
        """The run that pays."""
        return self._ledger.run_id

    def note(self, prompt_tokens: int, completion_tokens: int = 0, share: float = 1.0) -> None:
        """Of one answer, as soon as it is there: what becomes of it later was paid all the same."""
        self._ledger.note(self._price, prompt_tokens, completion_tokens, share)

    def write(self) -> None:
        """Stores what was noted; to be called with every batch that is stored, and when asking ends."""
        self._ledger.write()


class RunBudget:
    """The one cap of a run, over embedding, writing and judging together. Safe to call from several threads.

    It is never passed as long as no try of a request takes more than its upper bound, which is set aside before it is
    sent, and stays so where the answer is lost (see ``tries``). A try is free where the server itself says that there
    is no answer. With a process for each step it begins with what is known of the run (see ``Workspace.begin``), so it
    holds over steps that follow each other, as those of one pool do.
    """

    def __init__(self, limit: float | None = None) -> None:
        """``limit`` in USD; None: there is none."""
        self.limit = limit
        self.spent = 0.0
        """USD paid, and set aside for requests under way and for batches that were submitted."""
        self._under_way = 0
        self._settled = threading.Condition()

    def start(self, spent: float) -> None:
        """A run begins, or goes on in another process after it has spent this."""
        with self._settled:
            self.spent = spent

    def fits(self, usd: float) -> bool:
        return self.limit is None or self.spent + usd <= self.limit

    def take(self, usd: float) -> bool:
        """Sets aside what a request takes at most; False where that does not fit."""
        with self._settled:
            if self.fits(usd):
                self.spent += usd
                return True
            return False

    def settle(self, aside: float, used: float) -> None:
        """Gives back what was set aside and not used."""
        with self._settled:
            self.spent += used - aside

    def take_or_wait(self, usd: float) -> bool:
        """As ``take``, but what does not fit waits for requests that began so: most of what they set aside comes back.
        ``end`` is to be called for each that returned True."""
        with self._settled:
            while not self.fits(usd) and self._under_way:
                self._settled.wait()
            if not self.fits(usd):
                return False
            self.spent += usd
            self._under_way += 1
            return True

    def end(self, aside: float, used: float) -> None:
        with self._settled:
            self.spent += used - aside
            self._under_way -= 1
            self._settled.notify_all()


class ModelBudget:
    """The caps of one run, over all that ask the model in it. Prices in USD per million tokens. Safe to call from
    several threads.

    Holds as a ``Purse`` does. Once a request does not fit, nothing more is asked in this run.
    """

    def __init__(
        self,
        limit: float,
        prompt_price: float,
        completion_price: float,
        max_tokens: int | None = None,
        run_budget: RunBudget | None = None,
    ) -> None:
        """``limit`` in USD; ``max_tokens``: None for no cap on tokens; ``purse``: the cap of all that the run pays."""
        self.limit = limit
        self.max_tokens = max_tokens
        self.spent = 0.0
        """USD paid, and set aside for requests under way."""
        self.tokens = 0
        """Tokens used, and set aside."""
        self.closed = False
        self.by_tokens = False
        """Whether it was the tokens that closed it."""
        self.by_run = False
        """Whether it was the cap of the whole run."""
        self._run_budget = run_budget or RunBudget()
        self._prices = prompt_price / 1e6, completion_price / 1e6
        self._lock = threading.Lock()

    def start(self, spent: ModelCost) -> None:
        """A run begins, or goes on in another process after it has spent this; the purse is told apart."""
        with self._lock:
            self.spent, self.tokens = spent
            self.closed = self.by_tokens = self.by_run = False

    def cost(self, prompt_tokens: int, completion_tokens: int, share: float = 1.0) -> ModelCost:
        """``share`` of the price is paid: 0.5 in a batch."""
        usd = prompt_tokens * self._prices[0] + completion_tokens * self._prices[1]
        return ModelCost(usd * share, prompt_tokens + completion_tokens)

    def fits(self, most: ModelCost) -> bool:
        return not self.closed and self._in_money(most) and self._in_tokens(most) and self._run_budget.fits(most.usd)

    def take(self, most: ModelCost) -> bool:
        """Sets aside what a request takes at most; where that does not fit, closes instead and returns False."""
        with self._lock:
            if self.fits(most) and self._run_budget.take(most.usd):
                self._add(most.usd, most.tokens)
                return True
            if not self.closed:
                self.closed = True
                self.by_tokens = self._in_money(most) and not self._in_tokens(most)
                self.by_run = self._in_money(most) and self._in_tokens(most)
            return False

    def settle(self, most: ModelCost, used: ModelCost) -> None:
        """Gives back what was set aside and not used."""
        with self._lock:
            self._add(used.usd - most.usd, used.tokens - most.tokens)
        self._run_budget.settle(most.usd, used.usd)

    def again(self, setting: str, tokens_setting: str = "") -> Callable[[int, int], None]:
        """Sets aside another try of a request, of so many (prompt, completion) tokens; it is never given back, as the
        try before may be billed. Raises SpendCapError, with the cap by its setting, where it does not fit."""

        def take(prompt_tokens: int, completion_tokens: int) -> None:
            if not self.take(self.cost(prompt_tokens, completion_tokens)):
                cap = self.cap(setting, tokens_setting)
                raise SpendCapError(f"a try had no answer and another one does not fit the {cap}")

        return take

    def cap(self, setting: str, tokens_setting: str = "") -> str:
        """The cap that closed it, by its setting: ``setting`` for its own in USD."""
        if self.by_run:
            return f"spend cap of ${self._run_budget.limit:g} over all models (CACHEWARM_MAX_USD)"
        if self.by_tokens:
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
    spend: ModelBudget,
    items: Mapping[str, _Item],
    ask: Callable[[_Item], _Reply],
    *,
    most: Callable[[_Item], ModelCost],
    finished: Callable[[str, _Reply], ModelCost],
    concurrency: int,
    name: str,
) -> bool:
    """Asks about the items in order, at most ``concurrency`` at once; False where the spend left some out.

    ``most`` is the upper bound of one ``ask``. ``finished(key, reply)`` keeps an answer and says what it cost; it is
    called from this thread. What ``ask`` raises ends the asking, after all that was under way is finished: it is paid.
    A SpendCapError of ``ask`` leaves out its item alone; what was set aside for that stays set aside.
    """
    running: dict[Future[_Reply], tuple[str, ModelCost]] = {}
    whole = True

    def settle(future: Future[_Reply]) -> None:
        nonlocal whole
        key, aside = running.pop(future)
        try:
            reply = future.result()
        except SpendCapError:
            whole = False
            return
        spend.settle(aside, finished(key, reply))

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
    return whole
