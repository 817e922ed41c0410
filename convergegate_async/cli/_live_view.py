"""A picture on the terminal that is drawn anew, where there is one to draw on."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live


def live_view(
    draw: "Callable[[], RenderableType]", *, transient: bool = False
) -> "Live | None":
    """Return a view on stderr that shows what is drawn; `None` if lines have to do.

    They do where stderr is no terminal, and without rich.

    Args:
        draw: Draws what is shown first.
        transient: Nothing of it stays on the terminal.
    """
    if not sys.stderr.isatty():
        return None
    try:
        from rich.console import Console
        from rich.live import Live

        live = Live(
            draw(),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=transient,
        )
    except ImportError:
        return None
    live.start()
    return live
