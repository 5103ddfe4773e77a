"""Keeping the folds of the best model as one ensemble, with all that inferring with it needs."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.bag_statistics import bag_statistics
from scripts.ensemble import MANIFEST, read_ensemble
from scripts.network_input import network_input
from scripts.study.choices import temperature_of, two_class
from scripts.study.grid import Run, member_runs
from scripts.study.held_out import HeldOut
from scripts.study.settings import BUNDLE_ROOT, StudySettings
from scripts.study.workshop import Workshop
from shared.calibration.calibration_file import write_calibration
from shared.calibration.confidence import DEFINITION, chance_corrected_confidence
from shared.calibration.outlier_detector import OutlierDetector
from shared.calibration.selective_threshold import ThresholdFit, fit_threshold
from shared.calibration.temperature import temperature_loss
from shared.data.errors import DataError
from shared.data.files import atomic_folder, atomic_path, sha256_file, write_json
from shared.evaluation.provenance import provenance

__all__ = ["best_model", "keep_ensemble"]

INFERENCE_CONFIG = BUNDLE_ROOT / "configs" / "inference.json"
#: keys of ``train.json`` on which the network depends, and ``network_def#…``
NETWORK_KEYS = (
    "network_name",
    "width",
    "pooling",
    "pooling_options",
    "global_pooling",
    "normalisation",
    "field_of_view",
    "log_count",
    "image_size",
)
HELD_OUT = "held-out folds"
IN_SAMPLE = "all patients of the study, those that the statistics were fitted to"
#: what the accepted confidence was fitted on, which is not quite what it is applied to
FITTED_ON = (
    "confidences of {}; it is applied to those of the mean of all members, which is never more confident than its "
    "members are on average, so that coverage and risk on new patients are others than these"
)
STATISTICS_FILE = "outlier_statistics.npz"
#: folder of the one network that can be explained, within the ensemble's
MEMBER = "member"
SMALLEST = 1e-12

logger = logging.getLogger(__name__)


def best_model(settings: StudySettings, found: Mapping[str, HeldOut]) -> str | None:
    """Return the network that the settings name, or the best on the validation patients of those that look at cells.

    The best has the lowest loss in the repeats that all of them have done; where there is an ensemble of it, that is
    taken. An ensemble itself has no loss to be chosen by: its validation patients are known to all members but one. The
    held-out folds have no part in the choice, so that what the table says of the model stays true of it.
    """
    networks = [name for name in found if settings.models[name]["kind"] in ("network", "average", "ensemble")]
    wanted = settings.ensemble["model"]
    if wanted is not None:
        return wanted if wanted in networks else None
    ensembles = {settings.models[name]["of"]: name for name in networks if _is_ensemble(settings, name)}
    looking = [
        name for name in networks if "images" in settings.models[name]["inputs"] and not _is_ensemble(settings, name)
    ]
    common = sorted(set.intersection(*(set(found[name].repeats) for name in looking))) if looking else []
    best = min(looking, key=lambda name: found[name].of(common, "validation_losses").mean(), default=None)
    return None if best is None else ensembles.get(best, best)


def _is_ensemble(settings: StudySettings, model: str) -> bool:
    return settings.models[model]["kind"] == "ensemble"


def keep_ensemble(workshop: Workshop, model: str, predictions: HeldOut) -> Path:
    """Write ``ensemble.json``, ``model.pt``, ``calibration.json`` and the outlier statistics, and one member by itself.

    The members are the model's folds in all repeats that are done, of an ensemble all its networks, each with the
    temperature of its own validation patients. The confidence from which predictions are accepted is fitted on the
    held-out predictions: of each repeat that of the members that had not seen the patient, averaged over the repeats.
    It is applied to the mean of all members, for which no patient is held out, and which is never more confident than
    its members are on average: coverage and risk of the ensemble are not those in the file, which says so
    (``fitted_on``). The outlier statistics and their threshold come from all patients, the ones that they are measured
    on.

    Args:
        workshop: of the study.
        model: its name.
        predictions: its held-out predictions.

    Returns:
        The folder.
    """
    kept = workshop.output / "ensemble"
    with atomic_folder(kept) as folder:
        _write_ensemble(workshop, model, predictions, folder)
    return kept


def _write_ensemble(workshop: Workshop, model: str, predictions: HeldOut, folder: Path) -> None:
    runs = [
        member
        for repeat in predictions.repeats
        for fold in range(workshop.settings.folds)
        for member in member_runs(workshop.settings, Run(model, repeat, fold))
    ]
    members = [
        {
            "repeat": run.repeat + 1,
            "fold": run.fold + 1,
            "member": run.member + 1,
            "temperature": _temperature(workshop, run),
            "weights_sha256": sha256_file(workshop.weights_path(run)),
        }
        for run in runs
    ]
    write_json(
        folder / MANIFEST,
        {
            "bundle": BUNDLE_ROOT.name,
            "model": workshop.settings.models[model]["title"],
            "overrides": network_overrides(workshop.settings, model),
            "members": members,
            "patients": len(workshop.patients),
            "data_sha256": workshop.patients.sha256,
        },
    )
    ensemble = read_ensemble(folder, INFERENCE_CONFIG)
    for member, run in zip(ensemble.members, runs, strict=True):
        member.load_state_dict(torch.load(workshop.weights_path(run), map_location="cpu", weights_only=True))
    with atomic_path(folder / "model.pt") as temporary:
        torch.save(ensemble.state_dict(), temporary)
    calibration = _calibration(workshop, folder, predictions, len(runs))
    write_calibration(folder / "calibration.json", calibration)
    _keep_member(workshop, folder, runs[0], network_overrides(workshop.settings, model), calibration)


def _keep_member(
    workshop: Workshop, folder: Path, run: Run, overrides: Mapping[str, Any], calibration: Mapping[str, Any]
) -> None:
    """Write one network with all that explaining and repeating need, which ask one network at a time about cells.

    Its temperature is that of its own validation patients; what it accepts and rejects is the ensemble's.
    """
    kept, result = folder / MEMBER, workshop.result(run)
    labels = workshop.patients.labels[result["validation_index"]]
    temperature = temperature_of(result["validation_logits"], labels)
    pairs = two_class(result["validation_logits"])[:, None]
    loss, gradient = temperature_loss(float(np.log(temperature)), pairs, labels)
    with atomic_path(kept / "model.pt") as temporary:
        shutil.copyfile(workshop.weights_path(run), temporary)
    with atomic_path(kept / STATISTICS_FILE) as temporary:
        shutil.copyfile(folder / STATISTICS_FILE, temporary)
    write_json(kept / "network.json", overrides)
    fitted = {
        "value": temperature,
        "loss_before": temperature_loss(0.0, pairs, labels)[0],
        "loss_after": loss,
        "gradient": gradient,
        "n": len(labels),
        "split": f"validation patients of repeat {run.repeat + 1}, fold {run.fold + 1}",
    }
    write_calibration(
        kept / "calibration.json",
        {
            **calibration,
            "weights_sha256": sha256_file(kept / "model.pt"),
            "temperature": {**calibration["temperature"], **fitted},
            "provenance": provenance(0, [], [kept / "model.pt"]),
        },
    )


def network_overrides(settings: StudySettings, model: str) -> dict[str, Any]:
    """Return the keys of a config that make ``network_def`` the network of a model."""
    described = settings.models[model]
    if described["kind"] == "ensemble":
        return network_overrides(settings, described["of"])
    if described["kind"] == "average":
        return {**network_overrides(settings, described["of"][0]), "network_name": "AveragedClassifier"}
    overrides = {**settings.training, **described["overrides"]}
    return {key: value for key, value in overrides.items() if key in NETWORK_KEYS or key.startswith("network_def#")}


def _temperature(workshop: Workshop, run: Run) -> float:
    result = workshop.result(run)
    return temperature_of(result["validation_logits"], workshop.patients.labels[result["validation_index"]])


def _calibration(workshop: Workshop, folder: Path, predictions: HeldOut, members: int) -> dict[str, Any]:
    """Return the content of the calibration file; the outlier statistics are written on the way."""
    settings, labels = workshop.settings.ensemble, workshop.patients.labels
    tumoral = predictions.after.mean(axis=0).clip(SMALLEST, 1 - SMALLEST)  # (P,)
    probabilities = np.stack([1 - tumoral, tumoral], axis=1)
    confidence = chance_corrected_confidence(probabilities)
    wrong = probabilities.argmax(axis=1) != labels
    sure = confidence >= settings["minimum_confidence"]
    detector, usual = _detector(workshop, folder, sure)
    threshold = _acceptance(confidence[sure & usual], wrong[sure & usual], settings["target_risk"])
    loss, gradient = temperature_loss(0.0, two_class(np.log(tumoral) - np.log1p(-tumoral))[:, None], labels)
    return {
        "bundle": BUNDLE_ROOT.name,
        "weights_sha256": sha256_file(folder / "model.pt"),
        "classes": list(workshop.patients.classes),
        "monte_carlo": {"samples": 1, "seed": 0},
        "temperature": {
            "value": 1.0,
            "loss_before": loss,
            "loss_after": loss,
            "gradient": gradient,
            "n": len(labels),
            "samples": 1,
            "bound": None,
            "split": HELD_OUT,
        },
        "confidence": {
            "definition": DEFINITION,
            "minimum": settings["minimum_confidence"],
            "accept": threshold.threshold if threshold else None,
            "target_risk": settings["target_risk"],
            "guarantee": None,
            "reached": threshold is not None,
            "coverage": threshold.n * threshold.coverage / len(labels) if threshold else 0.0,
            "risk": threshold.risk if threshold else None,
            "risk_bound": None,
            "n": len(labels),
            "split": HELD_OUT,
            "fitted_on": fitted_on(members // workshop.settings.folds),
            "divided_by": None,
        },
        "outlier": {
            "threshold": detector.threshold,
            "inliers_kept": settings["inliers_kept"],
            "kept": float((sure & usual).mean()),
            "members": list(detector.members),
            "n_training": len(labels),
            "n_validation": 0,
            "split": IN_SAMPLE,
            "statistics": STATISTICS_FILE,
            "statistics_sha256": detector.save(folder / STATISTICS_FILE),
        },
        "provenance": provenance(0, [], [folder / "model.pt"]),
    }


def fitted_on(unseen: int) -> str:
    """Say what the accepted confidence was fitted on.

    Args:
        unseen: members that had not seen a patient; the same number for all.
    """
    single = "the single member that had not seen the patient"
    return FITTED_ON.format(single if unseen == 1 else f"the mean of {unseen} members that had not seen the patient")


def _detector(workshop: Workshop, folder: Path, sure: NDArray[np.bool_]) -> tuple[OutlierDetector, NDArray[np.bool_]]:
    """Return the detector fitted to all patients, and which of them it keeps."""
    patients, settings = workshop.patients, workshop.settings.ensemble
    size = read_ensemble(folder, INFERENCE_CONFIG).image_size
    read = network_input(size, keys=("image", "attributes"), threads=1)
    rows = []
    for record in patients.records:
        bag = read(record)
        lengths = torch.tensor([len(bag["image"])])
        rows.append(bag_statistics(bag["image"], lengths, bag["attributes"][None]).numpy())
    features = {"image_statistics": np.concatenate(rows)}
    detector = OutlierDetector.fit(features, patients.labels, members=settings["outlier_members"]).calibrated(
        features, keep=settings["inliers_kept"], also_kept=sure if sure.any() else None
    )
    return detector, detector.combine(detector.member_scores(features)) <= detector.threshold


def _acceptance(confidence: NDArray[np.float64], wrong: NDArray[np.bool_], risk: float) -> ThresholdFit | None:
    if len(confidence) == 0:
        return None
    try:
        return fit_threshold(confidence, wrong, risk)
    except DataError as error:
        logger.warning(f"the ensemble will accept nothing: {error}")
        return None
