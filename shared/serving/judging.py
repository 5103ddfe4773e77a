"""Judging items by a bundle's own stations: ``inferring``, or ``explaining`` where an explanation is asked for."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.data.errors import DataError
from shared.serving.answer import explanations, predictions, refusals
from shared.serving.items import Item
from shared.serving.served_bundle import EXPLAINING, INFERRING, ServedBundle
from shared.serving.staging import Staged
from shared.serving.station import run_station

__all__ = ["Explanation", "judge", "stage_items"]


@dataclass(frozen=True)
class Explanation:
    """What is to be explained, and how.

    Args:
        method: by name; ``None`` for the bundle's default.
        target_class: class whose logit is explained; ``None`` for the one that the bundle explains by itself.
    """

    method: str | None = None
    target_class: str | None = None

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Explanation:
        """Return what a request asks for.

        Raises:
            DataError: if it has other keys, or values that are no text.
        """
        for key, value in content.items():
            if key not in ("method", "target_class"):
                raise DataError(f"explain: unknown key {key!r}; expected method and target_class")
            if value is not None and not isinstance(value, str):
                raise DataError(f"explain: {key} is {value!r}, expected a name")
        return cls(**content)

    def overrides(self, bundle: ServedBundle) -> dict[str, Any]:
        """Return the keys of the bundle's config that ask for it.

        Raises:
            DataError: if the bundle has no such method or class, or its class cannot be chosen.
        """
        method = self.method or bundle.default_method
        if method not in bundle.methods:
            raise DataError(f"method {method!r}: {bundle.name} has {', '.join(bundle.methods)}")
        if self.target_class is None:
            return {"method": method}
        if not bundle.settings["choosable_target"]:
            raise DataError(f"target_class: {bundle.name} explains {bundle.settings['explained']}, leave it out")
        if self.target_class not in bundle.classes:
            raise DataError(f"target_class {self.target_class!r}: {bundle.name} has {', '.join(bundle.classes)}")
        return {"method": method, "target_class": self.target_class}


def judge(
    bundle: ServedBundle, items: Sequence[Item], work_dir: Path, explanation: Explanation | None = None
) -> dict[str, Any]:
    """Judge items.

    Args:
        bundle: that judges.
        items: with keys that differ.
        work_dir: where their files and those of the stations are kept; what an earlier request left in ``output``
            (features of a slide) is used again.
        explanation: of the one item, if it is to be explained.

    Returns:
        ``answers`` and ``refused`` by key; ``model``; ``timings`` in seconds.

    Raises:
        DataError: if there is no item, two have one key, one is of a kind that is not accepted, or several are to be
            explained.
    """
    if explanation is not None and len(items) > 1:
        raise DataError(f"one item is explained at a time, found {len(items)}")
    chosen = {} if explanation is None else explanation.overrides(bundle)
    started = time.perf_counter()
    answers: dict[str, Any] = {}
    refused: dict[str, str] = {}
    model = dict(bundle.model())
    for number, staged in enumerate(stage_items(bundle, items, work_dir / "input")):
        output = work_dir / "output" / str(number)
        overrides = {"dataset_dir": str(staged.source), "output_dir": str(output), "ckpt_dir": str(bundle.ckpt_dir)}
        try:
            if explanation is None:
                run_station(bundle.root, "inferring", INFERRING, overrides)
            else:
                run_station(bundle.root, "explaining", EXPLAINING, {**overrides, **chosen})
        except DataError as error:
            said = refusals(output)
            refused |= {key: said.get(key, str(error)) for key in staged.keys}
            continue
        found, said = predictions(output, bundle.classes, bundle.settings["multi_label"]), refusals(output)
        for key in staged.keys:
            if len(rows := found.get(key, [])) == 1:
                answers[key] = rows[0]
            elif rows:
                refused[key] = f"holds {len(rows)} {bundle.settings['unit']}s, expected one"
            else:
                refused[key] = said.get(key, "the station gave no prediction and no reason")
        if explanation is not None and answers:
            (answer,) = answers.values()
            answer["explanations"] = _first(explanations(output, chosen["method"]), answer, explanation.target_class)
    timings = {"station": round(time.perf_counter() - started, 3)}
    return {"answers": answers, "refused": refused, "model": model, "timings": timings}


def stage_items(bundle: ServedBundle, items: Sequence[Item], folder: Path) -> list[Staged]:
    """Lay items out as the bundle reads them, in a folder that is made anew.

    Raises:
        DataError: if there is no item, two have one key, or one is of a kind that is not accepted.
    """
    if not items or len({item.key for item in items}) != len(items):
        raise DataError(f"expected items with different keys, found {[item.key for item in items]}")
    shutil.rmtree(folder, ignore_errors=True)
    return bundle.staging(items, folder)


def _first(found: list[dict[str, Any]], answer: Mapping[str, Any], target: str | None) -> list[dict[str, Any]]:
    """Return explanations with that of the wanted class first; else of the most probable one."""
    probabilities = answer["probabilities"]
    return sorted(
        found,
        key=lambda entry: (entry["target_class"] != target, -probabilities.get(entry["target_class"], 0.0)),
    )
