"""What ``bulk refund`` does: a batch is shown, and then paid back."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal

import attrs
import click

from convergegate_async._core.money import spell_major
from convergegate_async.bulk import (
    AmountRow,
    Job,
    JobFolder,
    Journal,
    RefundCode,
    RefundCount,
    RefundOutcome,
    RefundPlan,
    RefundSelection,
    RefundState,
    SessionCount,
    plan_refunds,
)
from convergegate_async.errors import ConfigurationError

from ._gateway import Gateway
from ._job_status import lines_of_batch
from ._job_watch import RunExitCode, end_shown, tallied, watched
from ._jobs import open_job
from ._streams import print_data, print_note, printable
from ._wording import counted

_MOST_LISTED = 20
_SPACE = "[ \u00a0\u202f]"  # between thousands, as people and this program write them
_WHOLE = f"[0-9]{{1,20}}|[0-9]{{1,3}}(?:{_SPACE}[0-9]{{3}}){{1,6}}"
_SUM = re.compile(f"([A-Za-z]{{3}})=({_WHOLE})(?:[.,]([0-9]{{1,6}}))?")


def dry_run(folder: JobFolder, batch: str, selection: RefundSelection) -> int:
    """Show what a batch comes to, and how it is paid back."""
    faults: list[AmountRow] = []
    telling = attrs.evolve(selection, on_fault=faults.append)

    async def look() -> tuple[RefundPlan, list[RefundCount]]:
        with Journal.read(folder.journal) as journal:
            _require_status(await journal.sessions.counts(), selection)
            plan = await plan_refunds(journal, batch, telling)
            return plan, await journal.refunds.counts()

    plan, counts = asyncio.run(look())
    is_good = _show_plan(plan, faults, leaves_out=_leaves_out(selection))
    if plan.is_begun:
        for line in lines_of_batch(batch, counts):
            print_note(line)
    if not is_good:
        print_note(_nothing_sent(plan, selection))
        return 1
    if plan.is_begun and not _is_pending(counts, batch):
        print_note(f"Nothing is left to send{_doubts(folder, counts, batch)}.")
    elif plan.refunds:
        sums = " ".join(
            f"--expect-sum {code}={total}" for code, total in plan.major_sums.items()
        )
        print_note("Nothing was sent. To pay it back, put in the place of --dry-run:")
        print_data(sums)
    return 0


def refund(  # noqa: PLR0913 -- each is an option of the command
    folder: JobFolder,
    gateway: Gateway,
    batch: str,
    selection: RefundSelection,
    *,
    expect_sum: Mapping[str, Decimal],
    maximum_rps: float | None,
    max_pause: float | None,
    max_outage: float | None,
) -> int:
    """Pay a batch back; return what is left to do."""
    leaves_out = _leaves_out(selection)
    faults: list[AmountRow] = []
    telling = attrs.evolve(selection, on_fault=faults.append)

    async def pay() -> int:
        async with open_job(folder, gateway, max_pause, max_outage) as job:
            _require_status(await job.sessions(), selection)
            plan = await job.plan_refunds(batch, telling)
            if not _show_plan(plan, faults, leaves_out=leaves_out):
                print_note(_nothing_sent(plan, selection))
                return 1
            outcomes = job.refund(
                batch,
                selection,
                expect_sum=expect_sum,
                leaves_out=leaves_out,
                maximum_rps=maximum_rps,
            )
            codes: Counter[str] = Counter()
            refunds = tallied(outcomes, codes, _code_of)
            ended = await watched(batch, job, refunds)
            counts = [one for one in await job.refunds() if one.batch == batch]
            for line in lines_of_batch(batch, counts):
                print_note(line)
            for word, count in codes.most_common():
                print_note(f"  {count:>9,} {_explained(word)}")
            await _show_troubles(folder, job, batch)
            code = end_shown(job, ended, "the same command")
        return _exit_code(counts) if code is None else code

    return asyncio.run(pay())


def _nothing_sent(plan: RefundPlan, selection: RefundSelection) -> str:
    if plan.is_begun:  # the name may be the slip
        return "Nothing was sent."
    what = selection.rows or "the input of the job"
    return printable(f"Nothing was sent: mend {what}, and give the same command again.")


def _leaves_out(selection: RefundSelection) -> bool:
    """Tell whether what cannot be paid back is nobody's slip: no file has named it."""
    return selection.rows is None


def _require_status(counts: Iterable[SessionCount], selection: RefundSelection) -> None:
    try:
        selection.require_status(counts)
    except ConfigurationError as error:
        message = printable(str(error))
        raise click.BadParameter(message, param_hint="--where") from None


