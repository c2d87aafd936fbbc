"""Which metrics are there, and what is each of them called?

They are named as Prometheus recommends. Every label has few values, and no client chooses one.
"""

import os
from pathlib import Path
from weakref import WeakKeyDictionary

from hello.auth import Reason

from .extras import needs

with needs("prometheus-client"):
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder in which several processes put their numbers together."""

RESOLVED = "resolver"
"""The `source` of all tenants that a resolver returns."""

OTHER = "other"
"""The method of a request, or the reason of a refusal, that is not one of the known ones."""

_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_CHECK_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)
_FETCH_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_EVERY: "WeakKeyDictionary[CollectorRegistry, Series]" = WeakKeyDictionary()


class Series:
    """The metrics in one registry. All applications of a process share them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "hello_http_requests_total",
            "Requests that were answered.",
            ("route", "method", "status"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "hello_http_request_duration_seconds",
            "How long the application took to answer.",
            ("route", "method"),
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self.check_seconds = Histogram(
            "hello_auth_check_duration_seconds",
            "How long it took to decide about a request.",
            ("outcome",),
            buckets=_CHECK_SECONDS,
            registry=registry,
        )
        self.refusals = Counter(
            "hello_auth_refusals_total",
            "Requests that were refused, by the reason in the log.",
            ("reason",),
            registry=registry,
        )
        self.fetch_seconds = Histogram(
            "hello_auth_key_fetch_duration_seconds",
            "How long a fetch of an issuer's keys took.",
            ("source", "result"),
            buckets=_FETCH_SECONDS,
            registry=registry,
        )
        self.key_sets = Gauge(
            "hello_auth_key_sets",
            "Sets of keys, by their state: one for each issuer and process.",
            ("source", "state"),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.fetched_at = Gauge(
            "hello_auth_keys_fetched_timestamp_seconds",
            "When the oldest keys in use were fetched, in seconds since the epoch.",
            ("source",),
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.ready = Gauge(
            "hello_auth_ready",
            "1 if every process can verify tokens, 0 if not.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.cache_bytes = Gauge(
            "hello_auth_token_cache_bytes",
            "Memory of the cached tokens, nearly.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.cache_lookups = Counter(
            "hello_auth_token_cache_lookups_total",
            "Tokens that were looked for in the cache.",
            ("result",),
            registry=registry,
        )
        self.proofs = Counter(
            "hello_auth_proofs_total",
            "DPoP proofs that passed all other checks.",
            ("result",),
            registry=registry,
        )
        self.introspections = Counter(
            "hello_auth_introspections_total",
            "Questions to the issuer about opaque tokens.",
            ("result",),
            registry=registry,
        )
        self.log_lost = Counter(
            "hello_log_lost_lines_total",
            "Lines of the log that could not be written, or were not read in time.",
            registry=registry,
        )
        self.audited = Counter(
            "hello_auth_audit_decisions_total",
            "Decisions for the audit, by what has become of them.",
            ("result",),
            registry=registry,
        )
        # A series that begins at zero shows its first increase, too.
        for reason in (*Reason, OTHER):
            self.refusals.labels(reason)


def series_in(registry: CollectorRegistry) -> Series:
    """Return the metrics in a registry. They are registered at the first call.

    Raises RuntimeError if several processes have no folder to put their numbers together.
    """
    folder = os.environ.get(MULTIPROCESS)
    if folder is not None and not (folder and Path(folder).is_dir()):
        raise RuntimeError(f"{MULTIPROCESS} is {folder!r}, which is no folder: make it, and empty")
    if registry not in _EVERY:
        _EVERY[registry] = Series(registry)
    return _EVERY[registry]


def of_all_processes() -> bytes:
    """Return what all processes have written, in the text format of Prometheus."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
