"""Events over time: how fast a worker or a rival was."""

import msgspec


class Span(msgspec.Struct, frozen=True):
    """What a process did between two moments."""

    events: int
    wall_s: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """Events a second of wall clock."""
        return self.events / self.wall_s

    @property
    def per_cpu_s(self) -> float:
        """Events a CPU-second of the process, or of all those that worked together."""
        return self.events / self.cpu_s
