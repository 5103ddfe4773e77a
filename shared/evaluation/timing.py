"""Fair comparison of running times, or of other amounts: warmed up, interleaved, with spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

__all__ = ["Comparison", "Measurement", "measure"]


@dataclass(frozen=True)
class Comparison:
    """A subject and its rivals, which compute the same thing.

    Attributes:
        name: what is computed.
        subject: the function under test.
        rivals: functions to compare with, by name.
        goals: smallest ratio of a rival's amount to the subject's that is aimed at, for those rivals that have one.
        unit: ``s`` times the functions; any other is the unit of the number that each of them returns.
        rounds: at most so many rounds, without warm-up, for what takes long or hardly varies; ``None`` for as many as
            asked for.
    """

    name: str
    subject: Callable[[], Any]
    rivals: Mapping[str, Callable[[], Any]]
    goals: Mapping[str, float] = field(default_factory=dict)
    unit: str = "s"
    rounds: int | None = None


@dataclass(frozen=True)
class Measurement:
    """Times, or other amounts, of a comparison.

    Attributes:
        name: the comparison's.
        unit: the comparison's.
        amounts: amount in each round by function, ``subject`` and the rivals.
        goals: the comparison's.
    """

    name: str
    unit: str
    amounts: Mapping[str, tuple[float, ...]]
    goals: Mapping[str, float]

    def ratios(self, rival: str) -> np.ndarray:
        """Return for each round how many times more the rival takes, ``(rounds,)``."""
        return np.array(self.amounts[rival]) / np.array(self.amounts["subject"])

    def to_dict(self) -> dict[str, Any]:
        """Return the amounts, and for each rival the ratio's median, least and greatest, for a JSON file."""
        rivals = {}
        for name in self.amounts:
            if name != "subject":
                ratios = self.ratios(name)
                goal = self.goals.get(name)
                rivals[name] = {
                    "ratio": float(np.median(ratios)),
                    "least": float(ratios.min()),
                    "greatest": float(ratios.max()),
                    "goal": goal,
                    "reached": None if goal is None else bool(np.median(ratios) >= goal),
                }
        amounts = {name: list(values) for name, values in self.amounts.items()}
        return {"name": self.name, "unit": self.unit, "amounts": amounts, "rivals": rivals}


def measure(
    comparison: Comparison, rounds: int = 5, warm_up: int = 1, clock: Callable[[], float] = time.perf_counter
) -> Measurement:
    """Measure subject and rivals in turn.

    Every round runs each function once, so that what slows the machine down for a while meets all of them; ratios are
    taken within a round. The order rotates from round to round.

    Args:
        comparison: what to compare.
        rounds: number of measured rounds.
        warm_up: number of rounds before, which are not measured.
        clock: returns seconds.

    Raises:
        ValueError: if there is no round, or no rival.
    """
    if rounds < 1 or warm_up < 0:
        raise ValueError(f"at least one round and no negative warm-up, found {rounds} and {warm_up}")
    if not comparison.rivals or "subject" in comparison.rivals:
        raise ValueError(f"{comparison.name}: a comparison needs rivals, none of them called 'subject'")
    functions = {"subject": comparison.subject, **comparison.rivals}
    if comparison.rounds is not None:
        rounds, warm_up = min(rounds, comparison.rounds), 0
    amounts: dict[str, list[float]] = {name: [] for name in functions}
    names = list(functions)
    for number in range(warm_up + rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            _synchronise()
            start = clock()
            result = functions[name]()
            _synchronise()
            elapsed = clock() - start
            if number >= warm_up:
                amounts[name].append(elapsed if comparison.unit == "s" else result)
    by_name = {name: tuple(values) for name, values in amounts.items()}
    return Measurement(comparison.name, comparison.unit, by_name, dict(comparison.goals))


def _synchronise() -> None:
    """Wait for the GPU, which works on after a call has returned."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