async def _show_troubles(folder: JobFolder, job: Job, batch: str) -> None:
    """Name the refunds that were not made, or may not have been, and why."""
    states = (RefundState.UNKNOWN, RefundState.REJECTED)
    shown, resolvable = 0, False
    async for refund in job.refunds_in(batch, states):
        shown += 1
        if shown > _MOST_LISTED:
            print_note("… and more: `bulk status` counts them")
            break
        resolvable |= refund.state is RefundState.UNKNOWN
        code = refund.currency.upper()
        amount = f"{code} {spell_major(refund.amount, code)}"
        why = refund.message or refund.code or "its answer was lost"
        what = f"row {refund.row_id}: {refund.state}, {amount} of {refund.session_id}"
        print_note(printable(f"{what}: {why}"))
    if resolvable:
        print_note(
            f"What you find out of an unknown one: `convergegate bulk resolve "
            f"{folder.job} ROW --batch {batch}` with --refund ID or --not-created."
        )


def _is_pending(counts: list[RefundCount], batch: str) -> bool:
    """Tell whether any refund of a batch is still to be sent."""
    own = {one.state for one in counts if one.batch == batch}
    return RefundState.PENDING in own


def _doubts(folder: JobFolder, counts: list[RefundCount], batch: str) -> str:
    in_doubt = (RefundState.SENT, RefundState.UNKNOWN)
    own = [one for one in counts if one.batch == batch and one.state in in_doubt]
    if not own:
        return ""
    return (
        f"; {sum(one.count for one in own):,} in doubt: `convergegate bulk resolve "
        f"{folder.job} ROW --batch {batch}` with --refund ID or --not-created ends that"
    )


def _code_of(outcome: RefundOutcome) -> str | None:
    if outcome.error is not None:
        return type(outcome.error).__name__
    return outcome.held or outcome.refund.code


def _explained(code: str) -> str:
    """Return a code, and what one of our own means."""
    if code not in [*RefundCode]:
        return code
    return f"{code}: {RefundCode(code).reason}"


def _show_plan(plan: RefundPlan, faults: list[AmountRow], *, leaves_out: bool) -> bool:
    """Show what a batch comes to; tell whether it can be paid back."""
    begun = " (begun before)" if plan.is_begun else ""
    print_note(f"batch {plan.batch}: {counted(plan.refunds, 'refund')}{begun}")
    for code, total in plan.sums.items():
        print_note(f"{code} {spell_major(total, code)}")
    for code, total in plan.elsewhere.items():
        print_note(
            f"{code} {spell_major(total, code)} of these sessions is paid back by now, "
            "and not by this job: by hand, or by a copy of its journal?"
        )
    for fault in faults[:_MOST_LISTED]:
        print_note(f"line {fault.line}: {fault.fault}")
    if len(faults) > _MOST_LISTED:
        print_note(f"… and {len(faults) - _MOST_LISTED:,} more")
    if leaves_out:
        for reason, count in Counter(plan.reasons).most_common():
            print_note(f"left out: {count:,}, each {reason}")
        return not faults
    for one in plan.left_out[:_MOST_LISTED]:
        print_note(f"row {printable(one.row_id)} {one.reason}")
    more = plan.more + max(0, len(plan.left_out) - _MOST_LISTED)
    if more:
        print_note(f"… and {more:,} more")
    return not (faults or plan.left_out)


def _exit_code(counts: list[RefundCount]) -> RunExitCode:
    states = {one.state for one in counts}
    if states <= {RefundState.CREATED}:
        return RunExitCode.DONE
    if states <= {RefundState.CREATED, RefundState.REJECTED}:
        return RunExitCode.REJECTED
    return RunExitCode.UNKNOWN


def read_sums(texts: tuple[str, ...]) -> dict[str, Decimal]:
    """Return the major units of each currency, of texts like ``PLN=1234.50``.

    A decimal comma and spaces are as good: a sum that they were not meant for is
    refused.

    Raises:
        click.BadParameter: One of them is no such text.
    """
    sums: dict[str, Decimal] = {}
    for text in texts:
        match = _SUM.fullmatch(text)
        if match is None or match[1].upper() in sums:
            message = f"{text}: must be like PLN=1234.50, once for each currency"
            raise click.BadParameter(message, param_hint="--expect-sum")
        whole = re.sub(_SPACE, "", match[2])
        sums[match[1].upper()] = Decimal(f"{whole}.{match[3] or ''}")
    return sums
