"""Which scopes does a token have because one of its scopes includes them?"""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from hello.tokens.bounded import check_names
from hello.tokens.challenges import is_scope

from .requirement import Names


def included_scopes(given: Mapping[str, Names]) -> dict[str, frozenset[str]]:
    """Return all scopes that each scope includes, directly or through another one.

    `given` has those that a scope includes directly. Raises ValueError if a scope would include
    itself, or if a name is no scope.
    """
    if not isinstance(given, Mapping):
        raise ValueError(
            f'scope_includes is a mapping: write {{"write:notes": {{"read:notes"}}}}, not {given!r}'
        )
    for scope, names in given.items():
        check_names(f"scope_includes[{scope!r}]", names)
        for name in (scope, *names):
            if not isinstance(name, str) or not is_scope(name):
                raise ValueError(f"scope_includes has {name!r}, which is no scope")
    try:
        # It yields what a scope includes before the scope itself.
        order = [*TopologicalSorter(given).static_order()]
    except CycleError as error:
        circle = " in ".join(error.args[1])
        raise ValueError(f"scope_includes goes round in a circle: {circle}") from None
    found: dict[str, frozenset[str]] = {}
    for scope in order:
        names = given.get(scope, ())
        found[scope] = frozenset(names).union(*(found[name] for name in names))
    return {scope: names for scope, names in found.items() if names}
