"""A patient of 20 to 164 image files to a calibrated output: the bag at once against one pass for each image."""

from __future__ import annotations

import atexit
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from scripts.experts import AttributePerceptron, ImageClassifier
from scripts.inferers import BagOutputsInferer, expert_columns
from scripts.named_outputs import NamedOutputs
from scripts.network_input import network_input
from scripts.networks import MixtureOfExperts
from shared.calibration.calibrated_classifier import CalibratedClassifier
from shared.calibration.outlier_detector import OutlierDetector
from shared.evaluation.timing import Comparison
from shared.mil.bags import PrepareBags, collate_bags

BUNDLE = "lymphocytosis_moe"
WIDTH, IMAGE_SIZE = 32, 112
CHUNK_SIZE = 64  # as in inference.json
NUMBERS = (20, 41, 82, 164)
LIMIT_NUMBER, LIMIT_MS = 82, 720.0
# an image of a large bag may take so much longer than one of a small bag
LINEAR = 1 / 1.25

Outputs = Mapping[str, np.ndarray]


def comparisons(device: torch.device, seed: int) -> Iterator[Comparison]:
    """Yield the time for patients of several sizes, and for one image of them beside one of the smallest patient."""
    torch.manual_seed(seed)
    patients = {number: write_patient(number, seed) for number in NUMBERS}
    experts = ImageClassifier(WIDTH, IMAGE_SIZE, chunk_size=CHUNK_SIZE), AttributePerceptron()
    network = MixtureOfExperts(*experts).to(device).eval()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    classifier = calibrated_classifier(network, seed)
    ways = {
        number: partial(diagnosis, network, classifier, record, device=device) for number, record in patients.items()
    }
    for number, record in patients.items():
        limit = {"the time allowed": partial(float, LIMIT_MS)} if number == LIMIT_NUMBER else {}
        yield Comparison(
            name=f"{number} images",
            subject=partial(milliseconds, ways[number]),
            rivals={
                "a pass for each image": partial(
                    milliseconds, partial(diagnosis_image_by_image, network, classifier, record, device=device)
                ),
                **limit,
            },
            goals=dict.fromkeys(limit, 1.0),
            unit="ms",
        )
    smallest = NUMBERS[0]
    for number in NUMBERS[1:]:
        yield Comparison(
            name=f"one image of {number}",
            subject=partial(microseconds_for_each, ways[number], number),
            rivals={f"one image of {smallest}": partial(microseconds_for_each, ways[smallest], smallest)},
            goals={f"one image of {smallest}": LINEAR},
            unit="µs",
        )


def write_patient(number: int, seed: int) -> dict[str, Any]:
    """Write noise as JPEG files, which are removed at the end, and return the record of a patient with them."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    rng = np.random.default_rng([seed, number])
    paths = [str(Path(folder.name) / f"{index:06d}.jpg") for index in range(number)]
    for path in paths:
        coarse = Image.fromarray(rng.integers(0, 256, (14, 14, 3), dtype=np.uint8))
        coarse.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR).save(path, quality=90)
    return {"id": f"{number} images", "image": paths, "age": 71.0, "lymphocyte_count": 12.5}


def calibrated_classifier(network: MixtureOfExperts, seed: int) -> CalibratedClassifier:
    """Return the classifier that calibrating would fit, of statistics drawn at random."""
    rng = np.random.default_rng(seed)
    training, validation = ({"image_statistics": rng.normal(size=(count, 8))} for count in (80, 40))
    detector = OutlierDetector.fit(training, rng.integers(0, 2, 80), members=["mahalanobis_image"])
    return CalibratedClassifier(
        classes=("reactive", "tumoral"),
        temperature=1.5,
        minimum_confidence=0.1,
        accept_confidence=0.5,
        detector=detector.calibrated(validation, keep=0.9),
        passed_on=expert_columns(network),
    )


@torch.no_grad()
def diagnosis(
    network: MixtureOfExperts, classifier: CalibratedClassifier, record: Mapping[str, Any], device: torch.device
) -> Outputs:
    """Read, encode and diagnose a patient as inferring does."""
    batch = collate_bags([network_input(IMAGE_SIZE, ("image", "attributes", "id"))(record)])
    inputs, _, _, options = PrepareBags(attributes=["attributes"])(batch, device)
    return classifier(on_host(BagOutputsInferer()(inputs, NamedOutputs(network), **options)))


@torch.no_grad()
def diagnosis_image_by_image(
    network: MixtureOfExperts, classifier: CalibratedClassifier, record: Mapping[str, Any], device: torch.device
) -> Outputs:
    """The same as a simple script does it: each image is read and encoded before the next, in a batch of one."""
    transform = network_input(IMAGE_SIZE, ("image", "attributes"), threads=1)
    images, embeddings = [], []
    for path in record["image"]:
        item = transform({**record, "image": [path]})
        images.append(item["image"].to(device))
        embeddings.append(network.cell_embeddings(images[-1]))
    lengths = torch.tensor([len(images)], device=device)
    attributes = item["attributes"][None].to(device)
    pooled = network.image_expert.pooling(torch.cat(embeddings), lengths)
    known = Encoded(network.from_pooled(pooled, network.attribute_expert.standardisation(attributes)))
    options = {"lengths": lengths, "attributes": attributes}
    return classifier(on_host(BagOutputsInferer()(torch.cat(images), known, **options)))


class Encoded(torch.nn.Module):
    """Stands for a network whose outputs are known already."""

    def __init__(self, outputs: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, *_: Any, **__: Any) -> Mapping[str, torch.Tensor]:
        """Return them."""
        return self.outputs


def on_host(outputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return outputs in the processor's memory, as the collector keeps them."""
    return {name: rows.float().cpu() for name, rows in outputs.items()}


def milliseconds(function: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - start)


def microseconds_for_each(function: Callable[[], object], images: int) -> float:
    """Return how long a call takes for each of so many images."""
    return 1000 * milliseconds(function) / images
