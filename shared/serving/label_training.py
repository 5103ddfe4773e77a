"""Training on labels that people gave while they used a model, from the bundle's own configs.

The served model stays as it is until a new one is trained and calibrated; then weights and calibration are exchanged
together. Training starts from the served weights unless it is asked to start anew.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from shared.calibration.calibration_file import read_calibration
from shared.data.datalist import write_datalist
from shared.data.errors import DataError
from shared.data.files import atomic_folder, sha256_file, write_json
from shared.data.prepare_settings import PREPARED_WITH, calibrated_settings
from shared.serving.items import Item, key_of
from shared.serving.judging import stage_items
from shared.serving.labels import label_of, split_labelled
from shared.serving.model_lock import model_lock
from shared.serving.progress import PROGRESS
from shared.serving.served_bundle import INFERRING, ServedBundle
from shared.serving.station import open_station, run_opened, run_station
from shared.training.best_model import BestModel
from shared.training.start import data_error_behind

__all__ = ["LabelTraining", "calibrate", "train_on_labels"]

TRAINING = ("train",)
CALIBRATING = ("train", "calibrate")
#: beside the weights: what they were trained on
RECORD = "trained_on_labels.json"
#: where the files of the model that was served before are kept
REPLACED = "replaced"
#: of a training that may be resumed, which neither model needs any more
STATE = "training_state.pt"


@dataclass(frozen=True)
class LabelTraining:
    """How to train.

    Args:
        max_epochs: of ``training``; ``None`` for what the bundle's ``train.json`` says.
        seed: of the split and of ``training``.
        from_scratch: start from random weights, not from those that are served.
    """

    max_epochs: int | None = None
    seed: int = 0
    from_scratch: bool = False

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> LabelTraining:
        """Return what a request asks for.

        Raises:
            DataError: if it has other keys or values.
        """
        expected = {"max_epochs": "a whole number from 1 to 10000", "seed": "a whole number", "from_scratch": "a truth"}
        for key, value in content.items():
            whole = isinstance(value, int) and not isinstance(value, bool)
            valid = {
                "max_epochs": value is None or (whole and 1 <= value <= 10_000),
                "seed": whole and 0 <= value < 2**31,
                "from_scratch": isinstance(value, bool),
            }
            if not valid.get(key, False):
                raise DataError(f"train: {key} is {value!r}, expected {expected.get(key, ', '.join(expected))}")
        return cls(**content)


def train_on_labels(
    bundle: ServedBundle, items: Sequence[Item], work_dir: Path, settings: LabelTraining
) -> dict[str, Any]:
    """Train on labelled items, calibrate, and serve the new model if both succeeded.

    Args:
        bundle: whose model is trained.
        items: with labels; those that the bundle cannot read are left out.
        work_dir: for the data, the weights and the log.
        settings: how.

    Returns:
        ``trained`` and ``served``; ``reason`` where it is not served; numbers of samples; ``left_out`` by key; the best
        epoch with its metric; ``weights_sha256``.

    Raises:
        DataError: if a label is none of the bundle's, or there are too few for a training.
    """
    records, left_out = _records(bundle, items, work_dir)
    sections = split_labelled(records, bundle.settings["group_key"], bundle.settings["validation_share"], settings.seed)
    counts = {f"n_{name}": len(members) for name, members in sections.items()}
    told = ", ".join(f"{number} for {name.removeprefix('n_')}" for name, number in counts.items())
    PROGRESS.info(f"{bundle.name}: {len(records)} labelled {bundle.settings['unit']}s: {told}")
    _write_data(bundle, sections, work_dir / "data")
    places = {
        "dataset_dir": str(work_dir / "data"),
        "ckpt_dir": str(work_dir / "models"),
        "tensorboard_dir": str(work_dir / "models" / "logs"),
        "seed": settings.seed,
    }
    workflow = _training(bundle, places, settings)
    run_opened(workflow)
    best = next(
        handler for handler in workflow.parser.get_parsed_content("train#handlers") if isinstance(handler, BestModel)
    )
    result: dict[str, Any] = {
        "trained": True,
        **counts,
        "left_out": left_out,
        "best_epoch": best.best_epoch,
        "metric": best.metric,
        "value": best.best_value if math.isfinite(best.best_value) else None,
        "from_scratch": settings.from_scratch,
        "seed": settings.seed,
    }
    if (reason := calibrate(bundle, places, len(sections["validation"]))) is not None:
        PROGRESS.info(f"{bundle.name}: trained, but the model that was there is still served: {reason}")
        return {**result, "served": False, "reason": reason}
    result |= {"served": True, "weights_sha256": sha256_file(work_dir / "models" / "model.pt")}
    keys = {name: [key_of(str(record["id"])) for record in members] for name, members in sections.items()}
    _serve(bundle, work_dir / "models", {**result, **keys})
    PROGRESS.info(f"{bundle.name}: the new model is served")
    return result


def _records(
    bundle: ServedBundle, items: Sequence[Item], work_dir: Path
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return records of the items as ``inferring`` reads them, with labels and groups, and what was left out."""
    by_key = {item.key: item for item in items}
    labels = {
        item.key: label_of(item.label, bundle.classes, bundle.settings["multi_label"], item.key) for item in items
    }
    group_key = bundle.settings["group_key"]
    records: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    for number, staged in enumerate(stage_items(bundle, items, work_dir / "input")):
        output = work_dir / "prepared" / str(number)
        places = {"dataset_dir": str(staged.source), "output_dir": str(output), "ckpt_dir": str(bundle.ckpt_dir)}
        workflow = open_station(bundle.root, "inferring", INFERRING, places)
        try:
            found = workflow.parser.get_parsed_content("records")
        except Exception as error:  # MONAI wraps what a component says
            if (behind := data_error_behind(error)) is None:
                raise
            left_out |= dict.fromkeys(staged.keys, str(behind))
            continue
        for record in found:
            key = key_of(str(record["id"]))
            # who is behind it is known from a form, or each item stands for itself
            group = str(by_key[key].attributes.get(group_key, key))
            records.append({**record, "label": labels[key], group_key: group})
        missing = set(staged.keys) - {key_of(str(record["id"])) for record in found}
        left_out |= dict.fromkeys(missing, "the bundle cannot read it")
    if not records:
        reasons = "; ".join(sorted(set(left_out.values()))[:3]) or "there are none"
        raise DataError(f"none of {len(items)} labelled {bundle.settings['unit']}s can be used: {reasons}")
    return records, left_out


