"""Where work is done: in processes of this machine, or by Dask.

One small protocol with two implementations: chunks are done at least once, one after
the other, and slices at most once, all at the same time. Losing work and moving data
about is theirs; what a chunk or slice means is their caller's.
"""

from ._cuts import run_until_cut
from ._dask import DaskRunner
from ._local import LocalRunner
from ._protocol import Done, Runner, WorkersLostError
from ._spread import Part, Spread

__all__ = [
    "DaskRunner",
    "Done",
    "LocalRunner",
    "Part",
    "Runner",
    "Spread",
    "WorkersLostError",
    "run_until_cut",
]
