"""The environment of other SDKs, apart from ours: made on first use, and then kept."""

import os
import subprocess
import sys
import venv
from hashlib import sha256
from pathlib import Path

import convergegate_async

REQUIRED = ("stripe>=16", "openai[aiohttp]>=3.54", "httpx>=0.28", "uvloop>=0.21")
DRAWING = ("matplotlib>=3.10",)


def peer_python() -> str:
    """Return the interpreter of the peers' environment, made on first use."""
    names = (*REQUIRED, *DRAWING)
    digest = sha256(repr((names, sys.version)).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "convergegate-async" / f"benchmarks-{digest}"
    python, ready = str(folder / "bin" / "python"), folder / "ready"
    if not ready.exists():
        print(f"making an environment for {', '.join(names)}", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run(  # noqa: S603 -- what is fixed above
            [python, "-m", "pip", "install", "-qq", *names], check=True
        )
        ready.touch()
    return python


def surroundings() -> dict[str, str]:
    """Return variables under which what is imported here is imported there too."""
    ours = [
        str(Path(module).parents[1])
        for module in (convergegate_async.__file__, __file__)
    ]
    ours += [entry for entry in sys.path if entry.endswith("site-packages")]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(ours)}
    variables.pop("COVERAGE_PROCESS_START", None)
    return variables


def peer_versions() -> str:
    """Return the versions of the peers, and of what they stand on."""
    names = ("stripe", "openai", "httpx", "httpx2", "pydantic", "uvloop")
    program = f"from harness.figures import versions; print(versions{names})"
    command = [peer_python(), "-c", program]
    return subprocess.run(  # noqa: S603 -- our own file
        command,
        check=True,
        capture_output=True,
        text=True,
        env=surroundings(),
    ).stdout.strip()
