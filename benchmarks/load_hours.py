"""Whether a plan of ten hours is kept and recorded in memory that does not grow.

Hours pass by a clock of their own: what is due is taken from the plan and recorded as a
target would answer that is slow now and then. Goal: every planned iteration is counted
once, and the second half takes no more memory than the first.
"""

import argparse
import sys
import time
from itertools import cycle

from harness.figures import resident

from convergegate_async.load import Iteration, Profile, Recorder, Result
from convergegate_async.load.generator import Schedule

_MILLISECOND = 1_000_000
_ANSWERS = [3 * _MILLISECOND] * 997 + [40 * _MILLISECOND] * 2 + [900 * _MILLISECOND]
_LOOK_EVERY = 1_000  # iterations
GROWTH = 1.10


def main() -> None:
    """Let the hours pass, and tell what they left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=10)
    parser.add_argument("--rate", type=float, default=1_000)
    options = parser.parse_args()
    profile = Profile.constant(options.rate, options.hours * 3_600)
    schedule = Schedule(enumerate(profile.due_times()))
    recorder, answers = Recorder(), cycle(_ANSWERS)
    began, peaks = time.perf_counter(), [0, 0]
    half = profile.duration * 5e8  # nanoseconds
    while schedule.due is not None:
        number, due = schedule.take()
        takes = next(answers)
        recorder.record(
            Iteration(due=due, sent=due, ended=due + takes, result=Result.OK)
        )
        if not number % _LOOK_EVERY:
            peaks[due > half] = max(peaks[due > half], resident())
    growth = peaks[1] / peaks[0]
    counted = recorder.total.counts.total()
    planned = round(options.rate * profile.duration)
    parts = list(recorder.intervals())
    print(f"{counted:,} of {planned:,} counted in {time.perf_counter() - began:,.0f} s")
    print(
        f"most memory in the second half / in the first: {growth:.3f}, "
        f"{peaks[1] >> 20:,} MiB"
    )
    print(f"{len(parts)} parts of {parts[0].seconds} s")
    sys.exit(counted != planned or growth > GROWTH)


if __name__ == "__main__":
    main()
