"""The journal of a job: which rows were sent and what became of them, kill -9 or not.

An intent is on the disk before its `await` returns, and so before the first byte of
its request leaves. One thread writes, many rows to a commit. What cannot be written is
not sent: the first failure of the disk ends it all.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from .database import Database
from .ordering import Ordered, first_intents
from .records import (
    Intent,
    JobHeader,
    JournalError,
    JournalRow,
    Resolution,
    RowResult,
    SessionFacts,
    State,
    failure,
    refusal,
)
from .refund_records import RefundResult
from .refunds import Refunds
from .sessions import Sessions

T = TypeVar("T")

_GATHERING = 0.001
"""Seconds that orders gather for, as a commit costs the same for one or for hundreds.

Together with it goes a wake-up of either thread, which is what it costs a busy loop.
"""


class Journal:
    """The journal of one job, locked against every other process.

    Get it by `create` or `open`, and use it in an event loop. Orders are carried out
    as they come in. After a failure of the disk every one raises `JournalError`.

    Read that of a job that nobody works on::

        async with Journal.read(Path("jobs/march.journal")) as journal:
            for row in await journal.rows([State.UNKNOWN]):
                ...

    Attributes:
        sessions: What became of the rows' sessions.
        refunds: What of them is paid back.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._orders: deque[Ordered[object]] = deque()
        self._is_called = False
        self._is_closed = False
        self._fault: JournalError | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self.sessions: Sessions = Sessions(self._order, database.sessions)
        self.refunds: Refunds = Refunds(self._order, database.refunds)

    @classmethod
    def create(cls, path: Path, header: JobHeader) -> Self:
        """Start a journal at *path*, with mode 0600, and open it.

        Raises:
            JournalError: There is one already, or none can be made there.
        """
        Database.create(path, header)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the journal at *path*, and keep all others out until `close`.

        The whole of it is checked before, about 2.5 s for a million rows.

        Raises:
            JournalError: It is missing, a symbolic link, another user's, open to
                others, not a journal, damaged, of a newer version of this package,
                or in use by another process; or files of it were lost or swapped.
        """
        return cls(Database.open(path))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Open the journal at *path* to read it; whatever it is, it stays as it is.

        Others may read it, too; whoever would write to it is kept out until `close`.

        Raises:
            JournalError: As `open`, but only `check` finds what is wrong with rows; or
                it is of an older version of this package. To write to it, later.
        """
        return cls(Database.read(path))

    @property
    def header(self) -> JobHeader:
        """What the job is."""
        return self._database.header

    async def set_total(self, total: int, invalid: int = 0) -> None:
        """Note how many rows the input has, and how many of them cannot be sent."""
        await self._order(partial(self._database.set_total, total, invalid))

    async def set_source(self, source: str, options: str) -> None:
        """Note where the input is now, and how it is read: JSON of the plan."""
        await self._order(partial(self._database.set_source, source, options))

    async def intend(self, row: Intent) -> None:
        """Make *row* durably `SENT`; only when this returns may it be sent.

        Raises:
            JournalError: It must not be sent: it is done, or it may be done and has
                another body now, or the journal is broken.
        """
        await self._order(partial(self._database.intend, row), row)

    def complete(self, result: RowResult) -> Awaitable[None]:
        """Write what became of a row that is `SENT` or `UNKNOWN`.

        A row that was in doubt before it was sent this time stays `UNKNOWN` if it
        failed now: the refusal is written, and says nothing of the earlier intents.

        It is on its way when this returns, and durable when the awaitable is done;
        to cancel that does not stop it.

        Raises:
            JournalError: From the awaitable: the row is in another state, or the
                journal is broken.
        """
        return self._order(partial(self._database.complete, result), result)

    async def resolve(
        self, result: RowResult, facts: SessionFacts | None, *, by: str, now: float
    ) -> None:
        """Write somebody's word on a row that is `SENT` or `UNKNOWN`, and whose it is.

        Unlike what a run is told later, it ends the doubt: the row may be `REJECTED`.

        Args:
            result: What became of the row.
            facts: What its session is, if it has one.
            by: The user's name.
            now: Epoch seconds.

        Raises:
            JournalError: The row is in another state, or the journal is broken.
        """
        await self._order(partial(self._database.resolve, result, facts, by, now))

    async def resolve_refund(
        self, result: RefundResult, *, by: str, now: float
    ) -> None:
        """Write somebody's word on a refund that is in doubt, and whose it is.

        Args:
            result: What became of the refund.
            by: The user's name.
            now: Epoch seconds.

        Raises:
            JournalError: The refund is not in doubt, or the journal is broken.
        """
        await self._order(partial(self._database.resolve_refund, result, by, now))

    async def resolutions(self) -> list[Resolution]:
        """Return who has settled which row or refund, in the order of that."""
        return await self._order(self._database.resolutions.all)

    def forget(self, row_id: str) -> Awaitable[None]:
        """Withdraw the last intent of a row, as provably nothing was done for it.

        A new row is pending again. One that had been `REJECTED` is that again, and one
        in doubt is `UNKNOWN`: the proof says nothing of its earlier intents.

        Raises:
            JournalError: The row is not `SENT`, or the journal is broken.
        """
        return self._order(partial(self._database.forget, row_id))

    async def note_refresh(self, begun_at: float | None) -> None:
        """Note when a refresh was begun that is not over; `None` if it is."""
        await self._order(partial(self._database.note_refresh, begun_at))

    async def read_by(self, work: Callable[[Database], T]) -> T:
        """Return what *work* makes of the database, which nobody changes meanwhile.

        Raises:
            Exception: Whatever *work* has raised; the journal is as it was.
        """

        def attempt() -> T | Exception:
            try:
                return work(self._database)
            except Exception as error:  # noqa: BLE001 -- no fault of the journal's
                return error

        done = await self._order(attempt)
        if isinstance(done, Exception):
            raise done
        return done

    async def lookup(self, row_ids: Sequence[str]) -> dict[str, JournalRow]:
        """Return those of the rows that are not pending, by their ids."""
        return await self._order(partial(self._database.lookup, row_ids))

    async def under_way(self) -> list[JournalRow]:
        """Return the rows that are `SENT`, by position."""
        return await self._order(self._database.under_way)

    async def counts(self) -> dict[State, int]:
        """Return how many rows are in each state.

        This reads the whole file: once for a report, not for a progress bar.
        """
        return await self._order(self._database.counts)

    async def rows(
        self,
        states: Collection[State] = tuple(State),
        *,
        by_completion: bool = False,
        after: int = 0,
        limit: int = 10_000,
    ) -> list[JournalRow]:
        """Return a page of the rows that are in one of *states*.

        Args:
            states: Which rows to return.
            by_completion: In the order in which they were completed, and so without
                those that are `SENT`. Else by position.
            after: The position of the last row of the page before, whatever the
                order; 0 for the first page.
            limit: How many rows a page has at most.
        """
        page = partial(
            self._database.rows,
            states,
            by_completion=by_completion,
            after=after,
            limit=limit,
        )
        return await self._order(page)

    async def sessions_among(self, session_ids: AbstractSet[str]) -> set[str]:
        """Return those of *session_ids* that rows have already.

        This reads the whole file, and keeps no more of it than what it returns.
        """
        return await self._order(partial(self._database.sessions_among, session_ids))

    async def check(self) -> list[str]:
        """Return what is wrong with the journal, in words; nothing if it is sound.

        This reads the whole file, several times.

        Raises:
            JournalError: It is so damaged that it cannot be read.
        """
        return await self._order(self._database.check)

    def close(self) -> None:
        """Finish what was ordered, and let others have the journal.

        It may be called again. It blocks, as a rule for some milliseconds. In a fork
        of the process that opened it, it does nothing.
        """
        self._is_closed = True
        if not self._database.is_ours:
            return
        self._thread.shutdown()
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _order(
        self, work: Callable[[], T], about: Intent | RowResult | None = None
    ) -> asyncio.Future[T]:
        if self._is_closed:
            raise refusal(self._database.path, "is closed; open it again")
        if not self._database.is_ours:
            raise refusal(self._database.path, "was opened by the parent process")
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._orders.append(Ordered(work, waiter, about))  # type: ignore[arg-type]  # any T will do
        if not self._is_called:
            self._is_called = True
            self._thread.submit(self._serve)
        return waiter

    def _serve(self) -> None:
        """Carry out what was ordered, in one commit: what the thread does."""
        time.sleep(_GATHERING)
        # Before the orders are taken: whoever comes too late for them calls again.
        self._is_called = False
        orders = [self._orders.popleft() for _ in range(len(self._orders))]
        try:
            if self._fault is None:
                with self._database.transaction():
                    self._carry_out(orders)
        except Exception as error:  # noqa: BLE001 -- whatever it is, nothing more is sent
            self._fault = failure(self._database.path, error)
        if self._fault is not None:
            for order in orders:
                order.error = copy(self._fault)
        for loop in {order.waiter.get_loop() for order in orders}:
            _wake(loop, [order for order in orders if order.waiter.get_loop() is loop])

    def _carry_out(self, orders: list[Ordered[object]]) -> None:
        intents = first_intents(orders)
        begun = self._database.intend_new([intent for _, intent in intents])
        for order, _ in intents[:begun]:
            order.done_together = True
        for order in orders:
            order.carry_out()


def _wake(loop: asyncio.AbstractEventLoop, orders: list[Ordered[object]]) -> None:
    def tell() -> None:
        for order in orders:
            order.tell()

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:  # it is closed, and everyone in it has stopped waiting
        return
