"""Training a network, and keeping what it says of the held-out patients and of sets of their cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.embedded_bags import BagExperts, attention_weights, embed_cells
from scripts.network_input import network_input
from scripts.study.choices import temperature_of
from scripts.study.grid import Run
from scripts.study.patients import write_split
from scripts.study.settings import BUNDLE_ROOT
from scripts.study.subsets import CellSets, cell_sets, in_arrays
from scripts.study.workshop import Workshop
from shared.data.files import atomic_path
from shared.study.training import train

__all__ = ["average_run", "network_run", "training_overrides"]

#: between the seeds of the members of an ensemble; more than there are repeats
SEED_STEP = 1000

Arrays = dict[str, NDArray[Any]]
Result = tuple[Arrays, dict[str, Any]]


def network_run(workshop: Workshop, run: Run) -> Result:
    """Train a network through ``train.json``; its weights are kept beside the results."""
    split, patients = workshop.split(run), workshop.patients
    with workshop.workspace(run) as work:
        write_split(work / "data", patients, split)
        trained = train(BUNDLE_ROOT, work / "data", work / "models", training_overrides(workshop, run))
        with atomic_path(workshop.weights_path(run)) as temporary:
            torch.save(trained.network.state_dict(), temporary)
    arrays = _outputs(workshop, run, trained.network, split.test)
    only_all = _outputs(workshop, run, trained.network, split.validation, subsets=False)
    arrays["validation_logits"] = only_all["test_logits"]
    return arrays, {
        "best_epoch": trained.best_epoch,
        "best_value": trained.best_value,
        "epochs": trained.epochs,
        "calibrate": True,
    }


def training_overrides(workshop: Workshop, run: Run) -> dict[str, Any]:
    """Return the keys of ``train.json`` that a run changes, weights of other runs among them."""
    settings, model = workshop.settings, workshop.settings.models[run.model]
    weights = {
        key: str(workshop.weights_path(replace(run, model=name))) for key, name in model.get("weights_from", {}).items()
    }
    return {
        "device": settings.device,
        **settings.training,
        **model["overrides"],
        **weights,
        "seed": run.repeat + SEED_STEP * run.member,
    }


def average_run(workshop: Workshop, run: Run) -> Result:
    """Average the logits of the fold's network on images and of its network on attributes (AVG, equation 14).

    Nothing is trained. The weights of both are kept as those of an ``AveragedClassifier``; where the experts are
    calibrated first, the temperatures are in the weights of their heads.
    """
    names, calibrated = workshop.settings.models[run.model]["of"], workshop.settings.models[run.model].get("calibrated")
    members = [replace(run, model=name) for name in names]
    image, attributes = results = [workshop.result(member) for member in members]
    truth = workshop.patients.labels[image["validation_index"]]
    temperatures = [temperature_of(result["validation_logits"], truth) if calibrated else 1.0 for result in results]
    arrays: Arrays = {}
    for name in ("validation_logits", "test_logits", "image_set_logits", "fewer_logits"):
        other = attributes[name] if name in attributes else attributes["test_logits"]
        # an expert that looks at no cell says the same of any set of them
        other = other.reshape(-1, *[1] * (image[name].ndim - other.ndim))
        arrays[name] = (image[name] / temperatures[0] + other / temperatures[1]) / 2
    states = [torch.load(workshop.weights_path(member), map_location="cpu", weights_only=True) for member in members]
    if calibrated:
        for state, temperature in zip(states, temperatures, strict=True):
            state |= {key: state[key] / temperature for key in ("head.weight", "head.bias")}
    joined = {
        f"{prefix}.{key}": value
        for prefix, state in zip(("image_expert", "attribute_expert"), states, strict=True)
        for key, value in state.items()
    }
    with atomic_path(workshop.weights_path(run)) as temporary:
        torch.save(joined, temporary)
    arrays |= {"image_logits": image["test_logits"], "attributes_logits": attributes["test_logits"]}
    return arrays, {"calibrate": True}


def _outputs(
    workshop: Workshop,
    run: Run,
    network: torch.nn.Module,
    indices: Sequence[int] | NDArray[np.intp],
    subsets: bool = True,
) -> Arrays:
    """Return the logits of patients, each cell encoded once.

    Returns:
        See :func:`~scripts.study.subsets.in_arrays`; of a network with two experts besides ``image_logits``,
        ``attributes_logits`` and, of a mixture, ``gate``, ``(P,)`` each; with attention ``attention``, the weights of
        all cells one after the other.
    """
    experts = BagExperts(network)
    patients, settings = workshop.patients, workshop.settings
    records = patients.of(indices)
    if experts.image_expert is None:
        attributes = torch.tensor(patients.attributes[np.asarray(indices)], dtype=torch.float32)
        device = next(network.parameters()).device
        named = experts(torch.zeros(len(records), 0, device=device), attributes)
        return {"test_logits": named["attributes"].double().cpu().numpy()}
    read = network_input(experts.image_expert.centring.mean_image.shape[-1], keys=("image", "attributes"), threads=1)
    sets: list[CellSets] = []
    parts: list[dict[str, NDArray[np.float64]]] = []
    attention = []
    for index, record in zip(indices, records, strict=True):
        bag = read(record)
        embeddings = embed_cells(experts.image_expert, bag["image"])
        sets.append(cell_sets(record, int(index), run.repeat, settings))
        wanted = sets[-1].all if subsets else sets[-1].everything
        parts.append(experts.of_subsets(embeddings, wanted, bag["attributes"]))
        weights = attention_weights(experts.image_expert, embeddings)
        if weights is not None:
            attention.append(weights)
    whole = experts.parts[-1]
    arrays: Arrays = {"test_logits": np.array([part[whole][0] for part in parts])}
    if subsets:
        arrays = dict(in_arrays([part[whole] for part in parts], sets, settings))
        named_parts = {"image": "image_logits", "attributes": "attributes_logits", "gate": "gate"}
        arrays |= {
            key: np.array([part[name][0] for part in parts])
            for name, key in named_parts.items()
            if name in parts[0] and name != whole
        }
        if attention:
            arrays["attention"] = np.concatenate(attention)
    return arrays
