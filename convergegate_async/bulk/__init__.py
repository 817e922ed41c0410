"""Many sessions: from memory with `create_many`, durable from files with `Job`."""

from ._decisions import OnUnknown, Rules
from ._exports import Letter, write_dead_letters, write_results
from ._job import Job, new_record
from ._journal import Journal, JournalError, State
from ._many import create_many
from ._outcomes import Created, NotSent, Outcome, Rejected, Unknown
from ._reports import dead_letters, every_row, result_of
from ._settling import read_events, settle_unknown
from ._sources import Problem, Reading, Row, SourceError, guess_format, read_rows
from ._tally import Tally
from ._validation import validate

__all__ = [
    "Created",
    "Job",
    "Journal",
    "JournalError",
    "Letter",
    "NotSent",
    "OnUnknown",
    "Outcome",
    "Problem",
    "Reading",
    "Rejected",
    "Row",
    "Rules",
    "SourceError",
    "State",
    "Tally",
    "Unknown",
    "create_many",
    "dead_letters",
    "every_row",
    "guess_format",
    "new_record",
    "read_events",
    "read_rows",
    "result_of",
    "settle_unknown",
    "validate",
    "write_dead_letters",
    "write_results",
]
