"""What time is it, and who says so?"""

from dataclasses import dataclass


@dataclass
class FakeClock:
    """A clock that stands still until it is told to move."""

    epoch: float = 1_800_000_000.0
    uptime: float = 1_000.0

    def time(self) -> float:
        return self.epoch

    def monotonic(self) -> float:
        return self.uptime

    def advance(self, seconds: float) -> None:
        self.epoch += seconds
        self.uptime += seconds
