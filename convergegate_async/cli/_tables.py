"""How a file is read, as options of the commands that read one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from convergegate_async.errors import ConfigurationError

from ._usage import as_usage

if TYPE_CHECKING:
    from convergegate_async.bulk import TableOptions

F = TypeVar("F", bound=Callable[..., Any])


def checked_by_table(
    _context: click.Context, option: click.Parameter, value: str | None
) -> str | None:
    """Return the *value* of an option of `TableOptions`, if it can be one.

    Raises:
        click.BadParameter: There is no such zone, encoding, country or the like.
    """
    from convergegate_async.bulk import SourceError, TableOptions

    given: dict[str, Any] = {str(option.name): value}
    with as_usage(SourceError):
        TableOptions(**given)
    return value


def format_option(*names: str) -> Callable[[F], F]:
    """Return the option that names one of these formats."""
    return click.option(
        "--format",
        type=click.Choice(names),
        help="Format of the file. [default: by its suffix]",
    )


_OPTIONS = (
    click.option(
        "--id-column",
        default="id",
        show_default=True,
        help="Column that holds each row's id.",
    ),
    click.option(
        "--map",
        "maps",
        multiple=True,
        metavar="COLUMN=FIELD",
        help="Read COLUMN, in any case, as FIELD; may be repeated. An empty FIELD "
        "ignores the column; an empty COLUMN means those without a name.",
    ),
    click.option(
        "--map-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="The same mappings, as a JSON object in a file.",
    ),
    click.option(
        "--set",
        "constants",
        multiple=True,
        metavar="FIELD=TEXT",
        help="Every row has TEXT in FIELD, for which there is no column; may be "
        "repeated.",
    ),
    click.option(
        "--ignore-extra", is_flag=True, help="Leave out columns that are for no field."
    ),
    click.option(
        "--amount-unit",
        type=click.Choice(["minor", "major"]),
        help="minor is 4999, major is 49.99. [default: minor]",
    ),
    click.option(
        "--delimiter",
        metavar="SIGN",
        callback=checked_by_table,
        help="What stands between the cells of CSV: comma, semicolon, tab or another "
        "character. [default: found]",
    ),
    click.option(
        "--encoding",
        metavar="NAME",
        callback=checked_by_table,
        help="utf-8, utf-16, cp1250, cp1252 or iso8859-2. [default: found]",
    ),
    click.option(
        "--decimal",
        type=click.Choice([",", "."]),
        help="The decimal mark of major units. [default: found]",
    ),
    click.option(
        "--timezone",
        metavar="NAME",
        callback=checked_by_table,
        help="Where times are that name no zone. [default: Europe/Warsaw if all is "
        "paid in złoty, else nowhere]",
    ),
    click.option(
        "--date-format",
        metavar="FORMAT",
        callback=checked_by_table,
        help="Of times without a zone, as of Python: %d.%m.%Y %H:%M. [default: found]",
    ),
    click.option(
        "--default-country",
        metavar="CODE",
        callback=checked_by_table,
        help="PL reads 601 234 567 as +48601234567. [default: none]",
    ),
    click.option(
        "--row-metadata",
        metavar="NAME",
        callback=checked_by_table,
        help="Put the row's id into the metadata, too.",
    ),
    format_option("csv", "jsonl", "parquet", "xlsx"),
)


def table_options(command: F) -> F:
    """Give *command* the options that `table_of` and `format_of` read."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def table_of(options: Mapping[str, Any]) -> "TableOptions":
    """Return how a file is read, as *options* say.

    Raises:
        click.BadParameter: They contradict each other, or name what there is not.
        ConfigurationError: The file of mappings holds none.
    """
    from convergegate_async.bulk import SourceError, TableOptions

    columns = _columns(options["maps"], options["map_file"])
    with as_usage(SourceError):
        return TableOptions(
            id_column=options["id_column"],
            columns=columns,
            constants=_pairs(options["constants"], "--set", "FIELD=TEXT"),
            ignore_extra=options["ignore_extra"],
            amount_unit=options["amount_unit"],
            row_metadata=options["row_metadata"],
            delimiter=options["delimiter"],
            encoding=options["encoding"],
            decimal=options["decimal"],
            timezone=options["timezone"],
            date_format=options["date_format"],
            default_country=options["default_country"],
        )


def format_of(source: str, options: Mapping[str, Any]) -> str | None:
    """Return the format that *options* name; `None` is that of the suffix."""
    # Spooled, stdin has a name that promises nothing.
    return options["format"] or ("csv" if source == "-" else None)


def _columns(maps: tuple[str, ...], path: Path | None) -> dict[str, str]:
    columns = {} if path is None else _columns_of_file(path)
    return columns | _pairs(maps, "--map", "COLUMN=FIELD")


def _pairs(texts: tuple[str, ...], option: str, shape: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            message = f"must be {shape}"
            raise click.BadParameter(message, param_hint=option)
        pairs[name] = value
    return pairs


def _columns_of_file(path: Path) -> dict[str, str]:
    from convergegate_async._core.strict_json import DuplicateKeyError, decode_exactly

    message = f"{path} must hold a JSON object of column: field"
    try:
        read = decode_exactly(path.read_bytes())
    except DuplicateKeyError:
        message = f"{path} names a column twice"
    except (OSError, ValueError, ArithmeticError):
        pass  # it holds no such object
    else:
        if isinstance(read, dict) and all(type(to) is str for to in read.values()):
            return read
    raise ConfigurationError(message)
