"""An ensemble in a fold: networks trained with other patients left out for validation each, and their mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from scripts.study.choices import temperature_of
from scripts.study.grid import Run, member_runs
from scripts.study.workshop import Workshop

__all__ = ["ensemble_run"]

Arrays = dict[str, NDArray[Any]]
#: arrays whose logits become calibrated probabilities before the mean is taken
CALIBRATED = ("test_logits", "image_set_logits", "fewer_logits")
#: arrays of the experts, not calibrated
PLAIN = ("image_logits", "attributes_logits")
#: of a probability from 0 and 1, so that its logit is finite
SMALLEST = 1e-12


def ensemble_run(workshop: Workshop, run: Run) -> tuple[Arrays, dict[str, Any]]:
    """Average the calibrated probabilities of a fold's members, as :class:`~scripts.ensemble.FoldEnsemble` does.

    A member is calibrated on its own validation patients, and the mean is left as it is. The validation patients are
    others for each member, and each of them is judged by the one member that was not trained on it: single members'
    logits, from which nothing more is fitted.

    Returns:
        Logits of the mean probabilities, with ``validation_index``, and facts.
    """
    labels = workshop.patients.labels
    results = [workshop.result(member) for member in member_runs(workshop.settings, run)]
    temperatures = [
        temperature_of(result["validation_logits"], labels[result["validation_index"]]) for result in results
    ]
    scaled = list(zip(results, temperatures, strict=True))
    arrays: Arrays = {
        name: _logit_of_mean([result[name] / temperature for result, temperature in scaled])
        for name in CALIBRATED
        if name in results[0]
    }
    arrays |= {name: _logit_of_mean([result[name] for result in results]) for name in PLAIN if name in results[0]}
    if "gate" in results[0]:
        arrays["gate"] = np.mean([result["gate"] for result in results], axis=0)
    arrays["validation_index"] = np.concatenate([result["validation_index"] for result in results])
    arrays["validation_logits"] = np.concatenate(
        [result["validation_logits"] / temperature for result, temperature in scaled]
    )
    return arrays, {"calibrate": False, "temperatures": temperatures}


def _logit_of_mean(logits: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    mean = np.mean([expit(values) for values in logits], axis=0)
    return logit(mean.clip(SMALLEST, 1 - SMALLEST))
