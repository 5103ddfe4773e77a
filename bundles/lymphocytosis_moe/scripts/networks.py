"""The experts on images and on attributes, their average and their mixture, all with the same interface.

Every network maps the images of B patients, and their attributes, to one logit of "tumoral" each:
``forward(image, lengths=None, attributes=None) -> (B, 1)``.

- ``image``: RGB images, ``uint8`` or floats in [0, 1]; ragged ``(T, 3, H, W)`` with ``lengths`` ``(B,)``, or dense
  ``(B, N, 3, H, W)`` without, for patients with N images each.
- ``attributes``: age in years and lymphocyte count in 10⁹/L, ``(B, 2)``; ``None`` stands for the means of the training
  patients. They are standardised by buffers of the network, as the images are centred by one.

``outputs`` of the same arguments returns by name what the logit was made of. The equations are those of Sahasrabudhe
et al. 2020 (hal-03032875).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from scripts.attributes import ATTRIBUTES
from scripts.experts import AttributePerceptron, ImageClassifier
from scripts.linear import FullPrecisionLinear
from scripts.settings_record import refuse_another_network
from shared.data.errors import DataError

__all__ = ["AttributePerceptron", "AveragedClassifier", "ImageClassifier", "MixtureOfExperts", "TwoExperts", "assemble"]


class TwoExperts(nn.Module):
    """What the average and the mixture have in common: both experts, evaluated once.

    Args:
        image_expert: the expert on images.
        attribute_expert: the expert on attributes.
    """

    def __init__(self, image_expert: ImageClassifier, attribute_expert: AttributePerceptron) -> None:
        super().__init__()
        self.image_expert = image_expert
        self.attribute_expert = attribute_expert
        self.register_load_state_dict_pre_hook(refuse_another_network)

    def forward(
        self,
        image: torch.Tensor,
        lengths: torch.Tensor | None = None,
        attributes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the logits ``(B, 1)`` of the average or mixture."""
        return self.outputs(image, lengths, attributes)["logits"]

    def outputs(
        self,
        image: torch.Tensor,
        lengths: torch.Tensor | None = None,
        attributes: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return everything by name.

        Returns:
            ``logits`` ``(B, 1)``; ``expert_logits`` ``(B, 2)`` of the expert on images and of the one on attributes;
            ``gate`` ``(B,)``, the weight of the expert on images; ``embedding`` ``(B, E)``, pooled over the images.
        """
        standardised = self.attribute_expert.standardised(image, lengths, attributes)  # (B, 2)
        return self.from_pooled(self.image_expert.bag_embeddings(image, lengths), standardised)

    def from_pooled(self, pooled: torch.Tensor, standardised: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what :meth:`outputs` does, of bags that are encoded and pooled already.

        Args:
            pooled: pooled embeddings ``(B, E)``.
            standardised: standardised attributes ``(B, 2)``.
        """
        experts = torch.cat(
            [self.image_expert.head(pooled), self.attribute_expert.attribute_logits(standardised)], dim=1
        )  # (B, 2)
        gate_logit = self.gate_logit(pooled, standardised)  # (B,)
        return {
            "logits": self.combine(experts, gate_logit)[:, None],
            "expert_logits": experts,
            "gate": torch.sigmoid(gate_logit),
            "embedding": pooled,
        }

    def gate_logit(self, pooled: torch.Tensor, standardised: torch.Tensor) -> torch.Tensor:
        """Return the logit of the image expert's weight, ``(B,)``, of pooled embeddings and standardised attributes."""
        raise NotImplementedError

    def combine(self, experts: torch.Tensor, gate_logit: torch.Tensor) -> torch.Tensor:
        """Return the common logit ``(B,)`` of the experts' logits ``(B, 2)`` and the gate's ``(B,)``."""
        raise NotImplementedError

    def cell_embeddings(self, image: torch.Tensor) -> torch.Tensor:
        """Return the embeddings ``(T, E)`` of images ``(T, 3, H, W)``."""
        return self.image_expert.cell_embeddings(image)

    def expert_logits(
        self, image: torch.Tensor, lengths: torch.Tensor | None = None, attributes: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the logits ``(B, 2)`` of the expert on images and of the one on attributes."""
        return self.outputs(image, lengths, attributes)["expert_logits"]

    def gate(
        self, image: torch.Tensor, lengths: torch.Tensor | None = None, attributes: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the weight of the expert on images, ``(B,)`` in [0, 1]."""
        return self.outputs(image, lengths, attributes)["gate"]

    def instance_weights(self, image: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Return the weights of the images in their bags; see :meth:`ImageClassifier.instance_weights`."""
        return self.image_expert.instance_weights(image, lengths)


class AveragedClassifier(TwoExperts):
    """The mean of both experts' logits (AVG, equation 14). The experts are trained each by its own loss."""

    def gate_logit(self, pooled: torch.Tensor, standardised: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Return zeros ``(B,)``: both experts weigh the same."""
        return torch.zeros_like(standardised[:, 0])

    def combine(self, experts: torch.Tensor, gate_logit: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Return ``(logit_CNN + logit_MLP) / 2``, ``(B,)``."""
        return experts.mean(dim=1)


class MixtureOfExperts(TwoExperts):
    """A gate chooses for every patient how much to believe each expert (MOE, equations 15 to 18).

    - ``π_CNN = σ(θ_G · [θ_A · p, a, c] + b)``, ``π_MLP = 1 − π_CNN`` on standardised attributes a and c (the paper
      writes no bias b; without one the gate could not prefer an expert for the average patient),
    - ``P(tumoral) = π_CNN σ(logit_CNN) + π_MLP σ(logit_MLP)``.

    The logit of that probability is computed in log space, ``log P(tumoral) − log P(reactive)``, each term by
    log-add-exp of the logarithms of gate and experts, so that it stays finite where the probabilities round to 0 or 1.
    Binary cross-entropy of this logit is the mixture's negative log-likelihood (equation 18).

    Args:
        image_expert: the expert on images.
        attribute_expert: the expert on attributes.
    """

    def __init__(self, image_expert: ImageClassifier, attribute_expert: AttributePerceptron) -> None:
        super().__init__(image_expert, attribute_expert)
        self.gate_kernel = FullPrecisionLinear(image_expert.embedding_size, 1, bias=False)  # θ_A
        self.gate_head = FullPrecisionLinear(1 + len(ATTRIBUTES), 1)  # θ_G
        self.experts_frozen = False

    def gate_logit(self, pooled: torch.Tensor, standardised: torch.Tensor) -> torch.Tensor:
        """Return the logit of equation 15, ``(B,)``."""
        return self.gate_logit_of_kernel(self.gate_kernel(pooled), standardised)

    def gate_logit_of_kernel(self, kernel: torch.Tensor, standardised: torch.Tensor) -> torch.Tensor:
        """Return the logit of equation 15, ``(B,)``, of ``θ_A · p`` ``(B, 1)`` and standardised attributes."""
        return self.gate_head(torch.cat([kernel, standardised], dim=1))[:, 0]

    def combine(self, experts: torch.Tensor, gate_logit: torch.Tensor) -> torch.Tensor:
        """Return the logit of equation 17, ``(B,)``."""
        log_weights = torch.stack([F.logsigmoid(gate_logit), F.logsigmoid(-gate_logit)], dim=1)  # (B, 2)
        tumoral = torch.logsumexp(log_weights + F.logsigmoid(experts), dim=1)
        reactive = torch.logsumexp(log_weights + F.logsigmoid(-experts), dim=1)
        return tumoral - reactive

    @torch.jit.unused
    def freeze_experts(self) -> None:
        """Train the gate only (paradigm P2): neither weights nor running statistics of the experts change any more."""
        self.experts_frozen = True
        for expert in (self.image_expert, self.attribute_expert):
            expert.requires_grad_(False)
        self.train(self.training)

    @torch.jit.unused
    def train(self, mode: bool = True) -> MixtureOfExperts:
        """Set the mode; frozen experts stay in evaluation mode."""
        super().train(mode)
        if self.experts_frozen:
            self.image_expert.eval()
            self.attribute_expert.eval()
        return self


def assemble(name: str, image_expert: ImageClassifier, attribute_expert: AttributePerceptron) -> nn.Module:
    """Return the network of a name: one of the experts alone, or both together.

    Args:
        name: ``ImageClassifier``, ``AttributePerceptron``, ``AveragedClassifier`` or ``MixtureOfExperts``.
        image_expert: the expert on images.
        attribute_expert: the expert on attributes.

    Raises:
        DataError: if there is no network of that name.
    """
    if name == "ImageClassifier":
        return image_expert
    if name == "AttributePerceptron":
        return attribute_expert
    if name == "AveragedClassifier":
        return AveragedClassifier(image_expert, attribute_expert)
    if name == "MixtureOfExperts":
        return MixtureOfExperts(image_expert, attribute_expert)
    raise DataError(
        f"network_name: scripts.networks has no {name!r}; known: ImageClassifier, AttributePerceptron, "
        "AveragedClassifier, MixtureOfExperts"
    )
