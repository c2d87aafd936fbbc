"""How does a document come to say what the marks say?"""

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from hello.auth.marks import TOKEN_VALIDATOR, TokenUse
from hello.auth.reading.mounting import places_of
from hello.auth.routes import MountedRoute

from .demands import Security, can_lack, contradicts, security
from .matching import documented
from .paths import Operation, Place, operations
from .reading import Document, copied, read
from .refusals import NAMES, Refusal, Response, completed, refusals
from .schemes import Dialect, Offer, Scheme, carries_token, offer, same_scheme

_logger = logging.getLogger("hello.auth")


_DIALECTS = {
    "2.0": Dialect.SWAGGER_2,
    "3.0": Dialect.OPENAPI_3_0,
    "3.1": Dialect.OPENAPI_3_1,
    "3.2": Dialect.OPENAPI_3_1,
}


_VERSION = re.compile(r"(2\.0)|(3\.[012])\.\d+(-.+)?")


class SecurityContradictionError(ValueError):
    """A document says by hand who may call operations, and the marks of their routes differ.

    `contradictions` has a line for each of these operations.
    """

    def __init__(self, contradictions: list[str]) -> None:
        super().__init__(
            "the document and the marks say different things about who may call these operations. "
            'Remove "security" from them in the document, or change the marks:\n'
            + "\n".join(contradictions)
        )
        self.contradictions = contradictions


def add_security(document: Document, app: web.Application) -> dict[str, Any]:
    """Return a document with what the marks of an application's routes say about its operations.

    These are security schemes and, for each operation, `security` and the answers 401, 403 and 503.
    The document may have been made by another library, as OpenAPI 3.0, 3.1 or Swagger 2.0. It is
    not changed. Its paths may begin below `basePath` or the path of one of its `servers`. What it
    says about an answer stays, and so does `security` of an operation if the marks do not
    contradict it. Operations of routes that `setup` does not protect are left as they are. A
    warning in the log names operations without a route; `openapi_gaps` returns them, too.

    Call it after all routes were added. Raises SecurityContradictionError, and ValueError if it is
    no such document, with the place that is wrong. Routes of an application of `add_domain` are not
    looked for: it has a document of its own.
    """
    found = operations(places_of(app)[0])
    return with_marks(read(document), found, whole_paths=False)


def with_marks(
    document: dict[str, Any], found: Mapping[Place, Operation], *, whole_paths: bool
) -> dict[str, Any]:
    """Change a document that was read, and return it. Raises what `add_security` raises."""
    adding, contradictions, unknown = _Adding(document), [], []
    for name, said, operation in documented(document, found, whole_paths=whole_paths):
        if operation is None:
            unknown.append(name)
        elif operation.mounted.guarded:
            mounted = operation.mounted
            if "security" not in said:
                said["security"] = adding.security_of(mounted)
            elif adding.contradicted(said["security"], mounted):
                written = json.dumps(said["security"])
                contradictions.append(
                    f"{name} has {written} in the document, and is marked: {mounted.access}"
                )
            adding.add_refusals(said, mounted)
    adding.write(document)
    if contradictions:
        raise SecurityContradictionError(contradictions)
    if unknown:
        _logger.warning(
            "the OpenAPI document has operations that are no routes, so it does not say who may "
            "call them: %s",
            unknown,
        )
    new: dict[str, Any] = copied(document)  # whoever changes an operation changes no other
    return new


def _dialect(document: Document) -> Dialect:
    version = document.get("openapi") or document.get("swagger")
    known = _VERSION.fullmatch(version or "")
    if known is None:
        raise ValueError(
            f"the OpenAPI document is wrong: its version is {version!r}. Write "
            '"openapi": "3.1.0" or another 3.x.y, or "swagger": "2.0"'
        )
    return _DIALECTS[known[1] or known[2]]


