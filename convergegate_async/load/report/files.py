"""A report as a file: of which kind, its name says."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

from convergegate_async.errors import ConfigurationError
from convergegate_async.load.report.charts import charts_of, png_of
from convergegate_async.load.report.data import LoadReport
from convergegate_async.load.report.page import page_of
from convergegate_async.load.report.summaries import junit_of, markdown_of


def _page(report: LoadReport) -> bytes:
    return page_of(report, charts_of(report)).encode()


def _percentiles(report: LoadReport) -> bytes:
    return report.recorder.total.response.percentile_distribution().encode()


KINDS: Mapping[str, Callable[[LoadReport], bytes]] = MappingProxyType(
    {
        ".html": _page,
        ".json": lambda report: report.to_json().encode(),
        ".png": png_of,
        ".md": lambda report: markdown_of(report).encode(),
        ".xml": lambda report: junit_of(report).encode(),
        ".hgrm": _percentiles,
    }
)
"""What is written, by the suffix of a file's name."""

_NEEDED: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {".html": ("load", ("jinja2",)), ".png": ("charts", ("altair", "vl_convert"))}
)
"""Of which extra a kind needs which packages."""

_RAW = (".json", ".hgrm")
"""What a page has beside it."""


def kind_of(path: Path) -> str:
    """Return the suffix that says what *path* is to hold.

    Raises:
        ConfigurationError: Nothing of that kind can be written.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        message = f"the name of a report must end in one of {', '.join(KINDS)}"
        raise ConfigurationError(message)
    return kind


def require_installed(kind: str) -> None:
    """Refuse a kind of report that nothing here can write.

    Raises:
        ConfigurationError: Its extra is not installed.
    """
    extra, packages = _NEEDED.get(kind, ("", ()))
    if not all(map(find_spec, packages)):
        install = f'pip install "convergegate-async[{extra}]"'
        message = f'{kind} needs the extra "{extra}": {install}'
        raise ConfigurationError(message)


def write_report(report: LoadReport, path: Path) -> tuple[Path, ...]:
    """Write what a run came to, each file whole or not at all.

    A page is written with its raw figures beside it, ``.json`` and ``.hgrm``.

    Args:
        report: What it came to.
        path: Its suffix says what is written: ``.html``, ``.json``, ``.png``, ``.md``,
            ``.xml`` (JUnit) or ``.hgrm`` (HdrHistogram's percentiles of the response
            time, in milliseconds).

    Returns:
        What was written, *path* first.

    Raises:
        ConfigurationError: The name has none of these suffixes, or the extra that
            writes it is not installed.
        OSError: It cannot be written.
    """
    kind = kind_of(path)
    require_installed(kind)
    beside = _RAW if kind == ".html" else ()
    written = {path: kind} | {path.with_suffix(raw): raw for raw in beside}
    for place, suffix in written.items():
        _write(place, KINDS[suffix](report))
    return tuple(written)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
