"""The public surface: complete, sorted, lazy, and of one version."""

import re
import subprocess
import sys
import tokenize
from importlib.metadata import version
from pathlib import Path

import pytest

import convergegate_async

ROOT = Path(__file__).parent.parent


def test_all_is_sorted_and_there() -> None:
    """Every public name can be imported, and `__all__` is in order."""
    names = convergegate_async.__all__

    assert names == sorted(names)
    assert all(getattr(convergegate_async, name) is not None for name in names)
    assert set(names) <= set(dir(convergegate_async))


def test_the_lazy_table_names_what_type_checkers_see() -> None:
    """The names for type checkers and the names at run time are the same."""
    source = Path(convergegate_async.__file__).read_text()
    typing_block = source.split("if TYPE_CHECKING:")[1].split("_HOMES =")[0]
    declared = set(re.findall(r"\b([A-Z]\w+|\w+_\w+|confirm|sign)\b", typing_block))

    assert declared == set(convergegate_async.__all__) - {"__version__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A typo is reported as such."""
    with pytest.raises(AttributeError, match="CheckoutSesion"):
        _ = convergegate_async.CheckoutSesion  # type: ignore[attr-defined]  # the typo is the point


def test_the_version_stands_once() -> None:
    """Package, metadata and the newest heading of the changelog agree."""
    headings = re.findall(
        r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )

    assert convergegate_async.__version__ == version("convergegate-async")
    assert convergegate_async.__version__ == headings[0]


def test_importing_the_package_imports_nothing_else() -> None:
    """Neither aiohttp nor click is loaded before it is needed."""
    program = (
        "import sys, convergegate_async;"
        "assert not {'aiohttp', 'click', 'cattrs'} & set(sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], check=False)  # noqa: S603 -- our own program

    assert done.returncode == 0


def test_importing_the_factory_imports_what_it_is_built_of() -> None:
    """What only calls need is loaded when it is opened."""
    program = (
        "import sys; before = set(sys.modules);"
        "from convergegate_async import CheckoutSessionFactory;"
        "late = {'cattrs', 'decimal', 'msgspec', 'tenacity'};"
        "assert not late & set(sys.modules) - before"
    )

    done = subprocess.run([sys.executable, "-c", program], check=False)  # noqa: S603 -- our own program

    assert done.returncode == 0


def test_nothing_is_named_told() -> None:
    """The word says that somebody said something: no name is made of it."""
    modules = [
        path
        for folder in ("convergegate_async", "tests", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]
    places = []
    for path in modules:
        with tokenize.open(path) as source:
            places += [
                f"{path.relative_to(ROOT)}:{token.start[0]}"
                for token in tokenize.generate_tokens(source.readline)
                if token.type == tokenize.NAME
                and token.string.strip("_").lower() == "told"
            ]

    assert not places, "\n".join(places)
