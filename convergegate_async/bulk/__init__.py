"""Many sessions: from memory with `create_many`, durable from files with `Job`."""

from .jobs.after_damage import write_off
from .jobs.export import Export, ExportOptions, export
from .jobs.folder import JobFolder
from .jobs.forget import Forgotten, files_to_forget, forget
from .jobs.header import new_header
from .jobs.job import Job
from .jobs.job_plan import JobPlan, plan_of
from .jobs.moved_source import move_source
from .jobs.paging import every_row
from .jobs.progress import Tally
from .jobs.progress_file import JobProgress, read_progress
from .jobs.reconcile import (
    Reconciliation,
    Undecided,
    Unused,
    reconcile,
    session_ids_in,
)
from .jobs.refresh import SessionSeen
from .jobs.refund_batch import plan_refunds
from .jobs.refund_plan import RefundPlan
from .jobs.refund_rules import LeftOut
from .jobs.refund_run import RefundOutcome
from .jobs.resolve import (
    resolve_created,
    resolve_not_created,
    resolve_refund_created,
    resolve_refund_not_created,
)
from .jobs.resume_rules import Decision, OnUnknown, ResumeRules
from .jobs.row_counts import RowCounts
from .jobs.wanted_refunds import (
    RefundSelection,
    TableSpelling,
    WantedRefund,
    sessions_in,
)
from .journal.journal import Journal
from .journal.records import (
    DamagedJournalError,
    Intent,
    JobHeader,
    JournalError,
    JournalInUseError,
    JournalRow,
    Resolution,
    RowResult,
    SessionCount,
    SessionFacts,
    State,
)
from .journal.refund_records import (
    JournalRefund,
    RefundCode,
    RefundCount,
    RefundResult,
    RefundState,
)
from .sending.create_many import create_many
from .sending.limits import Limits
from .sending.outcomes import Created, NotSent, Rejected, RowOutcome, Unknown
from .sending.pace import CANNOT_CONNECT, PaceInfo
from .tables.amount_rows import AmountRow, read_amounts
from .tables.csv_file import escape_cell
from .tables.csv_writer import CsvDialect
from .tables.doubts import meant_currency
from .tables.finding import Finding
from .tables.formats import SourceError, guess_format
from .tables.options import TableOptions
from .tables.reading import read_table
from .tables.rows import Problem, Row
from .tables.validation import AmountSummary, Mistake, Validation, check
from .tables.writers import DeadLetter, write_dead_letters, write_results

__all__ = [
    "CANNOT_CONNECT",
    "AmountRow",
    "AmountSummary",
    "Created",
    "CsvDialect",
    "DamagedJournalError",
    "DeadLetter",
    "Decision",
    "Export",
    "ExportOptions",
    "Finding",
    "Forgotten",
    "Intent",
    "Job",
    "JobFolder",
    "JobHeader",
    "JobPlan",
    "JobProgress",
    "Journal",
    "JournalError",
    "JournalInUseError",
    "JournalRefund",
    "JournalRow",
    "LeftOut",
    "Limits",
    "Mistake",
    "NotSent",
    "OnUnknown",
    "PaceInfo",
    "Problem",
    "Reconciliation",
    "RefundCode",
    "RefundCount",
    "RefundOutcome",
    "RefundPlan",
    "RefundResult",
    "RefundSelection",
    "RefundState",
    "Rejected",
    "Resolution",
    "ResumeRules",
    "Row",
    "RowCounts",
    "RowOutcome",
    "RowResult",
    "SessionCount",
    "SessionFacts",
    "SessionSeen",
    "SourceError",
    "State",
    "TableOptions",
    "TableSpelling",
    "Tally",
    "Undecided",
    "Unknown",
    "Unused",
    "Validation",
    "WantedRefund",
    "check",
    "create_many",
    "escape_cell",
    "every_row",
    "export",
    "files_to_forget",
    "forget",
    "guess_format",
    "meant_currency",
    "move_source",
    "new_header",
    "plan_of",
    "plan_refunds",
    "read_amounts",
    "read_progress",
    "read_table",
    "reconcile",
    "resolve_created",
    "resolve_not_created",
    "resolve_refund_created",
    "resolve_refund_not_created",
    "session_ids_in",
    "sessions_in",
    "write_dead_letters",
    "write_off",
    "write_results",
]
