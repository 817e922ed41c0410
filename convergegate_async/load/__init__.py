"""Load tests that tell the truth: planned, sent and measured on one clock.

::

    plan = LoadPlan(
        profile=Profile.constant(rate=200, duration=60), thresholds=["p99<300ms"]
    )
    report = asyncio.run(run_load(plan))

Needs the extra ``load``.
"""

from .drive import Loop
from .effort import Effort
from .health import Health
from .plan import LoadPlan
from .profiles import Arrivals, Profile, Segment, Trace
from .progress import Progress
from .recorder import Failure, Interval, Iteration, Measured, Recorder, Result, Snapshot
from .report.compare import Comparison, Difference, compare
from .report.data import LoadReport, Status
from .report.facts import RunFacts
from .report.files import write_report
from .run import NothingDrivenError, run_load
from .scenarios import (
    CreatePayWebhook,
    Mix,
    Scenario,
    create,
    create_retrieve,
    sample_request,
)
from .search import Search, Trial
from .steps import step
from .targets import Target, own_target
from .thresholds import Run, Threshold, Verdict
from .times import Times

__all__ = [
    "Arrivals",
    "Comparison",
    "CreatePayWebhook",
    "Difference",
    "Effort",
    "Failure",
    "Health",
    "Interval",
    "Iteration",
    "LoadPlan",
    "LoadReport",
    "Loop",
    "Measured",
    "Mix",
    "NothingDrivenError",
    "Profile",
    "Progress",
    "Recorder",
    "Result",
    "Run",
    "RunFacts",
    "Scenario",
    "Search",
    "Segment",
    "Snapshot",
    "Status",
    "Target",
    "Threshold",
    "Times",
    "Trace",
    "Trial",
    "Verdict",
    "compare",
    "create",
    "create_retrieve",
    "own_target",
    "run_load",
    "sample_request",
    "step",
    "write_report",
]
