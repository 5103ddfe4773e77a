"""What a network is given before it is trained: statistics of the training patients, and experts that exist already."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from scripts.attributes import AttributeStandardisation
from scripts.image_centring import ImageCentring
from scripts.input_statistics import InputStatistics
from scripts.networks import MixtureOfExperts
from shared.data.errors import DataError

__all__ = ["PARADIGMS", "initialise", "load_expert"]

PARADIGMS = ("P1", "P2", "P3")
EXPERTS = ("image_expert", "attribute_expert")


def initialise(
    network: nn.Module,
    statistics: InputStatistics,
    paradigm: str = "P1",
    image_expert_file: str | os.PathLike[str] | None = None,
    attribute_expert_file: str | os.PathLike[str] | None = None,
) -> None:
    """Make a network ready for training (Sahasrabudhe et al. 2020, end of section 2.3).

    - **P1**: the whole network is trained from random weights.
    - **P2**: both experts are taken from files, and only the gate is trained.
    - **P3**: both experts are taken from files, and the whole network is trained.

    The experts of P2 and P3 are what ``training`` wrote for ``network_name`` ``ImageClassifier`` and
    ``AttributePerceptron``, or both for ``AveragedClassifier``, which trains each of its experts by its own loss.

    Args:
        network: one of :mod:`scripts.networks`.
        statistics: of the training patients. Experts from files keep those that they were trained with.
        paradigm: ``P1``, ``P2`` or ``P3``; the last two are for a mixture of experts.
        image_expert_file: weights of the expert on images, or of a network that contains one.
        attribute_expert_file: weights of the expert on attributes, or of a network that contains one.

    Raises:
        DataError: if the paradigm is unknown or not for this network, its files are not given, or others than it needs
            are; if a file cannot be read or holds other weights.
    """
    for module in network.modules():
        if isinstance(module, ImageCentring):
            module.fit(statistics.mean_image)
        elif isinstance(module, AttributeStandardisation):
            module.fit(statistics.attributes)
    files = {"image_expert": image_expert_file, "attribute_expert": attribute_expert_file}
    given = [name for name in EXPERTS if files[name] is not None]
    if paradigm not in PARADIGMS:
        raise DataError(f"paradigm is {paradigm!r}, expected one of {', '.join(PARADIGMS)}")
    if paradigm == "P1":
        if given:
            raise DataError(f"{given[0]}_file is set, but paradigm P1 trains from random weights; choose P2 or P3")
        return
    if not isinstance(network, MixtureOfExperts):
        raise DataError(f"paradigm {paradigm} needs network_name MixtureOfExperts, found {type(network).__name__}")
    if len(given) < len(EXPERTS):
        raise DataError(
            f"paradigm {paradigm} needs image_expert_file and attribute_expert_file: train an AveragedClassifier "
            "first (--network_name AveragedClassifier --ckpt_dir DIR) and give DIR/model.pt for both"
        )
    for name in EXPERTS:
        load_expert(getattr(network, name), name, str(files[name]))
    if paradigm == "P2":
        network.freeze_experts()


def load_expert(expert: nn.Module, name: str, path: str | os.PathLike[str]) -> None:
    """Load an expert's weights from its own file, or from that of a network that contains it.

    Args:
        expert: receives the weights.
        name: its name in networks of two experts, ``image_expert`` or ``attribute_expert``.
        path: file with a state dict.

    Raises:
        DataError: if the file is missing, cannot be read, or holds weights of another shape.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file}: no such weights; train the expert first, or correct {name}_file")
    try:
        state: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
        prefix = f"{name}."
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        expert.load_state_dict(own or state)
    except DataError as error:  # the file's settings are not those of this expert
        raise DataError(f"{file}: {error}") from error
    except Exception as error:  # torch.load raises many types, depending on where the file is damaged
        raise DataError(
            f"{file}: not the weights of {type(expert).__name__}; were it trained with the same width, image_size and "
            f"pooling? {error}"
        ) from error
