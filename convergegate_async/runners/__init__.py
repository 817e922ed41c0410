"""Where chunks of work are done: in processes of this machine, or by Dask.

One small protocol with two implementations. Losing a chunk, doing it again, and moving
data about is theirs; what a chunk means is their caller's.
"""

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
]
