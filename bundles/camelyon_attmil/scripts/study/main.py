"""The studies of the bundle by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.study.bag_study import run_bag_study
from scripts.study.explanation_study import run_explanation_study
from scripts.study.slide_study import run_slide_study
from shared.data.errors import DataError
from shared.study.run import Outcome

__all__ = ["STUDIES", "run_study"]

#: name of a study to the function that does it; called with the name first
STUDIES: Mapping[str, Callable[..., Outcome]] = {
    "mil-classic": run_bag_study,
    "mnist-bags": run_bag_study,
    "colon": run_bag_study,
    "bag-explanations": run_explanation_study,
    "camelyon_attmil": run_slide_study,
}


def run_study(
    data: Path,
    output: Path,
    mode: str = "default",
    seeds: int | None = None,
    workers: int = 2,
    table_only: bool = False,
    study: str = "camelyon_attmil",
) -> Outcome:
    """Do a study: all its runs that are not yet done, then its table.

    Args:
        data: folder of the study's data.
        output: folder for results and table.
        mode: ``default``, ``quick`` or ``full``.
        seeds: at most so many repeats.
        workers: processes.
        table_only: only write the table of what is there.
        study: its name.

    Raises:
        DataError: if there is no study of that name.
    """
    if study not in STUDIES:
        raise DataError(f"the bundle has no study {study!r}; it has {', '.join(STUDIES)}")
    return STUDIES[study](study, data, output, mode, seeds, workers, table_only)
