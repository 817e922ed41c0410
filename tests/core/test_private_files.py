"""Whose a file is, by mode and owner."""

import stat

import pytest

from convergegate_async._core.private_files import problem_of_private_file

ME, SOMEBODY = 1000, 1001


@pytest.mark.parametrize(
    ("mode", "owner", "user", "problem"),
    [
        (stat.S_IFREG | 0o600, ME, ME, None),
        (stat.S_IFREG | 0o400, ME, ME, None),
        (stat.S_IFREG | 0o640, ME, ME, "is open to others"),
        (stat.S_IFREG | 0o602, ME, ME, "is open to others"),
        (stat.S_IFREG | 0o600, SOMEBODY, ME, "belongs to another user"),
        (stat.S_IFLNK | 0o777, ME, ME, "is a symbolic link"),
        (stat.S_IFIFO | 0o600, ME, ME, "is not a file"),
        (stat.S_IFDIR | 0o700, ME, ME, "is not a file"),
        (stat.S_IFREG | 0o666, 0, None, None),
        (stat.S_IFLNK | 0o777, 0, None, "is a symbolic link"),
    ],
)
def test_a_private_file_is_its_owners_alone(
    mode: int, owner: int, user: int | None, problem: str | None
) -> None:
    """What others made, or can read, is refused; Windows knows no others."""
    found = problem_of_private_file(mode, owner, user)

    assert (found is None) is (problem is None)
    assert (found or "").startswith(problem or "")
