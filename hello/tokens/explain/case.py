"""What is known about a refused token when the advice is chosen, and how is it said in words?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Choice = str | tuple[str, dict[str, str]]
"""Which variant of the advice about a reason fits, perhaps with values for its sentence."""


@dataclass(slots=True, kw_only=True)
class Case:
    """What is known about a refused token, and what it was compared with. It grows with the walk.

    `shape` says what a text is if it is no token. `rule` and `wants` are those of the rule that the
    token breaks. `issuer` is the trusted issuer that the token names, if there is one. `jwks_uri`
    is where its keys are if the settings say so, and `keys_given` says that the settings have its
    keys. `trusted` is empty if there is a resolver, and `has_host` says that the resolver was
    called with a host. `asked` says that there is an issuer which is asked about opaque tokens, and
    `answered` that the claims are from its answer. `detail` is the refusal's. `only_bound` says
    that bearer tokens are refused. `binding` is the variant of the advice about how the token was
    sent.
    """

    shape: str
    now: float
    strict: bool
    leeway: float
    trusted: tuple[str, ...]
    has_host: bool = True
    issuer: str = ""
    jwks_uri: str = ""
    keys_given: bool = False
    asked: bool = False
    answered: bool = False
    detail: str = ""
    audience: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ()
    proof_algorithms: tuple[str, ...] = ()
    only_bound: bool = False
    max_age: float | None = None
    kids: str = ""
    header: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    signature: bytes = b""
    binding: str = ""
    rule: str = ""
    wants: str = ""

    @property
    def keys_at(self) -> str:
        """The address that the keys are fetched from, or that leads to them."""
        return self.jwks_uri or self.issuer

    @property
    def has_secret(self) -> bool:
        """The settings have a shared secret, perhaps besides public keys."""
        return any(name.startswith("HS") for name in self.algorithms)

    @property
    def has_only_secret(self) -> bool:
        """The settings have a shared secret, and no public keys."""
        return self.has_secret and all(name.startswith("HS") for name in self.algorithms)


def kind(value: Any) -> str:
    """Return what a JSON value is that is not null, without the value itself."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "a text in quotes"
    if isinstance(value, list):
        only_texts = all(isinstance(item, str) for item in value)
        return "a list of texts" if only_texts else "a list with items that are no texts"
    return "an object" if isinstance(value, Mapping) else "a number"


def in_words(seconds: float) -> str:
    """Return a time that has passed, in the largest unit that says enough."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