class _Adding:
    """What is added to a document: each value once, under a name that is still free."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._dialect = _dialect(document)
        old = self._dialect is Dialect.SWAGGER_2
        self._root = "#/" if old else "#/components/"
        self._of_schemes = "securityDefinitions" if old else "securitySchemes"
        self._of_bodies = "definitions" if old else "schemas"
        parts = document if old else document.get("components", {})
        self._schemes: dict[str, Scheme] = parts.get(self._of_schemes, {})
        self._responses: dict[str, Response] = parts.get("responses", {})
        self._bodies: dict[str, Any] = parts.get(self._of_bodies, {})
        self._theirs = frozenset(self._responses)
        self._offers: dict[web.Application, Offer] = {}

    def write(self, document: dict[str, Any]) -> None:
        """Write into the document what its operations refer to."""
        parts = {
            self._of_schemes: self._schemes,
            "responses": self._responses,
            self._of_bodies: self._bodies,
        }
        there = {name: part for name, part in parts.items() if part}
        if self._dialect is Dialect.SWAGGER_2:
            document.update(there)
        elif there:
            document.setdefault("components", {}).update(there)

    def security_of(self, mounted: MountedRoute) -> Security:
        """Return what the operation of a route says."""
        if mounted.policy.use is TokenUse.PUBLIC:
            return []
        schemes, ways = self._offer(mounted)
        names = {name: self._scheme_name(name, scheme) for name, scheme in schemes.items()}
        ours = [tuple(names[name] for name in way) for way in ways]
        return security(mounted.policy, self._schemes, ours, self._dialect)

    def contradicted(self, written: Any, mounted: MountedRoute) -> bool:
        """Return whether a hand-written `security` says something else than the marks."""
        offered, _ = self._offer(mounted)
        for name in {name for each in written for name in each} & offered.keys():
            self._schemes.setdefault(name, offered[name])
        app = _guard(mounted)
        carrying = {
            name: scheme for name, scheme in self._schemes.items() if carries_token(app, scheme)
        }
        return contradicts(written, mounted.policy, carrying)

    def add_refusals(self, said: dict[str, Any], mounted: MountedRoute) -> None:
        """Add the answers that a route gives in place of its handler's."""
        if mounted.policy.use is TokenUse.PUBLIC:
            return
        answers = said.setdefault("responses", {})
        requirements = mounted.policy.requirements
        for status, refusal in refusals(_guard(mounted), self._dialect).items():
            if status == web.HTTPForbidden.status_code and not can_lack(requirements):
                continue
            name, written = NAMES[status], answers.get(str(status))
            if written is not None:
                answers[str(status)] = completed(written, self._whole(name, refusal))
                continue
            if name not in self._theirs:  # what they say about such an answer is preferred
                name = _added(self._responses, name, self._whole(name, refusal))
            answers[str(status)] = self._reference("responses", name)

    def _whole(self, name: str, refusal: Refusal) -> Response:
        """Return a refusal with its body, whose schema gets a name in the document."""
        if refusal.body is None:
            return refusal.response
        body = self._reference(self._of_bodies, _added(self._bodies, name, refusal.body))
        return refusal.with_body(body, self._dialect)

    def _reference(self, part: str, name: str) -> dict[str, str]:
        return {"$ref": f"{self._root}{part}/{name}"}

    def _offer(self, mounted: MountedRoute) -> Offer:
        app = _guard(mounted)
        if app not in self._offers:
            self._offers[app] = offer(app, self._dialect)
        return self._offers[app]

    def _scheme_name(self, name: str, scheme: Scheme) -> str:
        """Return the name that the document has for a scheme. It gets one if it has none."""
        for theirs, other in self._schemes.items():
            if same_scheme(scheme, other):
                return theirs
        return _added(self._schemes, name, scheme)


def _guard(mounted: MountedRoute) -> web.Application:
    """Return the application with `setup` that is nearest to a route."""
    return next(app for app in reversed(mounted.apps) if TOKEN_VALIDATOR in app)


def _added(there: dict[str, Any], name: str, value: Mapping[str, Any]) -> str:
    """Add a value under a name that no other value has, and return the name."""
    free, number = name, 1
    while there.setdefault(free, value) != value:
        number += 1
        free = f"{name}{number}"
    return free
