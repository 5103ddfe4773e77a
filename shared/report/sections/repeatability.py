"""Repeatability: diagnoses from several sets of instances of one bag, and from fewer instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.data.errors import DataError
from shared.report.measures import Estimate, read_estimates, read_number, read_table
from shared.report.repeatability_figures import instance_number_figure, weight_skew_figure
from shared.report.sources import Sources

__all__ = ["BagVotes", "repeatability_section"]

NAME = "repeatability.json"
MEASURES = (
    "sets_against_majority",
    "patients_with_disagreement",
    "probability_spread",
    "set_accuracy",
    "majority_accuracy",
)
CURVES = ("balanced_accuracy", "roc_auc")


@dataclass(frozen=True)
class BagVotes:
    """What the models said of each set of one bag.

    Attributes:
        id: the bag.
        label: its true class.
        votes: of each model, the diagnosis of each set, and that of the majority.
    """

    id: str
    label: str
    votes: Sequence[tuple[Sequence[str], str]]

    @property
    def notable(self) -> bool:
        """Whether a model disagrees with itself or the majority is wrong."""
        return any(len(set(sets)) > 1 or majority != self.label for sets, majority in self.votes)


def repeatability_section(sources: Sources) -> dict[str, Any] | None:
    """Agreement of each model with itself, as numbers and bag by bag; ``None`` if it was not measured."""
    content = sources.repeatability
    if content is None:
        return None
    where = str(sources.files[NAME])
    words = {key: str(content.get(f"{key}_word") or key) for key in ("bag", "instance")}
    models = read_table(content.get("models"), f"{where}: models")
    titles = [str(read_table(entry, f"{where}: models.{key}").get("title") or key) for key, entry in models.items()]
    estimates = [
        {e.name: e for e in read_estimates(entry.get("measures") or {}, f"{where}: models.{key}.measures")}
        for key, entry in models.items()
    ]
    bags = _bags(content, list(models), where)
    compared = read_table(content.get("compared") or {}, f"{where}: compared")
    return {
        "words": words,
        "n": len(bags),
        "sets": int(read_number(content.get("sets"), f"{where}: sets")),
        "origin": dict(read_table(content.get("origin"), f"{where}: origin")),
        "left_out": [str(row.get("id")) for row in content.get("left_out") or []],
        "titles": titles,
        "measures": [(name, [found.get(name) for found in estimates]) for name in MEASURES],
        "bags": bags,
        "notable": [bag for bag in bags if bag.notable],
        "compared": {
            "model": compared.get("model"),
            "reference": compared.get("reference"),
            "measures": read_estimates(compared.get("difference") or {}, f"{where}: compared.difference"),
        }
        if compared
        else None,
        **_curves(content, words, where),
        **_weights(content, words, where),
    }


def _bags(content: Mapping[str, Any], models: Sequence[str], where: str) -> list[BagVotes]:
    rows = content.get("patients")
    if not isinstance(rows, list):
        raise DataError(f"{where}: patients: found {rows!r}, expected a list; run repeating again")
    bags = []
    for i, row in enumerate(rows):
        place = f"{where}: patients[{i}]"
        said = read_table(read_table(row, place).get("models"), f"{place}.models")
        if missing := [key for key in models if key not in said]:
            raise DataError(f"{place}.models: has no {missing[0]!r}; run repeating again")
        votes = [([str(name) for name in said[key]["predictions"]], str(said[key]["majority"])) for key in models]
        bags.append(BagVotes(str(row.get("id")), str(row.get("label")), votes))
    return bags


def _curves(content: Mapping[str, Any], words: Mapping[str, str], where: str) -> dict[str, Any]:
    table = read_table(content.get("cell_numbers") or {}, f"{where}: cell_numbers")
    curves: dict[str, list[tuple[int, dict[str, Estimate]]]] = {}
    for title, rows in read_table(table.get("models") or {}, f"{where}: cell_numbers.models").items():
        curves[title] = []
        for i, row in enumerate(rows):
            place = f"{where}: cell_numbers.models.{title}[{i}]"
            measured = {e.name: e for e in read_estimates(row, place, ("cells",))}
            curves[title].append((int(read_number(row.get("cells"), f"{place}.cells")), measured))
    figure = instance_number_figure(curves, CURVES, words["instance"], "cells") if curves else None
    return {"curves": curves, "curve_measures": CURVES, "curve_figure": figure, "draws": table.get("draws")}


def _weights(content: Mapping[str, Any], words: Mapping[str, str], where: str) -> dict[str, Any]:
    table = read_table(content.get("attention") or {}, f"{where}: attention")
    bags = table.get("bags") or []
    return {
        "skew": read_estimates(table.get("summary") or {}, f"{where}: attention.summary", ("n",)),
        "skew_figure": weight_skew_figure(bags, words, "skew") if bags else None,
    }
