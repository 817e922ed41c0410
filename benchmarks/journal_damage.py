"""Whether a journal that was damaged is ever gone on with as if nothing had happened.

Real processes work on a journal, one after the other, and are recorded call by call.
From each call on, what a kill and a power cut leave has to be taken, with every row in
it. Then one file of what is left is cut, flipped, emptied, lost, swapped for another
job's, or for its own older copy: the journal has to be refused, byte for byte as it is,
or to know every row and every refund that was sent. The judge is a log that the
processes kept.

An older copy of all files together cannot be told; how often is counted apart.
"""

import argparse
import asyncio
import random
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
from harness.disk import Call, Disk, Files, record, restore, states
from harness.figures import table
from harness.recorded_job import JOURNAL, LOG

from convergegate_async.bulk import Journal, JournalRefund, RefundState
from convergegate_async.bulk.journal.records import JournalError

_PROGRAM = Path(__file__).parent / "harness" / "recorded_job.py"
_PARTS = (JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-mark")
_BATCH = 512
"""Cases that are in memory at once, some hundred KiB each."""

_TOGETHER = 500  # sessions whose refunds are looked up


@attrs.frozen
class Case:
    """A folder to be judged.

    Attributes:
        kind: How it came about.
        files: What is in it.
        log: What the processes had been told when it did.
        is_honest: Nothing but a kill or a power cut has happened to it.
    """

    kind: str
    files: Files = attrs.field(repr=False)
    log: bytes = attrs.field(repr=False)
    is_honest: bool


def recorded(home: Path, rows: int) -> list[Call]:
    """Record one job: run, killed, resumed and killed, resumed, and looked at again.

    Each time sessions are opened, looked at, and paid back.
    """
    folder, salt = home / "job", secrets.token_hex(16)
    folder.mkdir()
    step = rows // 3
    calls = []
    for number, options in enumerate([["--killed"], ["--killed"], [], []]):
        first, end = number * step + 1, min(number + 1, 3) * step + 1
        calls += record(folder, _PROGRAM, folder, first, end, salt, *options)
    return calls


def leftovers(calls: Sequence[Call], every: int, seed: int) -> Iterator[Case]:
    """Yield what kills and power cuts leave behind after the calls."""
    dice = random.Random(seed)  # noqa: S311 -- chance, not secrets
    for number, disk in enumerate(states(calls)):
        if number % every:
            continue
        log = disk.after_kill().get(LOG, b"")
        yield Case("kill", _journal(disk.after_kill()), log, is_honest=True)
        files = disk.after_power_cut(dice)
        yield Case("power cut", _journal(files), log, is_honest=True)


def mutations(
    calls: Sequence[Call], others: Sequence[Call], count: int, seed: int
) -> Iterator[Case]:
    """Yield what a kill or a clean end left, and to which one more thing happened."""
    dice = random.Random(seed)  # noqa: S311 -- chance, not secrets
    moments = Counter(dice.choices(range(len(calls)), k=count))
    moments[len(calls) - 1] += count // 20  # closed clean
    strangers = [_journal(disk.after_kill()) for disk in _some(others, dice, 40)]
    older: list[Files] = [{}]
    for number, disk in enumerate(states(calls)):
        for _ in range(moments[number]):
            left = disk.after_kill()
            files, log = _journal(left), left.get(LOG, b"")
            kind, mutated = _mutate(files, dice, strangers, older)
            if mutated != files:
                yield Case(kind, mutated, log, is_honest=False)
        if dice.random() < 40 / len(calls):
            older.append(_journal(disk.after_kill()))


def _some(calls: Sequence[Call], dice: random.Random, count: int) -> Iterator[Disk]:
    return (disk for disk in states(calls) if dice.random() < count / len(calls))


def _journal(files: Files) -> Files:
    return {name: files[name] for name in _PARTS if name in files}


def _mutate(
    files: Files,
    dice: random.Random,
    strangers: Sequence[Files],
    older: Sequence[Files],
) -> tuple[str, Files]:
    if dice.randrange(20) == 0:
        return "all files: older copy", dice.choice(older)
    name = dice.choice(_PARTS)
    changes: dict[str, Callable[[bytes], bytes | None]] = {
        "cut": lambda data: data[: dice.randrange(len(data) + 1)],
        "bit flipped": partial(_flipped, dice=dice),
        "emptied": lambda _: b"",
        "lost": lambda _: None,
        "another job's": lambda _: dice.choice(strangers).get(name),
        "older copy": lambda _: dice.choice(older).get(name),
    }
    kind = dice.choice(list(changes))
    changed = changes[kind](files.get(name, b""))
    is_alone = not any(data for other, data in files.items() if other != name)
    # Closed clean the journal is one file, and one of another time is as sound.
    is_all = is_alone and kind in {"another job's", "older copy"}
    what = "all files" if is_all else name.removeprefix("april.")
    mutated = {**files, name: changed}
    kept = {name: data for name, data in mutated.items() if data is not None}
    return f"{what}: {kind}", kept


def _flipped(data: bytes, dice: random.Random) -> bytes:
    if not data:
        return data
    flipped = bytearray(data)
    flipped[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(flipped)


def judge(case: Case) -> str:
    """Return what became of a case, in a word; a broken promise is in capitals."""
    logged = [line.split(" ") for line in case.log.decode().splitlines()]
    with TemporaryDirectory() as home:
        folder = Path(home)
        restore(case.files, folder)
        try:
            known = asyncio.run(_known(folder / JOURNAL))
        except JournalError:
            if {
                path.name: path.read_bytes() for path in folder.iterdir()
            } != case.files:
                return "CHANGED THOUGH REFUSED"
            # Before the first row was sent there may be no journal yet.
            is_bad = case.is_honest and (logged or JOURNAL in case.files)
            return "REFUSED THOUGH HONEST" if is_bad else "refused"
    for word, end in _SENT.items():
        if any(
            word not in known.get(name, ()) for said, name in logged if said == word
        ):
            return end
    is_behind = any(word not in known[name] for word, name in logged)
    if is_behind and case.is_honest:
        return "OUTCOME LOST"
    return "taken, outcomes lost and told" if is_behind else "taken, all there"


_SENT = {
    "sent": "SENT TWICE IN SILENCE",
    "refunding": "PAID BACK TWICE IN SILENCE",
}
"""What a job would do again that goes on without one of these lines of the log."""


async def _known(path: Path) -> Mapping[str, AbstractSet[str]]:
    """Return the lines of the log that the journal stands for, by what they name."""
    known = defaultdict(set)
    with Journal.open(path) as journal:
        rows = await journal.rows(limit=1_000_000)
        for row in rows:
            known[row.row_id].add("sent")
            if row.session_id == row.row_id.replace("order", "session"):
                known[row.row_id].add("done")
            if row.facts is not None:
                known[row.row_id].add("seen")
        for resolution in await journal.resolutions():
            name = resolution.refund_id or resolution.row_id
            known[name].add("resolved")
        sessions = [row.session_id for row in rows if row.session_id is not None]
        for refund in await _refunds(journal, sessions):
            if refund.state is not RefundState.PENDING:  # else it would be sent
                known[refund.session_id].add("refunding")
            if refund.refund_id == refund.session_id:
                known[refund.session_id].add("refunded")
    return known


async def _refunds(journal: Journal, session_ids: list[str]) -> list[JournalRefund]:
    return [
        refund
        for start in range(0, len(session_ids), _TOGETHER)
        for refund in await journal.refunds.of_sessions(
            *session_ids[start : start + _TOGETHER]
        )
    ]


def main() -> None:
    """Judge all cases; print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=300, help="of the job")
    parser.add_argument("--every", type=int, default=1, help="so many calls, a kill")
    parser.add_argument("--seed", type=int, default=17)
    options = parser.parse_args()
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        calls = recorded(Path(one), options.rows)
        others = recorded(Path(other), options.rows)
    cases = chain(
        leftovers(calls, options.every, options.seed),
        mutations(calls, others, options.mutations, options.seed),
    )
    kinds: Counter[tuple[str, str]] = Counter()
    with ProcessPoolExecutor() as pool:
        while batch := list(islice(cases, _BATCH)):
            ends = pool.map(judge, batch, chunksize=16)
            kinds.update(zip((case.kind for case in batch), ends, strict=True))
    rows = [(kind, end, f"{count:,}") for (kind, end), count in sorted(kinds.items())]
    print(f"{len(calls):,} calls of four processes, {options.rows:,} rows\n")
    print(table(("what happened", "what came of it", "cases"), rows, words=2))
    broken = sum(
        count
        for (kind, end), count in kinds.items()
        if end.isupper() and not kind.startswith("all files")
    )
    print(f"\nbroken promises: {broken}")
    raise SystemExit(bool(broken))


if __name__ == "__main__":
    main()
