"""A job whose customers have all paid."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from job_rows import rows_of

from convergegate_async.bulk import Job, JobFolder, JobPlan, ResumeRules
from convergegate_async.sandbox import Sandbox

ROWS = 8
"""Of 1, 2, … grosze."""


@asynccontextmanager
async def paid(
    sandbox: Sandbox, folder: JobFolder, rules: ResumeRules | None = None
) -> AsyncIterator[Job]:
    """Give a job whose sessions are all paid, and looked at; begun if it is not yet."""
    async with sandbox.factory() as factory:
        plan = JobPlan(rules=rules or ResumeRules())
        if not folder.journal.exists():
            async with await Job.begin(folder, plan, factory) as job:
                async for _ in job.run(rows_of(ROWS)):
                    pass
                for session in sandbox.book.sessions.values():
                    sandbox.book.pay(session, "123456")
                async for _ in job.refresh():
                    pass
        async with await Job.resume(folder, factory) as job:
            yield job
