"""Explained bags: the instances that count most, and how experts share the decision, from ``explanations/index.json``.

A sample of the index with a ``bag`` is one patient or slide that was judged from many instances (cells, tiles). The
index says what the two are called (``bag_word``, ``instance_word``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.data.errors import DataError
from shared.report.gallery import MOST_CASES, Case, explained_samples, read_case
from shared.report.instances import Instance, add_instances, read_instances, read_rows
from shared.report.measures import read_number, read_table
from shared.report.pictures import Pictures
from shared.report.similar_cases import SimilarCase, read_similar
from shared.report.sources import Sources

__all__ = ["Bag", "ExpertSplit", "read_bags", "read_experts", "words"]

#: for the pictures of instances, and for the maps over them
PICTURE_BYTES, LAYER_BYTES = 700_000, 500_000

#: Parts of an expert split, in the order in which they are drawn.
EXPERTS = ("image", "attributes")


@dataclass(frozen=True)
class ExpertSplit:
    """What each expert says of one bag.

    Attributes:
        id: the bag.
        label: its true class; empty if unknown.
        gate: weight of the expert on images.
        image: probability of the class to be found by the expert on images.
        attributes: by the expert on attributes.
        whole: by both together.
    """

    id: str
    label: str
    gate: float
    image: float
    attributes: float
    whole: float


@dataclass(frozen=True)
class Bag:
    """One explained bag.

    Attributes:
        case: its prediction, confidence and decision.
        n: number of instances.
        of: whose logit the values add up to.
        exact: whether the values are exact; else they are sampled.
        whole: logit of the bag.
        empty: logit without any instance, at which the values begin.
        highest: instances with the highest values, in falling order.
        lowest: instances with the lowest values, in rising order.
        experts: how the experts share the decision; ``None`` for a model without experts.
        map_method: method of the overlays; empty if there is none.
        table: file with the values of all instances.
    """

    case: Case
    n: int
    of: str
    exact: bool
    whole: float
    empty: float
    highest: Sequence[Instance]
    lowest: Sequence[Instance]
    experts: ExpertSplit | None
    map_method: str
    table: str


def words(sources: Sources) -> dict[str, str]:
    """Return what a bag and an instance are called, in the singular: ``{"bag": "patient", "instance": "cell"}``."""
    content = sources.explanations or {}
    return {"bag": str(content.get("bag_word") or "bag"), "instance": str(content.get("instance_word") or "instance")}


def read_bags(sources: Sources) -> list[Bag]:
    """Read the first ``MOST_CASES`` explained bags with their pictures.

    Raises:
        DataError: if a bag is malformed, or an image is missing, unreadable or outside the evaluation folder.
    """
    samples = explained_samples(sources, "bag")[:MOST_CASES]
    pictures = Pictures(sources.eval_dir)
    for where, sample in samples:
        add_instances(pictures, read_table(sample["bag"], f"{where}.bag"), f"{where}.bag")
    pictures.embed(PICTURE_BYTES, LAYER_BYTES)
    similar = read_similar(sources, samples)
    return [_bag(sources, sample, where, pictures, similar[where]) for where, sample in samples]


def read_experts(sources: Sources) -> list[ExpertSplit]:
    """Read the split of every bag of the evaluation, explained or not; none for a model without experts.

    Raises:
        DataError: if an entry is malformed.
    """
    rows = read_rows(sources.explanations or {}, "experts", str(sources.files.get("explanations/index.json")))
    return [_split(row, place) for place, row in rows]


def _split(row: Mapping[str, Any], where: str) -> ExpertSplit:
    numbers = {key: read_number(row.get(key), f"{where}.{key}") for key in ("gate", *EXPERTS, "whole")}
    for key, value in numbers.items():
        if not 0 <= value <= 1:
            raise DataError(f"{where}.{key}: found {value}, expected 0 to 1; run explaining again")
    return ExpertSplit(id=str(row.get("id", "")), label=str(row.get("label") or ""), **numbers)


def _bag(
    sources: Sources, sample: Mapping[str, Any], where: str, pictures: Pictures, similar: Sequence[SimilarCase]
) -> Bag:
    bag = sample["bag"]
    game = read_table(bag.get("shapley", {}), f"{where}.bag.shapley")
    experts = bag.get("experts")
    return Bag(
        case=read_case(sources, sample, where, similar=similar),
        n=int(read_number(bag.get("n"), f"{where}.bag.n")),
        of=str(game.get("of") or "model"),
        exact=bool(game.get("exact")),
        whole=read_number(game.get("whole"), f"{where}.bag.shapley.whole"),
        empty=read_number(game.get("empty"), f"{where}.bag.shapley.empty"),
        highest=read_instances(pictures, bag, "highest", f"{where}.bag"),
        lowest=read_instances(pictures, bag, "lowest", f"{where}.bag"),
        experts=None
        if experts is None
        else _split({"id": sample["id"], **read_table(experts, f"{where}.bag.experts")}, f"{where}.bag.experts"),
        map_method=str(bag.get("map_method") or ""),
        table=str(bag.get("instances_csv") or ""),
    )
