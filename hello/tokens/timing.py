"""What time is it, how far may two clocks differ, and how long may a hook take?"""

import sys
import time
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeGuard

from .bounded import Allowance


class Clock(Protocol):
    """The module `time`, or the clock of a test."""

    def time(self) -> float:
        """Return the seconds since the epoch. Claims are compared with them."""

    def monotonic(self) -> float:
        """Return seconds that never decrease. Ages are measured with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The clock and the limits that all decisions about time use. Both limits are in seconds.

    `leeway` is how far the clocks of the issuer and of this machine may differ. `hook_timeout` is
    how long a function of the application may take. `failure_lines` says which failures of such a
    function are logged. Raises ValueError for any other value.
    """

    leeway: float = 5
    hook_timeout: float = 5
    clock: Clock = time
    failure_lines: Allowance = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_seconds("leeway", self.leeway, zero=True)
        check_seconds("hook_timeout", self.hook_timeout)
        object.__setattr__(self, "failure_lines", Allowance(self.clock.monotonic))


def is_numeric_date(value: Any) -> TypeGuard[float]:
    """Return whether a value is a NumericDate (RFC 7519 §2) that can be calculated with."""
    # bool is an int in Python. The limits refuse NaN, infinities and integers too big for a double.
    return type(value) in (int, float) and -sys.float_info.max <= value <= sys.float_info.max


def check_seconds(name: str, seconds: float, *, zero: bool = False) -> None:
    """Raise ValueError unless an option is a number of seconds above zero. `zero` allows 0, too."""
    # A NaN would switch a rule off, because no comparison with NaN is ever true.
    if not is_numeric_date(seconds) or seconds < 0 or (seconds == 0 and not zero):
        least = "from zero up" if zero else "above zero"
        raise ValueError(f"{name} is a number of seconds {least}, not {seconds!r}")


DEFAULT_TIMING = Timing()
"""The timing of a TokenValidator without such options."""
