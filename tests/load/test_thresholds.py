"""Every form of a threshold, what keeps it, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async import ConfigurationError
from convergegate_async.load.recorder import Iteration, Recorder, Result
from convergegate_async.load.thresholds import Threshold, percentile_of

MILLISECOND = 1_000_000


def recorded(*results: Result, takes: int = 1) -> Recorder:
    """Return what came to these, after so many milliseconds each."""
    recorder = Recorder()
    for result in results:
        sent = None if result is Result.DROPPED else 0
        iteration = Iteration(
            due=0, sent=sent, ended=takes * MILLISECOND, result=result
        )
        recorder.record(iteration)
    return recorder


@pytest.mark.parametrize(
    ("text", "metric", "step", "bound"),
    [
        ("p99<300ms", "p99", None, 0.3),
        ("p99.9 <= 1.5s", "p99.9", None, 1.5),
        ("p50<900us", "p50", None, 0.0009),
        ("p50<900µs", "p50", None, 0.0009),
        ("max<2s", "max", None, 2.0),
        ("mean<5ms", "mean", None, 0.005),
        ("error_rate<0.1%", "error_rate", None, 0.001),
        ("unknown_rate<=0.01", "unknown_rate", None, 0.01),
        ("dropped_rate<1%", "dropped_rate", None, 0.01),
        ("rate>=195", "rate", None, 195.0),
        ("rate>195/s", "rate", None, 195.0),
        ("errors<1", "errors", None, 1.0),
        ("dropped<=0", "dropped", None, 0.0),
        ("pay:p99<2s", "p99", "pay", 2.0),
        (" create:error_rate<1% ", "error_rate", "create", 0.01),
    ],
)
def test_every_form_is_read(
    text: str, metric: str, step: str | None, bound: float
) -> None:
    """In seconds, as a share, as a count; of a step or of all."""
    threshold = Threshold.parse(text)

    assert (threshold.metric, threshold.step) == (metric, step)
    assert threshold.bound == pytest.approx(bound)
    assert threshold.text == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        *("", "p99", "p99<", "<300ms", "p99=300ms", "p99<-1ms", "p99<300ms and more"),
        *("p99<300", "p99<300%", "error_rate<5ms", "rate>=10ms", "p100<1s", "px<1s"),
        *("p99<1e3ms", "p99<nanms", "latency<1s", "p99<1_000ms", "1a:p99<1s"),
        *("error_rate<1", "error_rate<100%", "dropped_rate<=5"),
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    """With what one is made of, and never with the text itself."""
    with pytest.raises(ConfigurationError):
        Threshold.parse(text)


@given(
    st.sampled_from(["<", "<=", ">", ">="]),
    st.integers(1, 1_000),
    st.integers(1, 1_000),
)
def test_a_threshold_is_kept_as_python_compares(
    comparison: str, bound: int, errors: int
) -> None:
    """The bound itself is kept by ``<=`` and ``>=`` alone."""
    recorder = Recorder()
    recorder.total.counts[Result.UNKNOWN] = errors

    verdict = Threshold.parse(f"errors{comparison}{bound}").judge(recorder, 1.0)

    assert verdict.observed == errors
    assert verdict.is_kept is eval(f"{errors} {comparison} {bound}")  # noqa: S307 -- of our own numbers


OK, REJECTED, UNKNOWN = Result.OK, Result.REJECTED, Result.UNKNOWN
DROPPED, CUT = Result.DROPPED, Result.CUT


@pytest.mark.parametrize(
    ("metric", "results", "observed"),
    [
        ("rate", [OK, OK, REJECTED], 1.0),
        ("errors", [OK, REJECTED, UNKNOWN, DROPPED, CUT], 2),
        ("error_rate", [OK, REJECTED, UNKNOWN, OK, DROPPED, CUT], 0.5),
        ("unknown_rate", [OK, REJECTED, UNKNOWN, OK, DROPPED, CUT], 0.25),
        ("dropped", [OK, DROPPED], 1),
        ("dropped_rate", [OK, DROPPED, DROPPED, CUT], 0.5),
        ("max", [OK], 0.002),
        ("mean", [OK, REJECTED], 0.002),
        ("p50", [OK, REJECTED], 0.002),
        ("p99.9", [CUT], 0.002),
    ],
)
def test_every_metric_is_what_its_name_says(
    metric: str, results: list[Result], observed: float
) -> None:
    """Errors are shares of what ended, drops of what was planned."""
    threshold = Threshold.parse(f"{metric}>=0{'s' if metric[0] in 'mp' else ''}")

    verdict = threshold.judge(recorded(*results, takes=2), seconds=2.0)

    assert verdict.observed == pytest.approx(observed, rel=2e-3)


def test_a_step_is_judged_alone() -> None:
    """What other steps came to does not count."""
    recorder = recorded(OK, takes=900)
    recorder.step("pay").record(5 * MILLISECOND, 5 * MILLISECOND)
    recorder.step("pay").count(OK, None)

    verdicts = [
        Threshold.parse(text).judge(recorder, 1.0)
        for text in ("p99<300ms", "pay:p99<300ms")
    ]

    assert [verdict.is_kept for verdict in verdicts] == [False, True]


@pytest.mark.parametrize(
    "text", ["pay:p99<2s", "pay:rate>0", "pay:dropped<1", "max<1s"]
)
def test_what_was_not_measured_is_not_kept(text: str) -> None:
    """A step that never ran proves nothing, whichever way it is compared."""
    verdict = Threshold.parse(text).judge(recorded(DROPPED), 1.0)

    assert (verdict.observed, verdict.is_kept) == (None, False)


@pytest.mark.parametrize(
    ("metric", "percentile"),
    [("p50", 50.0), ("p99.99", 99.99), ("p9", 9.0), ("max", None), ("p", None)],
)
def test_a_percentile_is_read_from_its_name(
    metric: str, percentile: float | None
) -> None:
    """Up to four digits behind the point."""
    assert percentile_of(metric) == percentile
