"""What do the tokens look like that people send by mistake, and how is each made?"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from joserfc.jwk import Key

from hello.sandbox.issuer import OMIT

NOW = 1_800_000_000
ISSUER = "https://id.example.com/"
API = "https://api.example.com"
GUID = "3c9a7b10-5d2e-4f68-9b04-a1b2c3d4e5f6"


class Shape(NamedTuple):
    """A token as somebody's issuer or client makes it, what refuses it, and the advice about it.

    `advice` is an id that begins with the reason. `claims` and `header` are those besides `iss`,
    `iat`, `exp` and `aud`, or in place of these. `text` makes of the token what is sent. `trusted`
    and `options` are a TrustedIssuer's, and `settings` are a TokenValidator's. `named` must stand
    in the advice.
    """

    name: str
    advice: str
    claims: Mapping[str, Any] = {}
    header: Mapping[str, Any] = {}
    text: Callable[[str], str] = str
    trusted: str = ISSUER
    options: Mapping[str, Any] = {}
    settings: Mapping[str, Any] = {}
    named: tuple[object, ...] = ()
    key: Callable[[list[Key]], Key] | None = None

    @property
    def reason(self) -> str:
        return self.advice.partition(".")[0]


def instead(text: str) -> Callable[[str], str]:
    """Send something else in place of the token."""
    return lambda _token: text


def without(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, OMIT)


def by_name(shapes: Mapping[str, Mapping[str, Any]]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """What several shapes of one kind have, each with its name."""
    return shapes.items()


def always(key: Key) -> Callable[[list[Key]], Key]:
    """Sign with this key, and with none of the issuer's RSA keys."""
    return lambda _keys: key
