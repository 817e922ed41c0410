"""A view of a factory whose failures are watched.

A call that succeeds at once costs nothing more: to watch it costs a tenth.
"""

from typing import TypeVar

from . import CheckoutSessionFactory
from ._observers import Observer

F = TypeVar("F", bound=CheckoutSessionFactory)


def watched_for_failures(factory: F, observer: Observer) -> F:
    """Return a view of *factory* that tells *observer* of calls that fail.

    It is told of an attempt that failed, without its timings, and of all that the call
    comes to from there on; of a `wait` it is told of looks that fail. The factory's own
    observers are told of everything, as before.
    """
    view = factory.with_options()
    view._caller = view._caller.watched_for_failures(observer)  # noqa: SLF001 -- of this room
    return view
