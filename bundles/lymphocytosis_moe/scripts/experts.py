"""The two experts: one on the images of a patient, one on the attributes. Each is a classifier by itself.

Arguments, shapes and the source of the equations are those of :mod:`scripts.networks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from scripts.attributes import ATTRIBUTES, AttributeStandardisation
from scripts.image_centring import CentredEncoder, ImageCentring
from scripts.linear import FullPrecisionLinear
from scripts.pooling import make_pooling, pooling_settings
from scripts.resnet import ResNetEncoder
from scripts.settings_record import SettingsRecord, refuse_another_network
from shared.mil.chunked_encoder import ChunkedEncoder
from shared.mil.ragged import at_least_single

__all__ = ["AttributePerceptron", "ImageClassifier"]

HIDDEN_UNITS = 2


class ImageClassifier(nn.Module):
    """The expert on images: instance encoder, pooling and a linear classifier (CNN, equations 4 to 9).

    ``h_ij = M(x_ij)``, ``p_i = pool_j h_ij``, ``logit_i = θ_C · p_i + β``. With attention pooling it is the model of
    Ilse et al. 2018 with this encoder.

    Args:
        width: K of the encoder, see :class:`~scripts.resnet.ResNetEncoder`.
        image_size: height and width of the images in pixels.
        pooling: name of an operator, see :func:`~scripts.pooling.make_pooling`.
        pooling_options: further arguments of that operator.
        global_pooling: whether the encoder averages over the positions instead of flattening.
        normalisation: ``batch`` or ``group``, see :class:`~scripts.resnet.ResNetEncoder`.
        chunk_size: images that are encoded at a time: it sets the memory, whatever the bags hold. What does not fit
            into one chunk is computed twice in training, see :class:`~shared.mil.chunked_encoder.ChunkedEncoder`.
        field_of_view: side of the central square that the encoder looks at, in pixels; None for the whole image.
    """

    __jit_unused_properties__: ClassVar = ["centring", "resnet"]

    def __init__(
        self,
        width: int = 32,
        image_size: int = 224,
        pooling: str = "mean",
        pooling_options: Mapping[str, Any] | None = None,
        global_pooling: bool = False,
        normalisation: str = "batch",
        chunk_size: int = 256,
        field_of_view: int | None = None,
    ) -> None:
        super().__init__()
        options = pooling_settings(pooling, pooling_options or {})
        resnet = ResNetEncoder(width, image_size, global_pooling, normalisation, field_of_view)
        self.embedding_size = resnet.embedding_size
        self.images_interact = normalisation == "batch"
        self.encoder = ChunkedEncoder(CentredEncoder(image_size, resnet), chunk_size)
        self.pooling = make_pooling(pooling, resnet.embedding_size, **options)
        self.head = FullPrecisionLinear(resnet.embedding_size, 1)
        self.settings = SettingsRecord(
            {
                "width": width,
                "image_size": image_size,
                "pooling": pooling,
                "pooling_options": options,
                "global_pooling": global_pooling,
                "normalisation": normalisation,
                "field_of_view": field_of_view,
            }
        )
        self.register_load_state_dict_pre_hook(refuse_another_network)

    @property
    def centring(self) -> ImageCentring:
        """The centring of the images, with their mean."""
        return self.encoder.encoder.centring  # type: ignore[return-value]

    @property
    def resnet(self) -> ResNetEncoder:
        """The encoder of centred images, without chunks."""
        return self.encoder.encoder.resnet  # type: ignore[return-value]

    def forward(
        self,
        image: torch.Tensor,
        lengths: torch.Tensor | None = None,
        attributes: torch.Tensor | None = None,  # noqa: ARG002 - one signature for all networks
    ) -> torch.Tensor:
        """Return the logits ``(B, 1)``; the attributes are not used."""
        return self.head(self.bag_embeddings(image, lengths))

    def outputs(
        self,
        image: torch.Tensor,
        lengths: torch.Tensor | None = None,
        attributes: torch.Tensor | None = None,  # noqa: ARG002
    ) -> dict[str, torch.Tensor]:
        """Return ``logits`` ``(B, 1)`` and ``embedding`` ``(B, E)``, the pooled one."""
        pooled = self.bag_embeddings(image, lengths)
        return {"logits": self.head(pooled), "embedding": pooled}

    def bag_embeddings(self, image: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Return the pooled embeddings p, ``(B, E)``, in single precision at least."""
        if lengths is not None:
            return self.pooling(self.cell_embeddings(image), lengths)
        embeddings = self.cell_embeddings(image.flatten(0, 1))  # (B · N, E)
        return self.pooling(embeddings.unflatten(0, (image.shape[0], image.shape[1])))

    def cell_embeddings(self, image: torch.Tensor) -> torch.Tensor:
        """Return the embeddings h ``(T, E)`` of images ``(T, 3, H, W)``, in single precision at least.

        Batch normalisation in training sees the images of a chunk. Chunks of neighbours would hold few patients, whose
        own stain it would take away in training but not afterwards: the images are dealt out to the chunks at random.
        """
        if self.training and self.images_interact and image.shape[0] > self.encoder.chunk_size:
            order = torch.randperm(image.shape[0]).to(image.device)
            return at_least_single(self.encoder(image[order]))[torch.argsort(order)]
        return at_least_single(self.encoder(image))

    def instance_weights(self, image: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Return the weights of the images in their bags, ``(T,)`` or ``(B, N)``.

        Raises:
            TypeError: if the pooling operator has no instance weights.
        """
        weights = getattr(self.pooling, "instance_weights", None)
        if weights is None:
            raise TypeError(f"{type(self.pooling).__name__} has no instance weights; use attention pooling")
        if lengths is not None:
            return weights(self.cell_embeddings(image), lengths)
        return weights(self.cell_embeddings(image.flatten(0, 1)).unflatten(0, image.shape[:2]))


class AttributePerceptron(nn.Module):
    """The expert on attributes: two hidden sigmoid units on standardised age and count (MLP, equations 11 and 12).

    Args:
        log_count: see :class:`~scripts.attributes.AttributeStandardisation`.
    """

    def __init__(self, log_count: bool = True) -> None:
        super().__init__()
        self.standardisation = AttributeStandardisation(log_count)
        self.settings = SettingsRecord({"log_count": log_count})
        self.register_load_state_dict_pre_hook(refuse_another_network)
        self.hidden = FullPrecisionLinear(len(ATTRIBUTES), HIDDEN_UNITS)
        self.head = FullPrecisionLinear(HIDDEN_UNITS, 1)

    def forward(
        self,
        image: torch.Tensor,
        lengths: torch.Tensor | None = None,
        attributes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the logits ``(B, 1)``; of the images only the number of bags is used."""
        return self.outputs(image, lengths, attributes)["logits"]

    def outputs(
        self,
        image: torch.Tensor,
        lengths: torch.Tensor | None = None,
        attributes: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return ``logits`` ``(B, 1)`` and ``embedding`` ``(B, 2)``, the hidden units."""
        hidden = torch.sigmoid(self.hidden(self.standardised(image, lengths, attributes)))
        return {"logits": self.head(hidden), "embedding": hidden}

    def attribute_logits(self, standardised: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, 1)`` of standardised attributes ``(B, 2)``."""
        return self.head(torch.sigmoid(self.hidden(standardised)))

    def standardised(
        self, image: torch.Tensor, lengths: torch.Tensor | None, attributes: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the standardised attributes ``(B, 2)``: zeros, the training means, where there are none."""
        if attributes is not None:
            return self.standardisation(attributes)
        bags = image.shape[0] if lengths is None else lengths.shape[0]
        centre = self.standardisation.centre
        return torch.zeros(bags, centre.shape[0], dtype=centre.dtype, device=centre.device)
