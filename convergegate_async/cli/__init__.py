"""The command line: arguments in, exit code out."""

import sys


def main() -> None:
    """Run the ``convergegate`` command."""
    try:
        import click  # noqa: F401 -- only to see whether it is there
    except ModuleNotFoundError:
        sys.exit(
            'install the command line first: pip install "convergegate-async[cli]"'
        )
    from ._program import run

    sys.exit(run())
