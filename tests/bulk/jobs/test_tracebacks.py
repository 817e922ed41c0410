"""A job that breaks shows nobody's data, in no frame of its traceback."""

import asyncio
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

pytest.importorskip("resource", reason="no limit of a file's size here")

BREAKS = """
    import asyncio, resource, signal, sys, traceback
    from pathlib import Path
    from convergegate_async.bulk import (
        Intent, Job, JobFolder, JobPlan, Journal, TableOptions, read_table,
    )
    from convergegate_async.bulk.jobs.header import fingerprint
    from convergegate_async.sandbox import Sandbox

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    folder, source = JobFolder("april", Path(sys.argv[1])), sys.argv[2]

    async def main():
        async with Sandbox() as sandbox, sandbox.factory() as checkout:
            (await Job.begin(folder, JobPlan(source=source), checkout)).close()
            with Journal.open(folder.journal) as journal:
                [row] = read_table(source, TableOptions())
                mark = fingerprint(row.request, journal.header.salt)
                await journal.intend(Intent(row.row_id, 1, mark, 1.0))
            async with await Job.resume(folder, checkout) as job:
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
                async for _ in job.run():  # the row is given up, on a disk that is full
                    pass

    try:
        asyncio.run(main())
    except Exception as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        print("".join(shown.format()))
"""


async def test_a_row_that_is_given_up_on_a_full_disk_is_not_shown(
    tmp_path: Path,
) -> None:
    """Its form is let go of before the journal is waited for."""
    source = tmp_path / "orders.csv"
    source.write_text(
        "id,amount,currency,customer_email,customer_firstname,customer_lastname,"
        "customer_phone,success_url\nA-1,4999,pln,secret.person@example.com,John,Doe,"
        "+48123456789,https://shop.example/thanks\n"
    )

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", dedent(BREAKS), str(tmp_path), str(source)),
        stdout=subprocess.PIPE,
    )
    shown, _ = await process.communicate()

    assert b"JournalError" in shown
    assert b"in _judge" in shown
    assert b"secret.person" not in shown
