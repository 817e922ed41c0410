"""How counts read in a sentence."""


def counted(number: int, noun: str) -> str:
    """Return *number* and *noun*, which is plural unless there is just one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
