"""Does a valid token grant what a route requires?"""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any

from hello.tokens.access_token import AccessToken
from hello.tokens.errors import InsufficientAuthenticationError, InsufficientScopeError, Reason
from hello.tokens.hooks import HookError, ask, log_failure
from hello.tokens.jwt.claim_rules import names_in
from hello.tokens.jwt.rules import ABSENT
from hello.tokens.timing import DEFAULT_TIMING, Timing, is_numeric_date

from .requirement import COLLECTIONS, AskCheck, Requirement


def _call(check: Callable[..., Any], token: AccessToken, request: object) -> Any:
    if request is None:
        raise TypeError("check_requirements was called without the request that the check takes")
    return check(token, request)


async def check_requirements(
    requirements: Sequence[Requirement],
    token: AccessToken,
    timing: Timing = DEFAULT_TIMING,
    *,
    request: object = None,
    ask_check: AskCheck = _call,
) -> None:
    """Refuse a valid token that does not meet all the requirements.

    `request` is that of your framework, for checks that take it. Without it, they refuse.
    `ask_check` calls such a check, with the token and the request.

    Raises InsufficientScopeError (RFC 6750 §3.1), InsufficientAuthenticationError if a stronger or
    a more recent login is required (RFC 9470 §3), or the AuthError that a check raises. If a check
    fails, the HookError is the cause of the InsufficientScopeError.
    """
    lacking = _lacking(requirements, token)
    if lacking is not None:
        raise _insufficient(lacking, requirements, token)
    if not all(_authenticated(each, token, timing) for each in requirements):
        ages = (each.max_auth_age for each in requirements if each.max_auth_age is not None)
        raise InsufficientAuthenticationError(
            acr_values=_acr_values(requirements),
            max_age=min(ages, default=None),
            subject=token.subject,
        )
    for each in requirements:
        check: Any = each.check
        if check is not None:
            takes = each.check_takes_request
            hook = partial(ask_check, check, token, request) if takes else partial(check, token)
            refusal = partial(_insufficient, Reason.CHECK, requirements, token)
            await _ask(each.check_name, hook, timing, refusal)


def sufficient_scopes(
    requirements: Sequence[Requirement], held: AbstractSet[str] = frozenset()
) -> tuple[str, ...]:
    """Return scopes that meet all the requirements together, in the order of the requirements.

    Of alternatives, it is one that is required anyway or that the token has (`held`), or else the
    first.
    """
    named: dict[str, None] = {}
    required = {name for each in requirements for name in each.scopes}
    for each in requirements:
        named |= dict.fromkeys(each.scopes_in_order)
        alternatives = tuple(each.any_scope or ())
        if required.isdisjoint(alternatives):
            chosen = [name for name in alternatives if name in held] or alternatives
            named |= dict.fromkeys(chosen[:1])
    return tuple(named)


def _lacking(requirements: Sequence[Requirement], token: AccessToken) -> Reason | None:
    """Return what kind of thing a token lacks of what it has to grant, or None."""
    for each in requirements:
        unmet = each.any_scope and token.scopes.isdisjoint(each.any_scope)
        if unmet or not token.scopes.issuperset(each.scopes):
            return Reason.SCOPE
    if not all(token.permissions.issuperset(each.permissions) for each in requirements):
        return Reason.PERMISSIONS
    for each in requirements:
        for name, expected in each.claims.items():
            if not meets(name, token.claims.get(name, ABSENT), expected):
                return Reason.CLAIM
    return None


def _insufficient(
    reason: Reason, requirements: Sequence[Requirement], token: AccessToken
) -> InsufficientScopeError:
    scope = sufficient_scopes(requirements, token.scopes)
    return InsufficientScopeError(reason, scope=scope, subject=token.subject)


def _acr_values(requirements: Iterable[Requirement]) -> tuple[str, ...]:
    """Return the values that every requirement accepts, or else those of the nearest one."""
    given = [tuple(each.acr_values) for each in requirements if each.acr_values]
    first, *others = given or [()]
    common = tuple(name for name in first if all(name in values for values in others))
    return common or first


def _authenticated(requirement: Requirement, token: AccessToken, timing: Timing) -> bool:
    if requirement.acr_values and token.claims.get("acr") not in requirement.acr_values:
        return False
    if requirement.max_auth_age is None:
        return True
    auth_time: Any = token.claims.get("auth_time")
    if not is_numeric_date(auth_time):
        return False
    now = timing.clock.time()
    # A time in the future, perhaps in milliseconds, would count as recent for ever.
    oldest, newest = now - requirement.max_auth_age, now + timing.leeway
    return bool(oldest <= auth_time <= newest)


def meets(name: str, claim: Any, expected: Any) -> bool:
    """Return whether a claim has a value, or every item of a collection."""
    if not isinstance(expected, COLLECTIONS):
        return _equals(claim, expected)
    if isinstance(claim, str):
        # Only these two claims have several names in one string. Spaces elsewhere separate nothing.
        claim = names_in(claim) if name in ("scope", "scp") else [claim]
    return isinstance(claim, list | frozenset) and all(
        any(_equals(item, wanted) for item in claim) for wanted in expected
    )


def _equals(value: Any, expected: Any) -> bool:
    if isinstance(expected, tuple):
        expected = list(expected)  # JSON has only lists
    if type(value) is not type(expected):  # True equals 1 in Python
        return False
    if isinstance(expected, dict):
        return value.keys() == expected.keys() and all(
            _equals(value[name], each) for name, each in expected.items()
        )
    if isinstance(expected, list):
        return len(value) == len(expected) and all(map(_equals, value, expected))
    return bool(value == expected)


async def _ask(
    name: str,
    hook: Callable[[], Any],
    timing: Timing,
    refusal: Callable[[], InsufficientScopeError],
) -> None:
    """Raise a refusal unless a check lets the token pass."""
    try:
        passes = await ask(hook, timeout=timing.hook_timeout, returns=(bool,))
    except HookError as failure:
        log_failure(f"{Reason.CHECK}: {name} failed, so the request is refused", failure, timing)
        raise refusal() from failure
    if not passes:
        raise refusal()
