"""Several trained networks as one: the mean of their calibrated probabilities."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import nn
from torch.nn import functional as F

from scripts.named_outputs import NamedOutputs
from shared.data.errors import DataError
from shared.data.files import read_json

__all__ = ["MANIFEST", "FoldEnsemble", "read_ensemble", "refuse_ensemble"]

MANIFEST = "ensemble.json"


class FoldEnsemble(nn.Module):
    """Networks of one kind, each trained and calibrated on other patients.

    ``P(tumoral) = 1/M Σ_m σ(z_m / T_m)`` for the members' logits z and temperatures T. Its logit is computed in log
    space, ``log P(tumoral) − log P(reactive)``. The temperatures are a buffer, so that the weights' file says by itself
    what it needs; the ensemble itself has the temperature 1.

    Arguments and shapes are those of :mod:`scripts.networks`.

    Args:
        members: the networks.
        temperatures: of each of them.
        image_size: height and width of the images in pixels.

    Raises:
        ValueError: if there is no member, or not one temperature for each.
    """

    def __init__(self, members: Sequence[nn.Module], temperatures: Sequence[float], image_size: int) -> None:
        super().__init__()
        if not members or len(members) != len(temperatures):
            raise ValueError(f"expected one temperature for each member, found {len(members)}, {len(temperatures)}")
        self.members = nn.ModuleList(members)
        self.image_size = image_size
        self.temperatures: torch.Tensor
        self.register_buffer("temperatures", torch.tensor(temperatures, dtype=torch.float32))

    def forward(
        self,
        image: torch.Tensor,
        lengths: torch.Tensor | None = None,
        attributes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the logits ``(B, 1)`` of the mean probability."""
        return self.outputs(image, lengths, attributes)["logits"]

    def outputs(
        self,
        image: torch.Tensor,
        lengths: torch.Tensor | None = None,
        attributes: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return everything by name.

        Returns:
            ``logits`` ``(B, 1)``; ``embedding`` ``(B, Σ E)``, those of the members side by side; of networks with two
            experts ``expert_logits`` ``(B, 2)``, those of the experts' mean probabilities, which are not calibrated,
            and ``gate`` ``(B,)``, the mean.
        """
        parts = [NamedOutputs(member)(image, lengths, attributes) for member in self.members]
        logits = torch.stack([part["logits"] for part in parts])  # (M, B, 1)
        result = {
            "logits": mean_probability_logit(logits / self.temperatures[:, None, None]),
            "embedding": torch.cat([part["embedding"] for part in parts], dim=1),
        }
        if "expert_logits" in parts[0]:
            result["expert_logits"] = mean_probability_logit(torch.stack([part["expert_logits"] for part in parts]))
            result["gate"] = torch.stack([part["gate"] for part in parts]).mean(dim=0)
        return result


def mean_probability_logit(logits: torch.Tensor) -> torch.Tensor:
    """Return the logit of the mean of ``σ(z)`` over the first dimension, without rounding to 0 or 1 on the way.

    Example:
        >>> probabilities = torch.tensor([0.2, 0.6])
        >>> mean_probability_logit(probabilities.logit()).sigmoid()
        tensor(0.4000)
    """
    return torch.logsumexp(F.logsigmoid(logits), dim=0) - torch.logsumexp(F.logsigmoid(-logits), dim=0)


def refuse_ensemble(network: nn.Module) -> None:
    """Refuse an ensemble where cells are looked at one by one, which only a network of its own can be asked about.

    Raises:
        DataError: if the network is one.
    """
    if isinstance(network, FoldEnsemble):
        raise DataError(
            f"found an ensemble of {len(network.members)} networks, expected one network: `explaining` and `repeating` "
            "ask one at a time about its cells. Leave ensemble.json out of --config_file; the folder 'member' in the "
            "ensemble's holds one of its networks: add its network.json to --config_file and give it as --ckpt_dir"
        )


def read_ensemble(folder: str | os.PathLike[str], config_file: str | os.PathLike[str]) -> FoldEnsemble:
    """Build an ensemble as its manifest says; its weights are loaded by whoever uses it.

    Args:
        folder: with ``ensemble.json``: ``members``, each with a ``temperature``, and ``overrides``, keys of the config
            that the members were made with.
        config_file: the bundle's ``inference.json``, whose ``network_def`` a member is.

    Raises:
        DataError: if there is no manifest, or something is missing in it.
    """
    file = Path(folder) / MANIFEST
    if not file.is_file():
        raise DataError(
            f"{file}: no such ensemble; `python scripts/reproduce.py lymphocytosis_moe --data DIR` makes one, and "
            "--ckpt_dir says where it is"
        )
    manifest = read_json(file)
    try:
        overrides, members = manifest["overrides"], manifest["members"]
        temperatures = [float(member["temperature"]) for member in members]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file}: is no manifest of an ensemble ({error!r}); make the ensemble anew") from error
    networks: list[nn.Module] = []
    image_size = 0
    for _ in members:
        # parsed anew each time: a parser gives the same object twice
        parser = member_config(config_file, overrides)
        networks.append(parser.get_parsed_content("network_def"))
        image_size = parser.get_parsed_content("image_size")
    return FoldEnsemble(networks, temperatures, image_size)


def member_config(config_file: str | os.PathLike[str], overrides: dict[str, Any]) -> ConfigParser:
    """Return the config of a member."""
    parser = ConfigParser(ConfigParser.load_config_file(str(config_file)))
    parser.update(overrides)
    return parser
