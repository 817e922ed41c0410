"""Load tests that tell the truth: planned, sent and measured on one clock.

::

    plan = LoadPlan(
        profile=Profile.constant(rate=200, duration=60), thresholds=["p99<300ms"]
    )
    report = asyncio.run(run_load(plan))

Needs the extra ``load``.
"""

from .plan import LoadPlan
from .profiles import Profile, Segment, Trace
from .progress import Progress
from .recorder import Glimpse, Measured, Recorder, Result
from .report.data import LoadReport, RunFacts, Status
from .run import run_load
from .scenarios import (
    CreatePayWebhook,
    Mix,
    Scenario,
    create,
    create_retrieve,
    sample_request,
)
from .steps import step
from .targets import Target, own_target
from .thresholds import Threshold, Verdict
from .times import Times

__all__ = [
    "CreatePayWebhook",
    "Glimpse",
    "LoadPlan",
    "LoadReport",
    "Measured",
    "Mix",
    "Profile",
    "Progress",
    "Recorder",
    "Result",
    "RunFacts",
    "Scenario",
    "Segment",
    "Status",
    "Target",
    "Threshold",
    "Times",
    "Trace",
    "Verdict",
    "create",
    "create_retrieve",
    "own_target",
    "run_load",
    "sample_request",
    "step",
]
