"""Weights trained elsewhere as the start of a training: DenseNet state dicts in their usual key forms."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shared.data.errors import DataError

__all__ = ["PretrainedWeights", "load_pretrained", "monai_keys", "read_state_dict"]

logger = logging.getLogger("pretrained")

FIRST_CONVOLUTION = "features.conv0.weight"
#: where checkpoints of other programs keep the state dict
CONTAINERS = ("state_dict", "model_state_dict", "model", "network", "net")
#: names of the last layer, of torchvision, of checkpoints that end in a sigmoid, of MONAI, and of this bundle
CLASSIFIERS = re.compile(r"^(?:classifier(?:\.0)?|class_layers\.out|head\.out|fc)\.(weight|bias)$")
#: operating points of a classifier, which torchxrayvision keeps among its weights
NOT_WEIGHTS = ("op_threshs",)
DENSE_LAYER = re.compile(r"^(features\.denseblock\d+\.denselayer\d+)\.(?:layers\.)?(norm|conv)\.?([12])\.(.+)$")
KEYS_NAMED = 8


@dataclass(frozen=True)
class PretrainedWeights:
    """What was taken from a weight file.

    Attributes:
        source: path or URL.
        loaded: number of tensors taken.
        left_out: keys of the network that keep their random values: the classifier, where the file has another one
            or none.
        channels: input channels of the file that were summed to the network's; 0 if none were.
    """

    source: str
    loaded: int
    left_out: tuple[str, ...]
    channels: int

    def __str__(self) -> str:
        parts = [f"{self.source}: {self.loaded} tensors loaded"]
        if self.channels:
            parts.append(f"the first convolution's {self.channels} input channels were summed")
        if self.left_out:
            parts.append(f"no classifier of these findings in it: {', '.join(self.left_out)} begin at random")
        return "; ".join(parts)


def load_pretrained(network: nn.Module, source: str | os.PathLike[str] | None) -> PretrainedWeights | None:
    """Start a network from a weight file, and log what was taken.

    Known are the key forms of torchvision's DenseNet (``features.denseblock1.denselayer1.norm1.weight``), its old form
    (``norm.1``), MONAI's (``layers.norm1``) and this bundle's; with any prefix (``module.``, ``model.``,
    ``module.densenet121.``) and within a checkpoint (``{"state_dict": …}``). A first convolution of three channels is
    summed over them, since a grey image in three channels gives just that; another scale and offset of the grey values
    is taken up by the batch normalisation behind it as training goes on. A classifier of another shape, or none, is
    left out.

    Args:
        network: a :class:`scripts.networks.ChestNetwork`, on any device.
        source: local path or ``http(s)`` URL; ``None`` leaves the random weights.

    Returns:
        What was taken; ``None`` without a source.

    Raises:
        DataError: if the file cannot be had or read, or its keys or shapes are not those of the network; the message
            lists them.
    """
    if source is None:
        return None
    state = monai_keys(read_state_dict(source), source)
    expected = network.state_dict()
    channels = _sum_channels(state, expected)
    shapes = {
        key: f"{key} {tuple(tensor.shape)}, expected {tuple(expected[key].shape)}"
        for key, tensor in state.items()
        if key in expected and tensor.shape != expected[key].shape
    }
    classifier = tuple(key for key in expected if CLASSIFIERS.match(key))
    fits = all(key in state and key not in shapes for key in classifier)
    left_out = () if fits else classifier
    # files older than torch 0.4.1 do not count batches
    missing = [key for key in expected if key not in state and not key.endswith("num_batches_tracked")]
    problems = {
        "missing": [key for key in missing if key not in left_out],
        "unexpected": [key for key in state if key not in expected],
        "of another shape": [text for key, text in shapes.items() if key not in left_out],
    }
    if found := [f"{len(keys)} {what}: {_listed(keys)}" for what, keys in problems.items() if keys]:
        raise DataError(
            f"{source}: these weights do not fit {type(network).__name__}; {'; '.join(found)}. Expected a DenseNet of "
            "init_features, growth_rate and block_config as in the config (DenseNet121 by default)"
        )
    taken = {key: tensor for key, tensor in state.items() if key not in left_out}
    network.load_state_dict(taken, strict=False)
    report = PretrainedWeights(str(source), len(taken), left_out, channels)
    logger.info(str(report))
    return report


def read_state_dict(source: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """Read a state dict of tensors from a path or URL, out of its checkpoint if it is in one.

    Nothing in the file is run (``weights_only=True``). A URL is fetched once and kept in torch's cache.

    Raises:
        DataError: if it cannot be had, is no file of tensors or holds no state dict.
    """
    name = str(source)
    try:
        if name.startswith(("http://", "https://")):
            content = torch.hub.load_state_dict_from_url(name, map_location="cpu", progress=False, weights_only=True)
        elif Path(name).is_file():
            content = torch.load(name, map_location="cpu", weights_only=True)
        else:
            raise DataError(f"{name}: no such file; set pretrained to a file or URL of DenseNet weights, or to null")
    except DataError:
        raise
    except Exception as error:  # the network, the file system and torch.load raise many types
        raise DataError(
            f"{name}: not to be had or not readable as a state dict of tensors ({error}); a whole model that was "
            "pickled is not read, for it could run code: save its state_dict() and give that"
        ) from error
    for _ in range(2):  # a checkpoint may hold a model that holds a state dict
        inner = next((content[key] for key in CONTAINERS if _holds_mapping(content, key)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping) or not any(isinstance(value, torch.Tensor) for value in content.values()):
        found = f"an object with the keys {_listed(list(content))}" if isinstance(content, Mapping) else type(content)
        raise DataError(f"{name}: found {found}, expected a state dict, or one under {' or '.join(CONTAINERS)}")
    return {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}


def monai_keys(
    state: Mapping[str, torch.Tensor], source: str | os.PathLike[str] = "weights"
) -> dict[str, torch.Tensor]:
    """Return a state dict under this bundle's keys, which are MONAI's but for the last layer, ``head.out``.

    Args:
        state: in one of the forms that :func:`load_pretrained` names.
        source: what messages call it.

    Raises:
        DataError: if there is no first convolution of a DenseNet, by which a prefix is known.
    """
    first = [key for key in state if key == FIRST_CONVOLUTION or key.endswith(f".{FIRST_CONVOLUTION}")]
    if len(first) != 1:
        raise DataError(
            f"{source}: found {len(first)} keys that end in {FIRST_CONVOLUTION} among {len(state)}: "
            f"{_listed(list(state))}; expected the state dict of one DenseNet"
        )
    prefix = first[0].removesuffix(FIRST_CONVOLUTION)
    renamed: dict[str, torch.Tensor] = {}
    for key, tensor in state.items():
        name = key.removeprefix(prefix)
        if name in NOT_WEIGHTS:
            continue
        if layer := DENSE_LAYER.match(name):
            name = f"{layer[1]}.layers.{layer[2]}{layer[3]}.{layer[4]}"
        elif last := CLASSIFIERS.match(name):
            name = f"head.out.{last[1]}"
        renamed[name] = tensor
    return renamed


def _sum_channels(state: dict[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> int:
    """Sum the first convolution over its input channels if the network has one; return how many there were, or 0."""
    wanted, found = expected[FIRST_CONVOLUTION], state[FIRST_CONVOLUTION]
    if wanted.shape[1] != 1 or found.ndim != 4 or found.shape[1] == 1:
        return 0
    state[FIRST_CONVOLUTION] = found.sum(dim=1, keepdim=True)
    return found.shape[1]


def _holds_mapping(content: Any, key: str) -> bool:
    return isinstance(content, Mapping) and isinstance(content.get(key), Mapping)


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - KEYS_NAMED} more" if len(keys) > KEYS_NAMED else ""
    return ", ".join(map(str, keys[:KEYS_NAMED])) + more
