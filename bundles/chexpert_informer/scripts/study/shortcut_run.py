"""A network that learned a shortcut beside one that could not: what both say of the same films with and without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.findings import FINDINGS, TRUTH
from scripts.phantom_parameters import PhantomParameters
from scripts.study.doubting import Examiner, arrays_of
from scripts.study.films import draw_films, draw_pairs
from scripts.study.grid import Run
from scripts.study.network_run import Result, train_network
from scripts.study.workshop import Workshop
from shared.data.arrays import read_image
from shared.data.datalist import load_section

__all__ = ["NETWORKS", "mass_on_marker", "shortcut_run", "tied_finding"]

Floats = NDArray[np.float64]

#: trained on films whose text tells the finding, and on the same films with the text dealt out at random
NETWORKS = ("shortcut", "plain")


def tied_finding(parameters: Mapping[str, Any] | None) -> str:
    """Return the finding that the text is tied to."""
    return PhantomParameters.from_config(parameters).shortcut.finding


def shortcut_run(workshop: Workshop, run: Run) -> Result:
    """Train on films with the shortcut, and examine test films of the same seed twice, without and with the text.

    Returns:
        ``shortcut_validation_<field>``; for both networks ``<network>_without_<field>`` and ``<network>_with_<field>``
        of F films, ``tied`` ``(F,)``, whether the shortcut's own test set has the text; of the first films that have
        room for it ``mass_<network>_<method>`` ``(M, 5)``, see :func:`mass_on_marker`, and ``marker_area`` ``(M,)``;
        and ``shown_image``, ``shown_marker``, ``shown_map_<network>`` ``(P, S, S)``, of those films without the finding
        on which the text raises the logit of the tied finding most.
    """
    settings, size = workshop.settings, workshop.settings.training["image_size"]
    finding = FINDINGS.index(tied_finding(settings.phantoms.parameters))
    with workshop.workspace(run) as work:
        data = work / "data"
        draw_films(data, settings.phantoms, run.seed, "shortcut", size)
        facts = train_network(workshop, run, work)
        pairs = draw_pairs(work / "pairs", settings.phantoms, run.seed, size, settings.shortcut.films)
        without, with_text = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        arrays: dict[str, NDArray[Any]] = {"tied": np.array([pair[2] for pair in pairs])}
        examiners = {
            name: Examiner(workshop.weights_path(of), workshop.overrides(of), settings.doubts)
            for name, of in zip(NETWORKS, (run, Run("phantoms", run.seed)), strict=True)
        }
        validation = load_section(data / "datalist.json", "validation")
        arrays |= arrays_of(examiners["shortcut"].doubts(validation), "shortcut_validation")
        for name, examiner in examiners.items():
            arrays |= arrays_of(examiner.doubts(without), f"{name}_without")
            arrays |= arrays_of(examiner.doubts(with_text), f"{name}_with")
            arrays |= _masses(examiner, with_text[: settings.shortcut.mapped], name)
        arrays["marker_area"] = _markers(with_text[: settings.shortcut.mapped]).mean(axis=(1, 2))
        rise = arrays["shortcut_with_logits"][:, finding] - arrays["shortcut_without_logits"][:, finding]
        rise = np.where(arrays["shortcut_with_label"][:, finding] == 0, rise, -np.inf)
        shown = [with_text[index] for index in np.argsort(-rise, kind="stable")[: settings.shortcut.shown]]
        arrays["shown_image"] = examiners["plain"].images(shown)[:, 0].cpu().numpy()
        arrays["shown_marker"] = _markers(shown)
        for name, examiner in examiners.items():
            method = examiner.methods[settings.shortcut.shown_method]
            maps = method.attribute_classes(examiner.images(shown), [finding]).maps[:, 0]
            arrays[f"shown_map_{name}"] = maps.sum(dim=1).cpu().numpy()
    return arrays, facts


def mass_on_marker(maps: NDArray[np.floating], marker: NDArray[np.bool_]) -> Floats:
    """Return the share of each map's magnitude that lies where the text is: Σ_marker |S| / Σ |S|.

    Args:
        maps: ``(B, K, C, H, W)``.
        marker: ``(B, H, W)``.

    Returns:
        ``(B, K)``; NaN for a map that is 0 everywhere.
    """
    magnitude = np.abs(maps).astype(np.float64).sum(axis=2)  # (B, K, H, W)
    whole = magnitude.sum(axis=(2, 3))
    inside = (magnitude * marker[:, None]).sum(axis=(2, 3))
    return np.divide(inside, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _masses(examiner: Examiner, records: Sequence[Mapping[str, Any]], network: str) -> dict[str, Floats]:
    found: dict[str, list[Floats]] = {method: [] for method in examiner.methods}
    for batch in examiner.batches(records):
        images, marker = examiner.images(batch), _markers(batch)
        for method, attribution in examiner.methods.items():
            maps = attribution.attribute_classes(images).maps.cpu().numpy()
            found[method].append(mass_on_marker(maps, marker))
    return {f"mass_{network}_{method}": np.concatenate(parts) for method, parts in found.items()}


def _markers(records: Sequence[Mapping[str, Any]]) -> NDArray[np.bool_]:
    """Return where the text is ``(B, S, S)``; films have the size of the network's input."""
    return np.stack([TRUTH.decode(read_image(record["truth"]), "marker") for record in records])