def _write_data(bundle: ServedBundle, sections: Mapping[str, Sequence[Mapping[str, Any]]], folder: Path) -> None:
    info: dict[str, Any] = {"source": "labels of a datastore"}
    if (prepared_with := calibrated_settings(bundle.calibration_file)) is not None:
        info[PREPARED_WITH] = prepared_with
    write_datalist(
        folder / "datalist.json",
        {**sections, "test": []},
        bundle.classes,
        info,
        keys_with_paths=bundle.settings["paths"],
    )


def _training(bundle: ServedBundle, places: Mapping[str, Any], settings: LabelTraining) -> ConfigWorkflow:
    """Open ``training`` with the served weights and lines of progress added to its handlers.

    What else differs from ``train.json`` stands in ``serve.json``: trained weights need no warm-up, and of few samples
    it can be a single step, which torch's ``OneCycleLR`` cannot do.
    """
    overrides = {**bundle.settings["training"], **places, "resume": False}
    if settings.max_epochs is not None:
        overrides["max_epochs"] = settings.max_epochs
    workflow = open_station(bundle.root, "training", TRAINING, overrides)
    handlers = workflow.parser.config["train"]["handlers"]
    if not settings.from_scratch:
        # when the engine starts, and so after what a bundle fits to the training data beforehand
        handlers.append(
            {
                "_target_": "shared.training.weights.WeightsLoader",
                "network": "@network_def",
                "path": str(bundle.model_file),
            }
        )
    handlers.append({"_target_": "shared.serving.progress.EpochLines", "evaluator": "@validate#evaluator"})
    return workflow


def calibrate(bundle: ServedBundle, places: Mapping[str, Any], validation_samples: int) -> str | None:
    """Calibrate new weights.

    Args:
        bundle: whose weights they are.
        places: folders of data and weights, as overrides of the config.
        validation_samples: number of labelled samples to calibrate on.

    Returns:
        Why that is not possible; ``None`` if it is done.
    """
    if validation_samples < (needed := bundle.settings["calibration_samples"]):
        return f"{validation_samples} labelled samples for validation, calibrating needs {needed}; label more"
    try:
        run_station(bundle.root, "calibrating", CALIBRATING, places)
        read_calibration(Path(places["ckpt_dir"]) / "calibration.json", Path(places["ckpt_dir"]) / "model.pt")
    except DataError as error:
        return f"calibrating: {error}"
    return None


def _serve(bundle: ServedBundle, trained: Path, record: Mapping[str, Any]) -> None:
    """Put the new model into the place of the served one, whose files are kept beside it."""
    with model_lock(bundle.ckpt_dir, exclusive=True), atomic_folder(bundle.ckpt_dir) as folder:
        replaced = folder / REPLACED
        replaced.mkdir()
        for source, target in ((bundle.ckpt_dir, replaced), (trained, folder)):
            for entry in sorted(source.iterdir()):
                if entry.name in (STATE, REPLACED):
                    continue
                if entry.is_dir():
                    shutil.copytree(entry, target / entry.name)
                else:
                    shutil.copy2(entry, target / entry.name)
        write_json(folder / RECORD, record)
