"""How a table is read, as its reader chose it."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NoReturn, Self

import attrs

from convergegate_async.models import rules

from .amounts import Mark
from .csv_file import Dialect
from .dates import check_date_format, find_zone
from .delimiters import choose_delimiter
from .encodings import choose_encoding
from .fields import FIELDS, Spellings
from .formats import OWN_PREFIX, SourceError
from .phones import check_country
from .rows import listed, shown

_TEXTS = (
    *("row_metadata", "delimiter", "encoding", "timezone", "date_format"),
    *("default_country", "zone_currency"),
)
_OF_DATA = re.compile("[0-9@]")  # which few names of columns have
_METADATA_NAME = "metadata"
_METADATA = re.compile(rf"metadata\[([^\[\]]{{1,{rules.MAX_METADATA_KEY}}})\]")


def _as_dict(mapping: Mapping[str, str]) -> Mapping[str, str]:
    """Return what JSON can hold of a mapping; what is none is refused later."""
    is_mapping: object = isinstance(mapping, Mapping)
    return dict(mapping) if is_mapping else mapping


@attrs.frozen(kw_only=True)
class TableOptions:
    """How an input is read.

    What is `None` is found from the table, unless it is *plain*; see `find_options`.

    For columns that are called otherwise::

        options = TableOptions(id_column="order", columns={"total": "amount"})
        for row in read_table("exported.csv", options):
            ...

    Attributes:
        id_column: Holds the row's id, 1 to 128 printable characters; keys derive
            from it, so that it must be the same whenever the row is read.
        columns: Names of columns, and the request field each is for, such as
            ``customer_email`` or ``metadata[note]``; ``""`` leaves one out. A
            column that is not named here is for the field of its own name. Columns
            that have no name are called ``""``.
        amount_unit: ``minor`` (4999) or ``major`` (49.99, exactly); `None` is
            ``minor``, and a doubt where amounts look like the other one.
        row_metadata: Where in the metadata the row id is put, if anywhere.
        constants: Texts by request field, such as ``success_url``, that are the same in
            every row, and in no column.
        ignore_extra: Columns for which there is no field are left out, and not refused.
        delimiter: What stands between the cells of CSV: a character, or ``comma``,
            ``semicolon`` or ``tab``.
        encoding: That of CSV: ``utf-8``, ``utf-16``, ``cp1250``, ``cp1252`` or
            ``iso8859-2``.
        decimal: The decimal mark of amounts in major units; where the table shows none
            what can mean one amount only is read, such as ``49,99`` and ``1 234.50``.
        timezone: A name such as ``Europe/Warsaw``, for times that have none: those of
            a table in which all is paid in złoty are there, others are refused.
        date_format: Directives of `datetime.strptime`, such as ``%d.%m.%Y %H:%M``, for
            times without a zone; where the table shows none what can mean one time only
            is read.
        zone_currency: Where *timezone* was found, what is paid in there: times in other
            rows are refused.
        default_country: Two letters of ISO 3166: phone numbers without a + are of
            there. It needs phonenumbers, of the extra ``bulk``.
        plain: The table is as programs write it, and is taken as it is: commas, UTF-8,
            amounts with a point, times with a zone, spaces kept.

    Raises:
        SourceError: There is no such field, unit, mark, time zone or country, or two
            columns are for one field.
        ConfigurationError: What reads phone numbers or time zones is not installed.
    """

    id_column: str = "id"
    columns: Mapping[str, str] = attrs.field(
        factory=dict, converter=_as_dict, hash=False
    )
    amount_unit: Literal["minor", "major"] | None = None
    row_metadata: str | None = None
    constants: Mapping[str, str] = attrs.field(
        factory=dict, converter=_as_dict, hash=False
    )
    ignore_extra: bool = False
    delimiter: str | None = None
    encoding: str | None = None
    decimal: Mark | None = None
    timezone: str | None = None
    zone_currency: str | None = None
    date_format: str | None = None
    default_country: str | None = None
    plain: bool = False

    def __attrs_post_init__(self) -> None:
        _refuse_other_kinds(self)
        targets = [target for target in self.columns.values() if target]
        targets += self.constants
        if self.row_metadata is not None:
            targets.append(f"metadata[{self.row_metadata}]")
        unknown = [target for target in targets if not is_field(target)]
        if unknown:
            known = ", ".join(FIELDS)
            refuse(
                f"no request field is called {listed(unknown)}: there are {known} and "
                "metadata[NAME]; the id is the --id-column"
            )
        for complaint in repeated(targets, "two columns are for"):
            refuse(complaint)
        if self.amount_unit not in {None, "minor", "major"}:
            refuse("amount_unit must be minor or major")
        if self.decimal not in {None, ".", ","}:
            refuse("decimal must be a point or a comma")
        if self.date_format is not None:
            check_date_format(self.date_format)
        dialect_of(self)  # made of what is refused here, if it is
        spellings_of(self)

    def target(self, column: str) -> str | None:
        """Return the field that *column* is for, ``""`` for none, `None` if unknown."""
        target = self.columns.get(column)
        if target is not None:
            return target
        if is_field(column):
            return column
        is_known = column == self.id_column or column.startswith(OWN_PREFIX)
        return "" if is_known or self.ignore_extra else None

    def as_spelled_in(self, header: Sequence[str]) -> Self:
        """Return these options with the names of columns in the case of a *header*."""
        if self.plain:
            return self
        spellings: defaultdict[str, list[str]] = defaultdict(list)
        for column in header:
            spellings[column.casefold()].append(column)

        def spelled(name: str) -> str:
            found = spellings[name.casefold()]
            if name in found or not found:
                return name
            if len(found) > 1:
                refuse(f"columns differ in the case of their letters: {listed(found)}")
            return found[0]

        mapping = {spelled(name): target for name, target in self.columns.items()}
        own = {spelled(field): field for field in FIELDS if spelled(field) != field}
        for column in header:
            note = _METADATA_NAME + column[len(_METADATA_NAME) :]
            is_note = column != note and column.casefold() == note.casefold()
            if is_note and is_field(note):
                own[column] = note  # the case of its key stays
        return attrs.evolve(
            self, id_column=spelled(self.id_column), columns=own | mapping
        )


def spellings_of(options: TableOptions) -> Spellings | None:
    """Return how texts are spelled; `None` if as programs write them.

    Raises:
        SourceError: There is no such time zone or country.
        ConfigurationError: What reads them is not installed.
    """
    if options.plain:
        return None
    zone, country = options.timezone, options.default_country
    return Spellings(
        decimal=options.decimal,
        date_format=options.date_format,
        timezone=None if zone is None else find_zone(zone),
        zone_currency=options.zone_currency,
        country=None if country is None else check_country(country),
    )


def dialect_of(options: TableOptions) -> Dialect:
    """Return how a table is spelled in CSV; where it is not said, as programs do.

    Raises:
        SourceError: There is no such delimiter or encoding.
    """
    plain = Dialect(strip=not options.plain)
    delimiter, encoding = options.delimiter, options.encoding
    return attrs.evolve(
        plain,
        delimiter=plain.delimiter if delimiter is None else choose_delimiter(delimiter),
        encoding=plain.encoding if encoding is None else choose_encoding(encoding),
    )


def _refuse_other_kinds(options: TableOptions) -> None:
    if not isinstance(options.id_column, str):
        refuse("id_column must be a str")
    for name in _TEXTS:
        if not isinstance(getattr(options, name), str | None):
            refuse(f"{name} must be a str, or None")
    for name in ("ignore_extra", "plain"):
        if not isinstance(getattr(options, name), bool):
            refuse(f"{name} must be a bool")
    for name in ("columns", "constants"):
        mapping: object = getattr(options, name)
        if not (
            isinstance(mapping, Mapping)
            and all(isinstance(text, str) for pair in mapping.items() for text in pair)
        ):
            refuse(f"{name} must map texts to texts")


def is_field(name: str) -> bool:
    """Tell whether a request has such a field, or metadata such a key."""
    return name in FIELDS or _METADATA.fullmatch(name) is not None


def lacking(column: str, there: Sequence[str]) -> str:
    """Return a sentence on a *column* that is not *there*, and on those that are.

    A first row of data is no header: its cells are not for a message.
    """
    message = f"the input has no column {shown(column)}"
    is_data = any(map(_OF_DATA.search, there))
    return message if is_data else f"{message} among {listed(there)}"


def repeated(names: Iterable[str], complaint: str) -> Iterator[str]:
    """Yield a sentence that begins with *complaint* if a name comes more than once."""
    found = [name for name, count in Counter(names).items() if count > 1]
    if found:
        yield f"{complaint} {listed(found)}"


def refuse(message: str) -> NoReturn:
    """Refuse the input as a whole.

    Raises:
        SourceError: Always.
    """
    raise SourceError(message)
