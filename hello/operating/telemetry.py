"""How is OpenTelemetry set up for this API, by its own variables?"""

import os
from collections.abc import Collection

from aiohttp import web

# What it takes if the environment does not say otherwise.
_DEFAULTS = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",  # the exporter that is installed
    "OTEL_EXPORTER_OTLP_TIMEOUT": "2",  # seconds: the end waits so long for a dead collector
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http",  # the attributes have the names that will stay
    "OTEL_PROPAGATORS": "tracecontext",  # not `baggage`: what strangers send there is passed on
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "aiohttp-server",  # trace_requests sees to it
    "OTEL_PYTHON_AIOHTTP_SERVER_EXCLUDED_URLS": "^/livez$,^/readyz$",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS": "authorization,.*cookie",
}


def send_traces(
    app: web.Application, exporters: str, *, traceparent_from: Collection[str] = ()
) -> None:
    """Trace the requests of the API, and send the traces to exporters (their names).

    `traceparent_from` are the proxies that may say which trace a request belongs to.

    If a tracer provider is set already, such as by `opentelemetry-instrument`, it is used as it is.
    """
    os.environ["OTEL_TRACES_EXPORTER"] = exporters
    for name, value in _DEFAULTS.items():
        if not os.environ.get(name):  # an empty one counts as not set
            os.environ[name] = value
    # Only now, because some of the variables are read when the modules are loaded.
    from opentelemetry.instrumentation.auto_instrumentation import initialize  # noqa: PLC0415
    from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider  # noqa: PLC0415

    from .tracing import trace_requests  # noqa: PLC0415

    if isinstance(get_tracer_provider(), ProxyTracerProvider):
        initialize(swallow_exceptions=False)
    trace_requests(app, traceparent_from=traceparent_from)
