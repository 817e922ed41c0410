"""Whether a file is its owner's alone, by what the system says of it."""

import stat


def problem_of_private_file(mode: int, owner: int, user: int | None) -> str | None:
    """Return why a file cannot be trusted with one's data, and what to do about it.

    Args:
        mode: Of the file itself: where a link may have been followed nobody can tell.
        owner: The number of its owner.
        user: The number of who runs; `None` on systems without owners and modes.
    """
    if stat.S_ISLNK(mode):
        return "is a symbolic link; give the path of the file itself"
    if not stat.S_ISREG(mode):
        return "is not a file; give the path of one"
    if user is None:
        return None
    if owner != user:
        return "belongs to another user; work as that user"
    if mode & 0o077:
        return "is open to others; chmod it to 0600 if you trust it"
    return None
