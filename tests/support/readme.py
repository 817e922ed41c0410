"""The README, which is the manual, and its Python blocks."""

import re
from pathlib import Path

README = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(
    r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL
)

NAMED: dict[str, str] = {
    block.partition("\n")[0].removeprefix("# "): block
    for block in BLOCKS
    if re.match(r"# \w+\.py\n", block)
}
"""Those that are files, by their names: other blocks import from them."""


def block(mark: str) -> str:
    """Return the one block that has *mark*."""
    (found,) = [block for block in BLOCKS if mark in block]
    return found
