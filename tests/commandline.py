"""The command line, as tests run it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Outcome:
    """What a run of the command line gave."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class Run(Protocol):
    """Runs the command line."""

    def __call__(self, *args: object) -> Outcome:
        """Run it with these arguments."""
