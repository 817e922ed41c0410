"""``bulk forget`` as a user meets it: what is asked, what goes, what stays."""

import csv
import io
import json
from pathlib import Path

from orders import numbered_orders, table_of
from programs import bulk

from convergegate_async.sandbox import Fault, FaultKind, Sandbox

ORDERS = table_of(numbered_orders(3))


def a_bad_day() -> list[Fault]:
    """Return faults that reject one row, and leave another one in doubt."""
    status = Fault(FaultKind.STATUS, operation="create", status=402, times=1)
    return [status, Fault(FaultKind.LOST, operation="create", times=1)]


async def test_what_stdin_held_goes_with_the_links(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """It is asked with all that goes; counts, ids and looks stay, links do not."""
    for fault in a_bad_day():
        sandbox.faults.add(fault)
    words = ("run", "-", "--job", "april", "--concurrency", "1")
    await bulk(sandbox, tmp_path, *words, stdin=ORDERS)
    before = await bulk(None, tmp_path, "status", "april", "--output", "json")

    asked = await bulk(None, tmp_path, "forget", "april")
    done = await bulk(None, tmp_path, "forget", "april", "--yes")

    notes = (
        "Note: all links to pay pages will be deleted, and no later export has them.\n"
        "Note: april.input, april.failed.csv will be removed.\n"
        "Note: 1 row may or may not have a session, which cannot be found out without "
        "april.input.\n"
    )
    assert (asked.code, asked.out) == (2, "")
    assert asked.err == (
        f"{notes}Nothing was deleted: --yes says that all of this is as it should be.\n"
    )
    assert (done.code, done.out) == (0, "")
    assert done.err == (
        f"{notes}april: 1 link deleted.\n"
        "april.input removed.\n"
        "april.failed.csv removed.\n"
    )
    left = await bulk(None, tmp_path, "forget", "april")
    assert "will be removed" not in left.err
    after = await bulk(None, tmp_path, "status", "april", "--output", "json")
    assert json.loads(after.out) == json.loads(before.out)
    assert (await bulk(sandbox, tmp_path, "refresh", "april")).code == 0
    exported = await bulk(None, tmp_path, "export", "april")
    rows = list(csv.DictReader(io.StringIO(exported.out)))
    assert [row["cg_state"] for row in rows] == ["rejected", "unknown", "created"]
    assert [row["cg_url"] for row in rows] == ["", "", ""]


async def test_a_file_of_the_user_s_stays(sandbox: Sandbox, tmp_path: Path) -> None:
    """It is named, for its owner to see to."""
    source = tmp_path / "orders.csv"
    source.write_text(ORDERS)
    await bulk(sandbox, tmp_path, "run", "orders.csv", "--job", "april")

    done = await bulk(None, tmp_path, "forget", "april", "--yes")

    assert done.err.endswith(
        f"april: 3 links deleted.\n{source} is yours, and stays as it is.\n"
    )
    assert source.read_text() == ORDERS


async def test_what_comes_back_of_a_file_of_the_user_s_is_told(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """A later run writes dead letters again, though it has nothing to send."""
    sandbox.faults.add(a_bad_day()[0])
    (tmp_path / "orders.csv").write_text(ORDERS)
    await bulk(sandbox, tmp_path, "run", "orders.csv", "--job", "april")

    done = await bulk(None, tmp_path, "forget", "april", "--yes")
    removed = not (tmp_path / "april.failed.csv").exists()
    await bulk(sandbox, tmp_path, "resume", "april")

    assert done.err.endswith(
        "`bulk resume april` and `bulk retry-failed april` write rejected and invalid "
        "rows from it anew.\n"
    )
    assert removed
    assert (tmp_path / "april.failed.csv").exists()


async def test_what_stdin_held_is_known_in_another_folder(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Nothing is said to be the user's, and what cannot be found out is asked about."""
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    for fault in a_bad_day():
        sandbox.faults.add(fault)
    words = ("run", "-", "--job", "april", "--concurrency", "1")
    await bulk(sandbox, before, *words, stdin=ORDERS)
    before.rename(after)

    done = await bulk(None, after, "forget", "april", "--yes")

    assert "1 row may or may not have a session, which cannot be found" in done.err
    assert "april.input removed." in done.err
    assert "is yours" not in done.err


async def test_a_file_of_the_user_s_is_not_taken_for_stdin(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """What is called as that would be is refused, by `--source` and by a link, too."""
    for name in ("orders.csv", "april.input", "may.input"):
        (tmp_path / name).write_text(ORDERS)
    (tmp_path / "linked.csv").symlink_to("may.input")
    words = ("--format", "csv", "--job")

    done = await bulk(sandbox, tmp_path, "run", "april.input", *words, "april")
    linked = await bulk(sandbox, tmp_path, "run", "linked.csv", *words, "may")
    (tmp_path / "april.input").rename(tmp_path / "kept")
    await bulk(sandbox, tmp_path, "run", "orders.csv", *words, "april")
    (tmp_path / "orders.csv").rename(tmp_path / "april.input")
    moved = await bulk(sandbox, tmp_path, "resume", "april", "--source", "april.input")

    for refused in (done, linked, moved):
        assert "would be taken for what stdin held, and removed" in refused.err
        assert refused.code == 3


async def test_a_job_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Without anything made or asked."""
    done = await bulk(None, tmp_path, "forget", "april", "--yes")

    assert done.code == 3
    assert "is the job's name right?" in done.err
