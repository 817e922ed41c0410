"""What holds for every process of this machine that works for this one."""

import multiprocessing
import os
import signal
import threading

# A fork would take the event loop and its connections along.
SPAWNED = multiprocessing.get_context("spawn")


def live_with_parent() -> None:
    """Leave Ctrl-C to the parent, and die with it even where it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
