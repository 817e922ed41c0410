"""What a job is to do: given once, stored in its journal, and found there again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import attrs

from convergegate_async.bulk.journal.records import JobHeader, JournalError
from convergegate_async.bulk.sending.limits import MAX_OUTAGE, MAX_PAUSE, Limits
from convergegate_async.bulk.tables.finding import Finding, find_options
from convergegate_async.bulk.tables.formats import (
    Format,
    SourceError,
    choose_format,
    guess_format,
    opened,
)
from convergegate_async.bulk.tables.options import TableOptions
from convergegate_async.bulk.tables.reading import read_table
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.errors import ConfigurationError

from .folder import JobFolder
from .resume_rules import OnUnknown, ResumeRules

_KINDS = {"source": str, "table": TableOptions, "rules": ResumeRules}
_UNREADABLE = (
    ConfigurationError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)


@attrs.frozen(kw_only=True)
class JobPlan:
    """What a job is to do.

    For a file of rows::

        plan = JobPlan(source="orders.csv", concurrency=64, maximum_rps=200)
        async with await Job.begin(folder, plan, checkout) as job:
            ...

    Attributes:
        source: The file of its rows; empty if they are handed to `Job.run`.
        format: ``csv``, ``jsonl``, ``parquet`` or ``xlsx``; `None`: what the suffix
            says.
        table: How the file is read.
        rules: What may be done with rows that an earlier run has sent.
        concurrency: The most rows that are sent at once.
        maximum_rps: The most rows started in a second; `None` for no such limit.
        max_pause: The most seconds, in a row, that a ``Retry-After`` may hold the job.
        max_outage: The most seconds that nothing gets through, those pauses apart.

    Raises:
        ConfigurationError: A limit is malformed, there is no such format, or a value
            is of another type.
    """

    source: str = ""
    format: str | None = None
    table: TableOptions = attrs.field(factory=TableOptions)
    rules: ResumeRules = attrs.field(factory=ResumeRules)
    concurrency: int = 32
    maximum_rps: float | None = None
    max_pause: float = MAX_PAUSE
    max_outage: float = MAX_OUTAGE

    def __attrs_post_init__(self) -> None:
        for name, kind in _KINDS.items():
            if not isinstance(getattr(self, name), kind):
                message = f"{name} must be a {kind.__name__}"
                raise ConfigurationError(message)
        attrs.validate(self.limits)  # made of what is refused here, if it is
        if self.format is not None:
            choose_format(self.source, self.format)

    @property
    def limits(self) -> Limits:
        """How fast rows may be sent, and what is borne on the way."""
        return Limits(
            concurrency=self.concurrency,
            maximum_rps=self.maximum_rps,
            max_pause=self.max_pause,
            max_outage=self.max_outage,
        )

    @property
    def file_format(self) -> Format:
        """The format of the file.

        Raises:
            SourceError: There is no such format, or the suffix promises none.
            ConfigurationError: There is neither a file nor a format.
        """
        if not self.source and self.format is None:
            message = "the plan has no source: write by JobPlan(format=...)"
            raise ConfigurationError(message)
        return choose_format(self.source, self.format)

    @property
    def dead_letter_format(self) -> Format:
        """The format of the file that dead letters go to: CSV for those of a workbook.

        Raises:
            SourceError: There is no such format, or the suffix promises none.
            ConfigurationError: There is neither a file nor a format.
        """
        file_format = self.file_format
        return "csv" if file_format == "xlsx" else file_format

    def rows(self) -> Iterator[Row | Problem]:
        """Read the rows of the file one by one.

        Raises:
            SourceError: The file as a whole cannot be read, or its columns do not fit.
            ConfigurationError: There is none.
        """
        if not self.source:
            message = "the plan has no source: hand the rows to Job.run, from Python"
            raise ConfigurationError(message)
        return read_table(self.source, self.table, format=self.format)

    def find(self) -> Finding:
        """Find how the file is read, as far as the plan does not say it.

        Raises:
            SourceError: The file cannot be read, or in two ways.
        """
        kind = self.file_format
        with opened(self.source) as source:
            return find_options(source, kind, self.table)

    def kept_in(self, folder: JobFolder) -> Self:
        """Return the plan with the whole path of its source, to be stored.

        How the file is read is found, and kept with it: every run reads the same.

        Raises:
            SourceError: The file cannot be read, or in two ways.
            ConfigurationError: A file of the job would be written over the source.
        """
        if not self.source:
            return self
        source = self._resolved(self.source, folder)
        return attrs.evolve(self, source=source, table=self.find().options)

    def moved_to(self, source: str, folder: JobFolder) -> Self:
        """Return the plan with another path, to be read as the first one was.

        Raises:
            ConfigurationError: There was no file; the suffix of *source* promises
                another format; or a file of the job would be written over it, or
                `forget` would remove it.
        """
        if not self.source:
            message = "the plan has no source: hand the rows to Job.run, from Python"
            raise ConfigurationError(message)
        if not folder.is_input(self.source):
            folder.require_no_input(source)
        kind = self.file_format
        if self.format is None and _promised(source) not in {kind, None}:
            message = f"the input of the job is read as {kind}, which {source} is not"
            raise ConfigurationError(message)
        return attrs.evolve(self, source=self._resolved(source, folder), format=kind)

    def _resolved(self, source: str, folder: JobFolder) -> str:
        """Return the whole path of *source*, which has to stay as it is."""
        path = Path(source).resolve()
        if path in folder.own_files():
            message = f"{source} would be written over: choose another name for it"
            raise ConfigurationError(message)
        return str(path)

    def to_json(self) -> str:
        """Return what `from_header` reads, but for the source."""
        values = attrs.asdict(self)
        del values["source"]
        return json.dumps(values)

    @classmethod
    def from_header(cls, header: JobHeader) -> Self:
        """Return the plan that the job was begun with.

        Raises:
            JournalError: The journal holds no plan of this version.
        """
        try:
            values: dict[str, Any] = json.loads(header.options)
            rules = values.pop("rules")
            if "on_unknown" not in rules:  # nobody is to guess what may be sent again
                raise KeyError
            return cls(
                source=header.source,
                # A job begun by a version that found nothing is read as it was.
                table=TableOptions(**{"plain": True, **values.pop("table")}),
                rules=ResumeRules(**rules),
                **values,
            )
        except _UNREADABLE:
            message = (
                f"the plan of the job {header.job} cannot be read: it was begun by "
                "another version, so use that, or the plan was changed by hand"
            )
            raise JournalError(message) from None


def _promised(path: str) -> Format | None:
    try:
        return guess_format(path)
    except SourceError:
        return None


def plan_of(
    header: JobHeader,
    on_unknown: OnUnknown | None = None,
    *,
    retries_failed: bool = False,
    max_pause: float | None = None,
    max_outage: float | None = None,
) -> JobPlan:
    """Return the plan of a job that is gone on with.

    Args:
        header: What its journal says of it.
        on_unknown: In the place of what it was begun with; likewise the last two.
        retries_failed: Rejected rows are sent again in this run.
        max_pause: Seconds; see `Limits`.
        max_outage: Seconds; see `Limits`.

    Raises:
        JournalError: The journal holds no plan of this version.
        ConfigurationError: One of these cannot be.
    """
    plan = JobPlan.from_header(header)
    rules = attrs.evolve(
        plan.rules,
        on_unknown=plan.rules.on_unknown if on_unknown is None else on_unknown,
        retries_failed=retries_failed,
    )
    return attrs.evolve(
        plan,
        rules=rules,
        max_pause=plan.max_pause if max_pause is None else max_pause,
        max_outage=plan.max_outage if max_outage is None else max_outage,
    )
