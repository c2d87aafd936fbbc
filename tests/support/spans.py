"""Which spans were made, and what is in them?"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from hello.operating import telemetry

_EXPORTER = InMemorySpanExporter()
PROVIDER = TracerProvider()
PROVIDER.add_span_processor(SimpleSpanProcessor(_EXPORTER))

Spans = Callable[[], Sequence[ReadableSpan]]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """The spans that have ended since the test began."""
    for name in {*telemetry._DEFAULTS, "OTEL_TRACES_EXPORTER"}:
        monkeypatch.setenv(name, "")  # so that it is put back
    # OpenTelemetry reads this once in a process, and sets a provider once.
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    if trace.get_tracer_provider() is not PROVIDER:
        trace.set_tracer_provider(PROVIDER)
    _EXPORTER.clear()
    yield _EXPORTER.get_finished_spans
    _EXPORTER.clear()


@pytest.fixture
def client_spans(spans: Spans) -> Iterator[None]:
    """Has each request of a client make a span, too."""
    AioHttpClientInstrumentor().instrument()
    yield
    AioHttpClientInstrumentor().uninstrument()


def of_server(spans: Spans) -> list[ReadableSpan]:
    return [each for each in spans() if each.kind is SpanKind.SERVER]


def of_client(spans: Spans) -> list[ReadableSpan]:
    return [each for each in spans() if each.kind is SpanKind.CLIENT]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def everything(spans: Spans) -> str:
    """All that an exporter sends. It logs an error for what it cannot send."""
    encode_spans(spans()).SerializeToString()
    return "".join(each.to_json() for each in spans())
