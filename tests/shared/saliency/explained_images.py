"""A small data set of images with known causes, explained by a method whose maps say which image they are of."""

from __future__ import annotations

import json

import numpy as np

from shared.saliency.base import Attribution
from shared.saliency.explainer import Explainer

CLASSES = ["cat", "dog", "owl"]
CAUSE = 8


class ImageTimesTarget(Attribution):
    """The image times one more than the target: shows which image was explained for which class."""

    def __init__(self, network, factor=1.0):
        super().__init__(network)
        self.factor = factor
        self.batches = []

    def _attribute(self, images, target):
        self.batches.append(len(images))
        return self.factor * images * (target + 1)[:, None, None, None]


def make_explainer(world, network, tmp_path, methods=None, **options):
    dataset, records, _ = world
    methods = {"stub": ImageTimesTarget(network)} if methods is None else methods
    return Explainer(methods, dataset, records, CLASSES, "cpu", tmp_path / "eval", **{"truth_bit": CAUSE, **options})


def explain(world, network, tmp_path, methods=None, **options):
    file = make_explainer(world, network, tmp_path, methods, **options).run(world[2])
    assert file == tmp_path / "eval" / "explanations" / "index.json"
    return json.loads(file.read_text())


def number(entry):
    return int(entry["id"].split("/")[1])


def cause(world, index):
    return (np.load(world[1][index]["truth"]) & CAUSE) > 0
