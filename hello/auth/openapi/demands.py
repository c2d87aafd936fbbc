"""What must the token of an operation grant, and does a hand-written `security` say the same?"""

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import NamedTuple

from hello.auth.marks import Policy, TokenUse
from hello.tokens import Requirement

from .schemes import Dialect, Scheme

Security = list[dict[str, list[str]]]
"""What an operation says: alternatives, each of schemes that go together (OpenAPI 3.1 §4.8.30)."""

_BY_SCOPES = ("oauth2", "openIdConnect")
_MAX_CHOICES = 50


class Choice(NamedTuple):
    """Scopes and permissions that are enough together. `any_scope` makes several choices."""

    scopes: frozenset[str]
    permissions: frozenset[str]

    def names(self, scheme: Scheme, dialect: Dialect) -> list[str]:
        """Return those that the entry of a scheme may list."""
        if scheme["type"] in _BY_SCOPES:
            return sorted(self.scopes)
        # OpenAPI 3.0 §4.7.30 allows no names for other schemes. 3.1 §4.8.30 allows those of roles.
        roles = dialect is Dialect.OPENAPI_3_1 and scheme["type"] == "http"
        return sorted(self.scopes | self.permissions) if roles else []


class _Wanted(NamedTuple):
    """What requirements want together: all of `choice`, and one scope of each group."""

    choice: Choice
    groups: tuple[tuple[str, ...], ...]

    def meet(self, scopes: frozenset[str]) -> bool:
        """Return whether scopes are enough."""
        enough = scopes >= self.choice.scopes
        return enough and not any(scopes.isdisjoint(group) for group in self.groups)

    def need_all(self, scopes: frozenset[str]) -> bool:
        """Return whether scopes are enough, and would not be without any one of them."""
        return self.meet(scopes) and not any(self.meet(scopes - {name}) for name in scopes)


def _wanted(requirements: Sequence[Requirement]) -> _Wanted:
    scopes = frozenset(name for each in requirements for name in each.scopes)
    permissions = frozenset(name for each in requirements for name in each.permissions)
    groups = dict.fromkeys(tuple(sorted(each.any_scope)) for each in requirements if each.any_scope)
    return _Wanted(Choice(scopes, permissions), tuple(groups))


def choices(requirements: Sequence[Requirement]) -> list[Choice]:
    """Return each combination of scopes and permissions that is enough, and no more than that.

    If there are more than 50, one is returned, with what each of them has.
    """
    wanted = _wanted(requirements)
    (scopes, permissions), groups = wanted
    if prod(map(len, groups)) > _MAX_CHOICES:
        return [wanted.choice]
    each = dict.fromkeys(scopes | {*chosen} for chosen in product(*groups))
    return [Choice(names, permissions) for names in each if wanted.need_all(names)]


def security(
    policy: Policy, schemes: Mapping[str, Scheme], ways: Sequence[Sequence[str]], dialect: Dialect
) -> Security:
    """Return what an operation that reads a token says. `ways` are the schemes that go together."""
    alternatives: Security = [{}] if policy.use is TokenUse.OPTIONAL else []
    for way in ways:
        for choice in choices(policy.requirements):
            told = {name: choice.names(schemes[name], dialect) for name in way}
            if told not in alternatives:
                alternatives.append(told)
    return alternatives


def can_lack(requirements: Sequence[Requirement]) -> bool:
    """Return whether a valid token can lack something, so that the answer is 403.

    A login that is too weak or too long ago is a 401 (RFC 9470 §3).
    """
    return any(
        each.scopes or each.any_scope or each.permissions or each.claims or each.check
        for each in requirements
    )


def contradicts(
    written: Sequence[Mapping[str, Sequence[str]]], policy: Policy, carrying: Mapping[str, Scheme]
) -> bool:
    """Return whether a hand-written `security` says something else than the marks.

    `carrying` are the schemes of the document by which the application is sent a token. A scheme
    beside one of them, such as a key of the application's own, is no contradiction. If no names are
    listed for a scheme without scopes, nothing is said about them.
    """
    open_to_all = not written or any(not each for each in written)
    if policy.use is not TokenUse.REQUIRED:
        only_open = not any(written)
        if not open_to_all or only_open is not (policy.use is TokenUse.PUBLIC):
            return True
    elif open_to_all:
        return True
    return not all(_agrees(each, policy, carrying) for each in written if each)


def _agrees(
    written: Mapping[str, Sequence[str]], policy: Policy, carrying: Mapping[str, Scheme]
) -> bool:
    """Return whether one of the alternatives is enough, and no more than that."""
    named = {name: frozenset(names) for name, names in written.items() if name in carrying}
    return bool(named) and all(
        _fits(names, policy, by_scopes=carrying[name]["type"] in _BY_SCOPES)
        for name, names in named.items()
    )


def _fits(names: frozenset[str], policy: Policy, *, by_scopes: bool) -> bool:
    if not names and not by_scopes:
        return True
    wanted = _wanted(policy.requirements)
    permissions = wanted.choice.permissions
    without = names - (permissions - wanted.choice.scopes.union(*wanted.groups))
    return wanted.need_all(without) and (without == names or permissions <= names)
