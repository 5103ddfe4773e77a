"""Do two networks that differ only in the seed of their training explain alike?"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from shared.data.errors import DataError
from shared.evaluation.interpretability.file import not_measured, row
from shared.saliency.sanity.explained import Explained, Explanations
from shared.saliency.sanity.likeness import likeness
from shared.saliency.sanity.result import crossed_interval
from shared.saliency.sanity.shuffled import shuffled_likeness
from shared.training.weights import load_weights

__all__ = ["load_other_models", "seed_stability"]


def load_other_models(network: nn.Module, files: Sequence[str | os.PathLike[str]] | None) -> list[nn.Module]:
    """Return copies of a network with the weights of other trainings.

    Args:
        network: the trained network; left as it is.
        files: state dicts, as training writes them.

    Raises:
        DataError: if a file is missing or is of another network, or holds the network's own weights or those of
            another file: two such trainings say nothing of what differs between trainings.
    """
    models: list[nn.Module] = []
    known = {"the model that is explained": network.state_dict()}
    for file in files or []:
        other = load_weights(copy.deepcopy(network), file)
        state = other.state_dict()
        for name, weights in known.items():
            if all(torch.equal(value, weights[key]) for key, value in state.items()):
                raise DataError(
                    f"other_model_files: {Path(file)} has the same weights as {name}; expected a training with another "
                    "seed"
                )
        known[str(file)] = state
        models.append(other)
    return models


def seed_stability(
    explained: Explained,
    original: Explanations,
    others: Sequence[nn.Module],
    *,
    command: str,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Compare every method's maps of a network with those of networks trained from other seeds.

    The same samples, the same explained class. The number is the structural similarity of maps (of their magnitudes,
    where these are what counts), and the rank correlation of the values of a bag's instances: its mean over the other
    networks and then over the samples (:func:`~shared.saliency.sanity.result.crossed_interval`). Its chance level is
    the likeness of maps of different samples. The mean rank correlation of the maps is
    among ``parameters``.

    Args:
        explained: samples, methods and network.
        original: explanations of the network itself.
        others: networks of other trainings (:func:`load_other_models`), behind the same wrapper as ``network``.
        command: a command that trains another network, named in the reason where there is none.
        groups: patient or donor of each sample, if samples belong together.
        seed: of pairs of samples.

    Returns:
        One row of the interpretability file for each method.
    """
    if not others:
        reason = f"no second training was given; make one with `{command}` and name its model in other_model_files"
        return [not_measured("seed_stability", reason, name) for name in original]
    found: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in original}
    for other in others:
        for name, maps in explained.explain(other).items():
            found[name].append(likeness(original[name], maps, explained.signs[name]))
    rows = []
    for name, parts in found.items():
        suffix = "_absolute" if explained.signs[name] == "absolute" else ""
        structural = f"structural_similarity{suffix}"
        kind = structural if structural in parts[0] else f"rank_correlation{suffix}"
        values = np.array([part[kind] for part in parts])  # (D, B)
        ranks = np.array([part[f"rank_correlation{suffix}"] for part in parts])
        shuffled = shuffled_likeness(original[name], explained.signs[name], seed)[kind]
        rows.append(_row(name, kind, values, ranks, groups, shuffled))
    return rows


def _row(
    name: str, kind: str, values: np.ndarray, ranks: np.ndarray, groups: ArrayLike | None, shuffled: np.ndarray
) -> dict[str, Any]:
    n = int(np.isfinite(values).any(axis=0).sum())
    parameters: dict[str, Any] = {
        "networks": len(values),
        "similarity": kind,
        "undefined": float(np.isnan(values).mean()),
    }
    if n == 0:
        reason = "one of the two maps is constant for every sample: of a map that shows nothing nothing can be said"
        return not_measured("seed_stability", reason, name)
    parameters["rank_correlation"] = float(np.nanmean(ranks))
    known = shuffled[np.isfinite(shuffled)]
    chance = {"chance": float(known.mean())} if known.size else {}
    entry = crossed_interval(values, groups=groups)
    return row("seed_stability", {**entry, **chance, "n": n, "parameters": parameters}, name)
