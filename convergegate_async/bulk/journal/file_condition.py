"""What the files of a journal say of each other, and whether anything was lost.

What a kill or a power cut leaves is taken, and all of it is there. What was lost,
swapped or changed afterwards is refused: rows that were sent would be sent again.
An older copy of all the files together cannot be told.
"""

from collections.abc import Iterator

import attrs

from .commit_mark import Mark


@attrs.frozen
class Usage:
    """What a database says of its use.

    Attributes:
        version: Of the schema.
        job_salt: By the table of the job.
        commit_salt: As each commit writes it; another in the WAL of another job.
        commit: The number of the last commit.
        in_use: Whether a process has begun to write, and not yet ended it.
    """

    version: int
    job_salt: bytes = attrs.field(repr=False)
    commit_salt: bytes = attrs.field(repr=False)
    commit: int
    in_use: bool


@attrs.frozen(kw_only=True)
class Condition:
    """What the files of a journal say of each other.

    Attributes:
        whole: The usage by the file and its WAL together.
        alone: The usage by the file alone.
        has_wal: There is a WAL, and something in it.
        wal_commits: The WAL holds a commit.
        has_mark: There is a mark.
        mark: What it says; `None` if it fails its checksum.
    """

    whole: Usage
    alone: Usage
    has_wal: bool
    wal_commits: bool
    has_mark: bool
    mark: Mark | None = None


def damage(found: Condition) -> str | None:
    """Return what was lost, swapped or changed, in words; `None` if nothing was."""
    mark = found.mark
    if mark is None:
        return _damage_without_mark(found)
    return next(_damages(mark, found), None)


def _damage_without_mark(found: Condition) -> str | None:
    commit = found.whole.commit
    if found.has_mark:
        return "its mark fails its checksum"
    if found.has_wal:
        return f"its -wal holds something, to commit {commit}, without a mark"
    if found.whole.in_use:
        return f"it was in use at commit {commit}, and its mark is missing"
    return None


def _damages(mark: Mark, found: Condition) -> Iterator[str]:
    whole, alone = found.whole, found.alone
    if mark.salt != alone.job_salt:
        yield "its mark is another job's"
    known = f"its mark knows of commit {mark.commit}"
    if whole.commit < mark.commit:
        yield f"{known}, and its files only of {whole.commit}"
    if mark.checkpointed != mark.commit and not found.wal_commits:
        yield f"{known}, and without the -wal it is whole only to {mark.checkpointed}"
    if alone.commit < mark.checkpointed:
        yield f"it was whole to {mark.checkpointed}, and the file is at {alone.commit}"
    if whole.commit < alone.commit:
        yield f"the file is at commit {alone.commit}, and its -wal at {whole.commit}"
