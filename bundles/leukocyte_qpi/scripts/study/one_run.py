"""One run: train, then keep the logits of everything that the table is computed from."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scripts.study import perturbations
from scripts.study.explanations import explain_phantoms
from scripts.study.grid import BASELINE, Run
from scripts.study.inference import BATCH, normalised, predicted_logits
from scripts.study.settings import BUNDLE_ROOT
from scripts.study.stand_in import subtract_level, write_split
from scripts.study.training import training_overrides
from scripts.study.workshop import Workshop
from shared.calibration.monte_carlo_dropout import MonteCarloDropout
from shared.study.training import train

__all__ = ["do_run"]

Arrays = dict[str, NDArray[Any]]


def do_run(workshop: Workshop, run: Run) -> None:
    """Train and measure, and write the result atomically."""
    started = time.time()
    arrays: Arrays
    facts: dict[str, Any]
    if run.network == BASELINE:
        arrays, facts = _baseline(workshop, run), {}
    elif run.experiment == "explanations":
        arrays, facts = explain_phantoms(workshop, run)
    else:
        arrays, facts = _network(workshop, run)
    workshop.write_result(run, arrays, facts, seconds=time.time() - started)


def _network(workshop: Workshop, run: Run) -> tuple[Arrays, dict[str, Any]]:
    cells, settings = workshop.cells, workshop.settings
    split = workshop.split(run)
    with workshop.workspace(run) as work:
        write_split(work / "data", workshop.crops, cells, split)
        trained = train(BUNDLE_ROOT, work / "data", work / "models", training_overrides(run, settings))
    phase = subtract_level(cells.phase)
    arrays: Arrays = {"validation_index": split.validation, "test_index": split.test}
    for section, indices in (("validation", split.validation), ("test", split.test)):
        images = normalised(phase[indices], workshop.phase_range)
        arrays[f"{section}_logits"] = predicted_logits(trained.network, images)
        if run.dropout > 0:
            sampler = MonteCarloDropout(trained.network, samples=settings.monte_carlo_samples, seed=run.seed)
            arrays[f"{section}_samples"] = torch.cat([sampler.logits(part) for part in images.split(BATCH)]).numpy()
    if run.perturbed:
        arrays |= _perturbed(workshop, run, trained.network, split.test)
    return arrays, {
        "best_epoch": trained.best_epoch,
        "best_validation_f1": trained.best_value,
        "epochs": trained.epochs,
    }


def _perturbed(workshop: Workshop, run: Run, network: torch.nn.Module, test: NDArray[np.intp]) -> Arrays:
    """Return the held-out cells' logits under each perturbation, keyed ``<kind> <strength>``."""
    raw = workshop.cells.phase[test]
    phase = subtract_level(raw)
    images = normalised(phase, workshop.phase_range)
    labels = torch.from_numpy(workshop.cells.labels[test])
    everything = normalised(subtract_level(workshop.cells.phase), workshop.phase_range)
    bounds = (float(everything.min()), float(everything.max()))
    on_phase = {
        "background": lambda method: perturbations.change_background(raw, method),
        "offset_px": lambda pixels: perturbations.move_crop(phase, pixels, run.seed),
        "blur_px": lambda sigma: perturbations.blur(phase, sigma),
        "intensity": lambda factor: perturbations.change_intensity(phase, factor),
    }
    on_images = {
        "random_sign": lambda epsilon: perturbations.random_sign(images, epsilon, bounds, run.seed),
        "fgsm": lambda epsilon: perturbations.fast_gradient_sign(network, images, labels, epsilon, bounds),
        "pgd": lambda epsilon: perturbations.projected_gradient_descent(
            network, images, labels, epsilon, bounds, workshop.settings.pgd_steps, run.seed
        ),
    }
    arrays = {}
    for kind, strengths in workshop.settings.perturbations.items():
        for strength in strengths:
            if kind in on_phase:
                changed = normalised(on_phase[kind](strength), workshop.phase_range)
            elif kind in on_images:
                changed = on_images[kind](strength)
            else:
                raise ValueError(f"no perturbation is called {kind!r}; known are {[*on_phase, *on_images]}")
            arrays[f"perturbed {kind} {strength}"] = predicted_logits(network, changed)
    return arrays


def _baseline(workshop: Workshop, run: Run) -> Arrays:
    """Fit a logistic regression on the grey pixels."""
    cells = workshop.cells
    split = workshop.split(run)
    pixels = normalised(subtract_level(cells.phase), workshop.phase_range).flatten(1).numpy()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(pixels[split.training], cells.labels[split.training])
    return {
        "validation_index": split.validation,
        "test_index": split.test,
        "validation_logits": model.decision_function(pixels[split.validation]),
        "test_logits": model.decision_function(pixels[split.test]),
    }
