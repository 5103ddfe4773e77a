"""What the experts say of any subset of a patient's cells, each cell encoded once.

The encoder is nearly all of the work, and it sees every cell on its own. A question about subsets (another set of
images, fewer cells, a cell left out) therefore needs it once per cell; only pooling and the experts run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from scripts.ensemble import refuse_ensemble
from scripts.networks import AttributePerceptron, AveragedClassifier, ImageClassifier, TwoExperts
from shared.mil.pooling.attention import AttentionPooling

__all__ = ["PARTS", "TITLES", "BagExperts", "attention_weights", "embed_cells"]

#: What a network can say of a bag: each expert alone, and both together.
PARTS = ("image", "attributes", "average", "mixture")
TITLES = {
    "image": "expert on images",
    "attributes": "expert on attributes",
    "average": "average of both experts",
    "mixture": "mixture of experts",
}

CHUNK_ELEMENTS = 32_000_000


@torch.no_grad()
def embed_cells(network: ImageClassifier | TwoExperts, image: torch.Tensor, batch_size: int = 64) -> torch.Tensor:
    """Return the embeddings ``(N, E)`` of one patient's cells, in evaluation mode and without a graph.

    Args:
        network: with an expert on images.
        image: ``(N, 3, H, W)``, as the network takes them.
        batch_size: cells that are encoded at once.
    """
    network.eval()
    device = next(network.parameters()).device
    return torch.cat([network.cell_embeddings(part.to(device)) for part in image.split(batch_size)])


@torch.no_grad()
def attention_weights(expert: ImageClassifier, embeddings: torch.Tensor) -> NDArray[np.float64] | None:
    """Return how attention pooling weighs one patient's cells ``(N,)``; ``None`` for a pooling without attention.

    Args:
        expert: the expert on images.
        embeddings: of the cells, ``(N, E)``.
    """
    if not isinstance(expert.pooling, AttentionPooling):
        return None
    lengths = torch.tensor([len(embeddings)], device=embeddings.device)
    return expert.pooling.instance_weights(embeddings, lengths).double().cpu().numpy()


class BagExperts:
    """Logits of the experts and of their combination for bags that are given as embeddings.

    Args:
        network: any of the bundle's networks.

    Attributes:
        parts: those of ``PARTS`` that the network has, the whole network last.
        image_expert: the expert on images; ``None`` for a network without one.

    Raises:
        DataError: if it is an ensemble of them.
        TypeError: if it is anything else.
    """

    def __init__(self, network: nn.Module) -> None:
        refuse_ensemble(network)
        self.network = network
        self.image_expert: ImageClassifier | None = None
        if isinstance(network, ImageClassifier):
            self.image_expert, self.parts = network, ["image"]
        elif isinstance(network, AttributePerceptron):
            self.parts = ["attributes"]
        elif isinstance(network, TwoExperts):
            whole = "average" if isinstance(network, AveragedClassifier) else "mixture"
            self.image_expert, self.parts = network.image_expert, ["image", "attributes", whole]
        else:
            raise TypeError(f"{type(network).__name__} is none of the bundle's networks")

    @torch.no_grad()
    def __call__(self, pooled: torch.Tensor, attributes: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the logits of tumoral by part, and the gate, of pooled embeddings.

        Args:
            pooled: pooled embeddings ``(B, E)``.
            attributes: age in years and lymphocyte count in 10⁹/L, ``(B, 2)``, or ``(1, 2)`` for all bags.

        Returns:
            One ``(B,)`` for each of ``parts``; ``gate``, the weight of the expert on images, for a mixture.
        """
        network, attributes = self.network, attributes.to(pooled.device).expand(len(pooled), -1)
        if isinstance(network, ImageClassifier):
            return {"image": network.head(pooled)[:, 0]}
        if isinstance(network, AttributePerceptron):
            return {"attributes": network.attribute_logits(network.standardisation(attributes))[:, 0]}
        assert isinstance(network, TwoExperts)
        outputs = network.from_pooled(pooled, network.attribute_expert.standardisation(attributes))
        image, perceptron = outputs["expert_logits"].unbind(dim=1)
        named = {"image": image, "attributes": perceptron, self.parts[-1]: outputs["logits"][:, 0]}
        return named | ({"gate": outputs["gate"]} if self.parts[-1] == "mixture" else {})

    def of_subsets(
        self, embeddings: torch.Tensor, subsets: Sequence[NDArray[np.integer]], attributes: torch.Tensor
    ) -> dict[str, NDArray[np.float64]]:
        """Return the logits of subsets of one patient's cells.

        Args:
            embeddings: of all cells of the patient, ``(N, E)``.
            subsets: indices of the cells of each of S subsets, none of them empty.
            attributes: of the patient, ``(2,)``.

        Returns:
            As :meth:`__call__`, one ``(S,)`` each.
        """
        if self.image_expert is None:
            raise TypeError(f"{type(self.network).__name__} does not look at cells")
        parts = [self(pooled, attributes[None]) for pooled in _pooled(self.image_expert.pooling, embeddings, subsets)]
        return {name: torch.cat([part[name] for part in parts]).double().cpu().numpy() for name in parts[0]}


@torch.no_grad()
def _pooled(
    pooling: nn.Module, embeddings: torch.Tensor, subsets: Sequence[NDArray[np.integer]]
) -> Iterator[torch.Tensor]:
    """Pool subsets, as many at once as ``CHUNK_ELEMENTS`` elements hold; gives ``(s, E)`` each."""
    sizes = np.array([len(subset) for subset in subsets])
    # subsets of one chunk share the quotient of what was gathered before them
    chunk = np.cumsum(sizes * embeddings.shape[1]) // CHUNK_ELEMENTS
    for start, end in zip(*_runs(chunk), strict=True):
        index = torch.as_tensor(np.concatenate(subsets[start:end]), device=embeddings.device)
        lengths = torch.as_tensor(sizes[start:end], device=embeddings.device)
        yield pooling(embeddings[index], lengths)


def _runs(values: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where runs of equal values begin and end."""
    starts = np.flatnonzero(np.r_[True, np.diff(values) != 0])
    return starts, np.r_[starts[1:], len(values)]
