"""Has an application around this one validated the token of this request?

A proof works only once, so it is not checked again by each application on the way to a handler.
"""

import weakref

from aiohttp import web

from hello.tokens import AccessToken

_Validated = tuple[tuple[object, ...], weakref.ref[web.Request], AccessToken]
_VALIDATED = web.RequestKey[tuple[_Validated, ...]]("VALIDATED_BEFORE", tuple)


def note_validated(request: web.Request, basis: tuple[object, ...], token: AccessToken) -> None:
    """Remember that the token of a request is valid. `basis` is all that this depends on."""
    noted = basis, weakref.ref(request), token
    request[_VALIDATED] = (*request.get(_VALIDATED, ()), noted)


def validated_before(request: web.Request, basis: tuple[object, ...]) -> AccessToken | None:
    """Return the token if it was found valid on the same basis, for this very request.

    A clone of the request may have other headers, so it is another request.
    """
    noted: tuple[_Validated, ...] = request.get(_VALIDATED, ())
    for other_basis, other_request, token in noted:
        if other_request() is request and other_basis == basis:
            return token
    return None
