"""A value that is shown only by an explicit call of `reveal`."""

from typing import Generic, NoReturn, TypeVar

S = TypeVar("S")


class Secret(Generic[S]):
    """Holds an API key or a BLIK code; `repr`, logs and tracebacks show dots only."""

    __slots__ = ("_value",)

    def __init__(self, value: S) -> None:
        self._value = value

    def reveal(self) -> S:
        """Return the value itself; call it only where the value is sent."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(•••)"

    def __reduce__(self) -> NoReturn:
        message = "a secret is neither pickled nor copied"
        raise TypeError(message)
