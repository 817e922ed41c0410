"""OpenTelemetry in memory: what a user's backend would be sent."""

from collections.abc import Iterator, Mapping

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from convergegate_async.contrib.otel import OpenTelemetryObserver


class Telemetry:
    """Providers of the SDK that send to memory, and an observer that feeds them."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.observer = OpenTelemetryObserver(self.tracers, meters)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """All spans that have ended, the first to end first."""
        return self._exporter.get_finished_spans()

    def metrics(self) -> MetricsData:
        """Return all metrics as they are now."""
        data = self._reader.get_metrics_data()
        if not isinstance(data, MetricsData):
            raise AssertionError  # noqa: TRY004 -- nothing was measured
        return data

    def text(self) -> str:
        """Return all that would be sent, resources and scopes included."""
        spans = [f"{one.to_json()} {one.instrumentation_scope}" for one in self.spans]
        return "\n".join([*spans, self.metrics().to_json()])


def attributes_of(telemetry: Telemetry) -> Iterator[Mapping[str, object]]:
    """Yield the attributes of every span, event and point of a metric."""
    for span in telemetry.spans:
        yield span.attributes or {}
        yield from (event.attributes or {} for event in span.events)
    for resource in telemetry.metrics().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                yield from (point.attributes or {} for point in metric.data.data_points)
