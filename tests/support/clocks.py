"""A clock that a test sets."""


class Clock:
    """Shows the time that a test sets."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def __call__(self) -> float:
        """Tell it."""
        return self.time
