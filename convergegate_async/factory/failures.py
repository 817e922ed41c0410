"""A view of a factory whose failures are watched: a success at once costs nothing."""

from typing import TypeVar

from . import CheckoutSessionFactory
from ._observers import Observer

F = TypeVar("F", bound=CheckoutSessionFactory)


def watched_for_failures(factory: F, observer: Observer) -> F:
    """Return a view of *factory* that tells *observer* of calls that fail.

    It is told of an attempt that failed and of all that the call comes to from there
    on; the factory's own observers are told of everything, as before. To watch a call
    costs a fifth of its instructions.
    """
    view = factory.with_options()
    view._caller = view._caller.watched_for_failures(observer)  # noqa: SLF001 -- of this room
    return view
