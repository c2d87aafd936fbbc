"""What does `python -m hello.sandbox` do? It is an issuer for an API of your own."""

import argparse
import asyncio
import re
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar
from urllib.parse import quote_plus, urlsplit

from hello import values
from hello.logs import log_to_stderr
from hello.server import AddressError, Service, serve

from .issuer import PEOPLE, Issuer, Person, issuer_app
from .recipe import target_parameters, token_recipe

_T = TypeVar("_T")

_AUDIENCE = "https://hello-world.example.com"
_LONGEST = 366 * 86400  # seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the issuer until a signal ends it. Return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if urlsplit(options.client_origin).port == options.port:
        parser.error(f"--client-origin has the port {options.port}, where the issuer listens")
    if options.person and options.permission:
        parser.error(
            "--permission is for Ada Admin, who is not there: write --person NAME=PERMISSION"
        )
    people = {person.subject: person for person in options.person} or PEOPLE
    if len(people) < len(options.person):
        parser.error("--person names somebody twice")
    first, *others = options.audience or [_AUDIENCE]
    issuer = Issuer(
        url=f"http://localhost:{options.port}/",
        audience=first,
        resources={other: other for other in others},
        client_origin=options.client_origin,
        permissions=frozenset(options.permission).union(*(p.permissions for p in people.values())),
        people=people,
        lifetime=options.token_lifetime,
        rfc9068=options.rfc9068,
        registration=options.registration,
    )
    service = Service("issuer", issuer_app(issuer), "localhost", options.port, access_log=False)
    log_to_stderr("warning")
    try:
        asyncio.run(serve([service], ready=lambda: print(greeting(issuer), flush=True)))
    except AddressError as error:
        reason = "is taken" if error.taken else f"cannot be used: {error.reason}"
        print(f"--port {error.port} {reason}. Choose another one.", file=sys.stderr)
        return 2
    return 0


def greeting(issuer: Issuer) -> str:
    """Return what an API needs to trust an issuer, and the commands that get a token from it."""
    people = "\n           ".join(
        f"{person.name}: {', '.join(sorted(issuer.permissions_of(person))) or 'no permission'}"
        for person in issuer.people.values()
    )
    audiences = "\n           ".join(issuer.audiences)
    register = f"\n  Register {issuer.url}oidc/register" if issuer.registration else ""
    strict = ", strict=True" if issuer.rfc9068 else ""
    return f"""
This issuer is for this machine only: it lets everybody in.

  Issuer   {issuer.url}
  Audience {audiences}
  Pages    {issuer.client_origin}, and programs of this machine at 127.0.0.1 and [::1]{register}
  People   {people}

Let your API trust it:

  auth.setup(
      app,
      auth.TokenValidator(issuer={issuer.url!r}, audience={issuer.audience!r}{strict}),
  )

Get a token:

{token_recipe(issuer.url, issuer.audience, issuer.permissions)}
{_choice(issuer)}
Use it. Put the address of a route of your API in place of http://localhost:8080/:

  curl -i http://localhost:8080/ -H "Authorization: Bearer $TOKEN"

Stop with Ctrl+C. python -m hello.sandbox --help lists the options.
"""


def _choice(issuer: Issuer) -> str:
    """Return how a client chooses between several audiences (RFC 8707 §2), if there are several."""
    if len(issuer.audiences) == 1:
        return ""
    choices = "\n".join(f"  {target_parameters(audience)}" for audience in issuer.audiences)
    return f"""
That token is for {issuer.audience}. Each API needs its own audience in the TokenValidator, and a
client asks for the API that it calls, at /authorize and at /oauth/token, with one of:

{choices}

A request with neither gets an opaque token for the first audience. Only the issuer can read it, and
answers at its introspection endpoint what it grants (RFC 7662).
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hello.sandbox",
        usage="%(prog)s [OPTION]... (--help lists the options)",
        description="An issuer of access tokens for an API of your own, on this machine only. "
        "It needs no account and no settings, and forgets everything when it ends.",
    )
    parser.add_argument(
        "--audience",
        action="append",
        type=_read(values.audience),
        help=f"what your API calls itself (default: {_AUDIENCE}); repeat it for several APIs",
    )
    parser.add_argument(
        "--permission",
        action="append",
        default=[],
        type=_read(_permission),
        help="what Ada Admin may do, and Robin Reader may not, such as read:reports; repeatable",
    )
    parser.add_argument(
        "--person",
        action="append",
        default=[],
        type=_read(_person),
        metavar="NAME=PERMISSION,...",
        help="somebody who can log in, in place of Ada and Robin; repeatable",
    )
    parser.add_argument(
        "--token-lifetime",
        default=86400,
        type=_read(_seconds),
        metavar="SECONDS",
        help="how long access tokens are good (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        default=6061,
        type=_read(values.port),
        help="where the issuer listens (default: %(default)s)",
    )
    parser.add_argument(
        "--client-origin",
        default="http://localhost:4040",
        type=_read(values.origin),
        metavar="ORIGIN",
        help="the origin of your pages, which may log people in (default: %(default)s)",
    )
    parser.add_argument(
        "--rfc9068", action="store_true", help="make tokens in the profile of RFC 9068"
    )
    parser.add_argument(
        "--registration", action="store_true", help="let clients register themselves (RFC 7591)"
    )
    return parser


def _read(parse: Callable[[str], _T]) -> Callable[[str], _T]:
    """Return a type for argparse that passes the reason of a ValueError on."""

    def read(text: str) -> _T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"it {error}") from None

    return read


def _permission(text: str) -> str:
    if "," in text:
        _fail(f"is {text!r}, with a comma: repeat --permission for each of them")
    return values.permission(text) or _fail("is empty")


def _seconds(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= _LONGEST:
        _fail(f"is {text!r}, not a number of seconds from 1 to {_LONGEST}")
    return int(text)


def _person(text: str) -> Person:
    name, equals, listed = text.partition("=")
    permissions = listed.split(",") if equals else []
    identifier = "-".join(name.lower().split())
    if not identifier or not name.isprintable():
        _fail(f"is {text!r}, which names nobody: write NAME, or NAME=PERMISSION,PERMISSION")
    if "" in permissions:
        _fail(f"is {text!r}, with an empty permission: write NAME, or NAME=PERMISSION,PERMISSION")
    granted = frozenset(map(_permission, permissions))
    return Person(
        subject=f"sandbox|{quote_plus(identifier)}",
        name=" ".join(name.split()),
        email=f"{quote_plus(identifier)}@example.com",
        about=f"May {', '.join(sorted(granted)) or 'do nothing in particular'}",
        permissions=granted,
    )


def _fail(reason: str) -> NoReturn:
    raise ValueError(reason)


if __name__ == "__main__":
    sys.exit(main())
