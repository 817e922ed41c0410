"""How pytest is run as in a project of a user's."""

import os
import sys
from importlib.metadata import entry_points

PLUGIN = "convergegate_async.testing.plugin"

# An entry point is found only where the package was installed with it.
_IS_INSTALLED = bool(entry_points(group="pytest11", name="convergegate"))
_NAMED = () if _IS_INSTALLED else ("-p", PLUGIN)

# Of those that are installed here a project needs none of these, and pays for them.
_NEEDLESS = ("cacheprovider", "faker", "hypothesispytest", "pytest_cov", "schemathesis")
_WITHOUT = tuple(f"-pno:{name}" for name in _NEEDLESS)

PYTEST = (sys.executable, "-m", "pytest", *_WITHOUT, *_NAMED)
"""The command; what comes from this suite's own run is not for it: see `ENVIRON`."""

ENVIRON = {name: v for name, v in os.environ.items() if "PYTEST" not in name}

ASYNCIO = "asyncio_default_fixture_loop_scope = function\n"
AUTO = f"{ASYNCIO}asyncio_mode = auto\n"


def config(lines: str) -> str:
    """Return a ``pytest.ini`` with *lines*, in which warnings are errors."""
    return f"[pytest]\nfilterwarnings = error\n{lines}"
