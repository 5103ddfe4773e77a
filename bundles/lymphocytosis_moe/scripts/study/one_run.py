"""One run: fit a model, then keep the logits of everything that the table is computed from."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from scripts.study.ensemble_run import ensemble_run
from scripts.study.grid import Run
from scripts.study.network_run import average_run, network_run
from scripts.study.rivals import attribute_run, classical_run, shortcut_run
from scripts.study.workshop import Workshop

__all__ = ["do_run"]

BY_KIND: dict[str, Callable[[Workshop, Run], tuple[dict[str, Any], dict[str, Any]]]] = {
    "attributes": attribute_run,
    "shortcut": shortcut_run,
    "classical": classical_run,
    "network": network_run,
    "average": average_run,
    "ensemble": ensemble_run,
}


def do_run(workshop: Workshop, run: Run) -> None:
    """Fit and measure, and write the result atomically.

    The result holds the logits of tumoral of the validation patients, ``validation_logits``, and of the held-out ones,
    ``test_logits``, with their numbers in the study, ``validation_index`` and ``test_index``; for models that look at
    cells also what they say of sets of them, see :func:`scripts.study.subsets.in_arrays`.
    """
    started = time.time()
    arrays, facts = BY_KIND[workshop.settings.models[run.model]["kind"]](workshop, run)
    split = workshop.split(run)
    content = {"validation_index": split.validation, "test_index": split.test, **arrays}
    workshop.write_result(run, content, facts, seconds=time.time() - started)
