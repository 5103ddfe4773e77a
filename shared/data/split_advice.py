"""Why a split is not possible, in the words of whoever asked for it, and what would make it possible."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.data.errors import DataError

__all__ = ["SplitWords", "split_impossible"]


@dataclass(frozen=True)
class SplitWords:
    """What an error calls the things that are split.

    Args:
        group: what stays together, e.g. a patient.
        classes: names of the classes in the order of the labels; empty if only the labels are known.
        option: of the command by which a user gives the fractions; empty if there is none.
        others: share of the sections that are filled otherwise, which the option must name besides.
    """

    group: str = "group"
    classes: Sequence[str] = ()
    option: str = ""
    others: Mapping[str, float] = field(default_factory=dict)

    def of(self, labels: Sequence[str]) -> list[str]:
        """Return the names of the classes of labels.

        Example:
            >>> SplitWords(classes=("normal", "tumour")).of(["0", "1"])
            ['normal', 'tumour']
        """
        known = {str(label): name for label, name in enumerate(self.classes)}
        return [known.get(label, label) for label in labels]


def split_impossible(
    words: SplitWords,
    numbers: Mapping[str, int],
    fractions: Mapping[str, float],
    possible: Callable[[Mapping[str, float]], bool],
    trials: int,
) -> DataError:
    """Return the error that no shuffle gave every section every class, with fractions for which one does.

    Args:
        words: what the things are called.
        numbers: of the groups that have each class.
        fractions: share of each section.
        possible: tells whether other fractions can be had.
        trials: number of shuffles that were tried.
    """
    found = ", ".join(f"{number} with {name}" for name, number in numbers.items())
    wanted = ", ".join(f"{name} {share:g}" for name, share in fractions.items())
    advice = f"add {words.group}s that have the rarest class"
    for other in _more_even(fractions):
        if possible(other):
            return DataError(
                f"{_problem(words, found, wanted, trials)}; {_told(words, other)} makes it possible, or {advice}"
            )
    return DataError(f"{_problem(words, found, wanted, trials)}; {advice}, or use fewer splits")


def _problem(words: SplitWords, found: str, wanted: str, trials: int) -> str:
    return (
        f"found {words.group}s: {found}; none of {trials} seeded shuffles gave every split ({wanted}) all of these "
        "classes"
    )


def _more_even(fractions: Mapping[str, float]) -> list[dict[str, float]]:
    """Return fractions of the same sections, a half for the first, and all alike."""
    first, *rest = fractions
    if not rest:
        return []
    half = {first: 0.5, **dict.fromkeys(rest, 0.5 / len(rest))}
    alike = dict.fromkeys(fractions, 1 / len(fractions))
    return [half, alike]


def _told(words: SplitWords, fractions: Mapping[str, float]) -> str:
    """Return fractions as a user gives them: with the sections that are filled otherwise, adding up to 1."""
    left = 1 - sum(words.others.values())
    whole = {name: round(share * left, 4) for name, share in fractions.items()} | dict(words.others)
    first = next(iter(whole))
    whole[first] = round(1 - sum(share for name, share in whole.items() if name != first), 4)
    if not words.option:
        return "a split of " + ", ".join(f"{name} {share:g}" for name, share in whole.items())
    # a share for calibrating is given by itself, and not to those that name the section already
    besides = " --calibration_share 0" if "calibration" in whole else ""
    return f"{words.option} '{json.dumps(whole)}'{besides}"
