"""What does an answer say about how to send a token, and which one?"""

import re
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import NamedTuple

# RFC 6750 §3: what no parameter of a challenge may contain, wherever its text comes from.
_UNQUOTABLE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class Challenges(NamedTuple):
    """The schemes that an API accepts, and what their challenges say.

    `proof_algorithms` are empty if DPoP is not accepted, and `bearer` says whether bearer tokens
    are. If the request used DPoP (`by_dpop`), the error is told in the challenge of that scheme.
    `next_nonce` returns the nonce of the next proof. `resource_metadata` is a URL (RFC 9728 §5.1).
    `scopes` are those that the route asks for (RFC 6750 §3). Every challenge names both.
    """

    proof_algorithms: tuple[str, ...] = ()
    bearer: bool = True
    by_dpop: bool = False
    next_nonce: Callable[[], str] | None = None
    resource_metadata: str | None = None
    scopes: tuple[str, ...] = ()

    def of(self, parameters: Mapping[str, str]) -> str:
        """Return the value of WWW-Authenticate (RFC 6750 §3, RFC 9449 §7.1).

        If `parameters` has a `scope`, its names follow those of the route.
        """
        by_dpop = bool(self.proof_algorithms) and (self.by_dpop or not self.bearer)
        said = _quoted({name: text for name, text in parameters.items() if name != "scope"})
        scopes = in_order((*self.scopes, *parameters.get("scope", "").split()))
        bearer, dpop = _endings(self.proof_algorithms, scopes, self.resource_metadata)
        first = 'Bearer realm="api"' + ("" if by_dpop else said) + bearer
        if not self.proof_algorithms:
            return first
        second = "DPoP " + (said + dpop if by_dpop else dpop).removeprefix(", ")
        return f"{first}, {second}" if self.bearer else second


@lru_cache(maxsize=100)
def _endings(
    algorithms: tuple[str, ...], scopes: tuple[str, ...], metadata: str | None
) -> tuple[str, str]:
    """Return what stands at the end of both challenges, whatever the refusal."""
    more = {"scope": " ".join(scopes)} if scopes else {}
    more |= {} if metadata is None else {"resource_metadata": metadata}
    return _quoted(more), _quoted({"algs": " ".join(algorithms), **more})


def _quoted(parameters: Mapping[str, str]) -> str:
    """Return parameters with a comma before each."""
    return "".join(f', {name}="{_UNQUOTABLE.sub("", text)}"' for name, text in parameters.items())


def is_scope(name: str) -> bool:
    """Return whether a name is a scope-token (RFC 6749 §3.3): a challenge can contain it."""
    return _SCOPE.fullmatch(name) is not None


def in_order(names: Collection[str]) -> tuple[str, ...]:
    """Return each name once, in the order in which they are written. A set is sorted."""
    return tuple(dict.fromkeys(sorted(names) if isinstance(names, AbstractSet) else names))
