"""A small authorization server that stands in for a tenant, on this machine only.

An `Issuer` mints tokens and publishes its keys; `issuer_app(issuer)` serves it over HTTP.
"""

from .app import issuer_app
from .clients.known import CLIENT_ID, CLIENT_SECRET
from .issuer import Issuer
from .people import PEOPLE, Person
from .signing import OMIT, base64url, new_key, sign

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "OMIT",
    "PEOPLE",
    "Issuer",
    "Person",
    "base64url",
    "issuer_app",
    "new_key",
    "sign",
]
