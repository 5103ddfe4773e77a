"""Classifiers of bags: what is computed of each instance, and how a bag is judged from that.

``forward(instances, lengths=None, mask=None)`` maps B bags to one logit of "tumour" each, ``(B, 1)``. Instances are
features, or images if the encoder takes images; ragged ``(T, …)`` with ``lengths`` ``(B,)``, or padded ``(B, N, …)``
with a ``mask`` ``(B, N)``, or without one where all bags have N instances.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from scripts.bag_context import OWN_WEIGHT, BagContext
from scripts.feature_kind import FeatureKind
from scripts.standardisation import FeatureStandardisation
from shared.data.errors import DataError
from shared.data.number_range import POSITIVE
from shared.mil.levels import EmbeddingLevel, InstanceLevel
from shared.mil.pooling.attention import AttentionPooling
from shared.mil.pooling.attention_maximum import AttentionMaximumPooling
from shared.mil.pooling.base import Pooling, scatter_to_padded
from shared.mil.pooling.gated_attention import GatedAttentionPooling
from shared.mil.pooling.maximum import MaxPooling
from shared.mil.pooling.mean import MeanPooling
from shared.mil.ragged import from_padded, segment_mean
from shared.training.settings_record import SettingsRecord

__all__ = ["EMBEDDING_LEVEL", "INSTANCE_LEVEL", "BagClassifier", "assemble", "feature_encoder"]

#: operators that pool embeddings, before the head. Of ``embedding`` and ``hidden`` each is given what it takes.
EMBEDDING_LEVEL: dict[str, Callable[..., Pooling]] = {
    "attention": AttentionPooling,
    "gated_attention": GatedAttentionPooling,
    "attention_maximum": AttentionMaximumPooling,
    "mean_embedding": MeanPooling,
    "max_embedding": MaxPooling,
}
#: operators that pool the logits of instances, behind the head
INSTANCE_LEVEL: dict[str, Callable[..., Pooling]] = {
    "mean_instance": MeanPooling,
    "max_instance": MaxPooling,
}


class BagClassifier(nn.Module):
    """``logit = level({encoder(x_i)})``: attention-based multiple-instance learning (Ilse et al. 2018) and its rivals.

    Args:
        encoder: maps instances ``(T, …)`` to embeddings ``(T, D)``, each by itself; None pools the features themselves.
        level: pools embeddings and classifies, or classifies and pools.
        settings: what the network was built with, kept among its weights; see
            :class:`~shared.training.settings_record.SettingsRecord`.
        features: number of features that an instance has, None for images; see
            :class:`~scripts.feature_kind.FeatureKind`.
        context: describes instances relative to their bag, before the encoder; None to take them as they are.
    """

    def __init__(
        self,
        encoder: nn.Module | None,
        level: EmbeddingLevel | InstanceLevel,
        settings: Mapping[str, Any] | None = None,
        features: int | None = None,
        context: BagContext | None = None,
    ) -> None:
        super().__init__()
        self.context = context
        self.encoder = encoder
        self.level = level
        self.settings = SettingsRecord(settings or {}, {"slide_context": False})
        self.feature_kind = FeatureKind(features)

    def forward(
        self, instances: torch.Tensor, lengths: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the logits ``(B, 1)``.

        Raises:
            ValueError: if a bag is empty, or shapes, lengths and mask do not fit together.
        """
        if lengths is None:
            flat, sizes = from_padded(instances, mask)
            return self.level(self.embed(self.described(flat, sizes)), sizes, None)
        return self.level(self.embed(self.described(instances, lengths)), lengths, mask)

    def described(self, instances: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return instances ``(T, …)`` of whole bags as :meth:`embed` takes them: with their context, if any."""
        return instances if self.context is None else self.context(instances, lengths)

    def embed(self, instances: torch.Tensor) -> torch.Tensor:
        """Return the embeddings ``(T, D)`` of instances ``(T, …)``, as :meth:`described` gives them."""
        return instances if self.encoder is None else self.encoder(instances)

    def instance_weights(
        self, instances: torch.Tensor, lengths: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the weight of each instance in its bag, ``(T,)``, or ``(B, N)`` with 0 where there is no instance.

        Raises:
            TypeError: if the network does not weigh its instances.
        """
        if not isinstance(self.level, EmbeddingLevel):
            raise TypeError("a network that classifies each instance has no weight for each instance; use attention")
        if lengths is not None:
            return self.level.instance_weights(self.embed(self.described(instances, lengths)), lengths, mask)
        flat, sizes = from_padded(instances, mask)
        weights = self.level.instance_weights(self.embed(self.described(flat, sizes)), sizes)
        return scatter_to_padded(weights, instances, mask, 0.0)

    def instance_logits(
        self, instances: torch.Tensor, lengths: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the logits of the instances, ``(T, 1)``, or ``(B, N, 1)`` with NaN where there is no instance.

        Raises:
            TypeError: if the network pools embeddings, so that an instance has no logit.
        """
        if not isinstance(self.level, InstanceLevel):
            raise TypeError("a network that pools embeddings gives no logit to an instance; use mean_instance or so")
        if lengths is not None:
            return self.level.instance_logits(self.embed(self.described(instances, lengths)), lengths, mask)
        flat, sizes = from_padded(instances, mask)
        logits = self.level.instance_logits(self.embed(self.described(flat, sizes)), sizes)
        return scatter_to_padded(logits, instances, mask, float("nan"))

    def outputs(self, instances: torch.Tensor, lengths: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return everything by name, of a ragged batch ``(T, …)`` and ``(B,)``, from one pass.

        Returns:
            ``logits`` ``(B, 1)``, and ``embedding`` ``(B, D)``: the pooled one, or, where logits are pooled, the mean
            of the bag's embeddings.
        """
        embeddings = self.embed(self.described(instances, lengths))
        if isinstance(self.level, EmbeddingLevel):
            pooled = self.level.pooling(embeddings, lengths)
            return {"logits": self.level.head(pooled), "embedding": pooled}
        return {"logits": self.level(embeddings, lengths), "embedding": segment_mean(embeddings, lengths)}

    @torch.jit.unused
    def standardisation(self) -> FeatureStandardisation | None:
        """Return the standardisation of the features, if the network has one."""
        found = [module for module in self.modules() if isinstance(module, FeatureStandardisation)]
        return found[0] if found else None


def assemble(
    name: str,
    in_features: int | None = 128,
    embedding: int | None = 128,
    attention_dimension: int = 128,
    dropout: float = 0.25,
    standardise: bool = False,
    encoder: nn.Module | None = None,
    options: Mapping[str, Any] | None = None,
    slide_context: bool = False,
    own_weight: float = OWN_WEIGHT,
) -> BagClassifier:
    """Return the network of a name.

    Args:
        name: a key of :data:`EMBEDDING_LEVEL` or :data:`INSTANCE_LEVEL`.
        in_features: features of an instance, E; of no meaning with an ``encoder``.
        embedding: dimensions D that a linear layer and a rectifier map the features to; None pools the features
            themselves.
        attention_dimension: of the attention's hidden layer.
        dropout: probability by which an embedding's dimensions are dropped in training.
        standardise: whether the features are standardised by mean and spread of the training tiles first.
        encoder: in place of the linear layer, for instance of images (:mod:`scripts.encoders`); with an attribute
            ``embedding_size``.
        options: further arguments of the pooling operator.
        slide_context: whether each tile is described relative to its slide, too, see
            :class:`~scripts.bag_context.BagContext`.
        own_weight: of a tile's own features beside the context; of no meaning without one.

    Raises:
        DataError: if there is no network of that name, its operator does not take these options, ``standardise`` or
            ``slide_context`` is neither true nor false, a context is asked for of images, or ``own_weight`` is no
            number above 0.
    """
    operators = {**EMBEDDING_LEVEL, **INSTANCE_LEVEL}
    if name not in operators:
        raise DataError(f"network_name: scripts.networks has no {name!r}; known: {', '.join(operators)}")
    for key, switch in (("standardise", standardise), ("slide_context", slide_context)):
        if not isinstance(switch, bool):
            # on a command line "false" is a text, which counts as true
            raise DataError(f"{key}: found {switch!r}, expected --{key} True or --{key} False")
    POSITIVE.check("own_weight", own_weight)
    context: BagContext | None = None
    if encoder is not None:
        if slide_context:
            raise DataError("slide_context: found true with an encoder of images, expected a network of features")
        in_features, size = None, _size(encoder)
    elif in_features is None:
        raise DataError("in_features: found null without an encoder of images, expected the number of features")
    else:
        context = BagContext(in_features, own_weight, standardise) if slide_context else None
        described = in_features if context is None else 2 * in_features
        encoder = feature_encoder(described, embedding, dropout, standardise and context is None)
        size = described if embedding is None else embedding
    settings = {
        "network_name": name,
        "in_features": in_features,
        "embedding": size,
        "attention_dimension": attention_dimension,
        "standardise": standardise,
        "slide_context": slide_context,
        "pooling_options": dict(options or {}),
        **({} if context is None else {"own_weight": context.own_weight}),
    }
    pooling = _pooling(name, operators[name], size, attention_dimension, dict(options or {}))
    head = nn.Linear(size, 1)
    level = EmbeddingLevel(pooling, head) if name in EMBEDDING_LEVEL else InstanceLevel(head, pooling)
    return BagClassifier(encoder, level, settings, in_features, context)


def feature_encoder(
    in_features: int, embedding: int | None, dropout: float = 0.0, standardise: bool = False
) -> nn.Sequential | None:
    """Return what maps features ``(T, E)`` to embeddings ``(T, D)``: ``dropout(ReLU(W x + b))``; None if nothing does.

    Args:
        in_features: E.
        embedding: D; None for the features themselves.
        dropout: probability.
        standardise: whether the features are standardised first.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if standardise:
        layers["standardisation"] = FeatureStandardisation(in_features)
    if embedding is not None:
        layers["linear"] = nn.Linear(in_features, embedding)
        layers["relu"] = nn.ReLU()
        layers["dropout"] = nn.Dropout(dropout)
    return nn.Sequential(layers) if layers else None


def _size(encoder: nn.Module) -> int:
    size = getattr(encoder, "embedding_size", None)
    if not isinstance(size, int):
        raise DataError(
            f"encoder: {type(encoder).__name__} has no attribute embedding_size, expected the dimensions that it gives"
        )
    return size


def _pooling(
    name: str, operator: Callable[..., Pooling], embedding: int, hidden: int, options: Mapping[str, Any]
) -> Pooling:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    signature = inspect.signature(operator).parameters.values()
    taken = {parameter.name for parameter in signature if parameter.kind not in variadic}
    arguments = {key: value for key, value in (("embedding", embedding), ("hidden", hidden)) if key in taken}
    if unknown := sorted(options.keys() - taken):
        known = ", ".join(sorted(taken - {"embedding"})) or "none"
        raise DataError(f"pooling_options: {name} has no option {', '.join(unknown)}; its options: {known}")
    try:
        return operator(**{**arguments, **options})
    except (TypeError, ValueError) as error:
        raise DataError(f"pooling_options: {name} cannot be made with {dict(options)}: {error}") from error
