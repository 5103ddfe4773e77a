"""FIMF Score-CAM: Score-CAM with its masks applied to the feature maps instead of the image."""

from __future__ import annotations

import torch
from torch import fx, nn

from shared.saliency.base import evaluation_mode
from shared.saliency.feature_maps import ClassActivationMap
from shared.saliency.score_cam import unit_range
from shared.saliency.targets import class_scores, resolve_target

__all__ = ["FIMFScoreCAM", "network_after"]


class FIMFScoreCAM(ClassActivationMap):
    """FIMF Score-CAM after Li, Zhang, Meng, Li and Luo, IET Image Processing 17(3), 761–772, 2023; not negative.

    Established from the paper's abstract: the weight of a feature map is calculated directly with a *feature template*;
    in contrast to Score-CAM only one pass through the convolutions is needed; and the feature map that makes the heat
    map *integrates various semantic features of the local space*. The full text was not at hand. Our reading, which may
    differ from the paper in detail:

    - the template of channel k is its feature map brought to [0, 1], ``T_k = (A_k - min) / (max - min)``;
    - its weight is the probability of the class when all feature maps are seen through it, ``w_k = f_c(A * T_k)`` with
      f the layers after the chosen one, which alone run once per channel;
    - its integrated feature map is what all F channels show where the template is, ``M_k = T_k * (1/F) sum_j A_j``;
    - the map is ``ReLU(sum_k w_k M_k)``, upsampled bilinearly.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``, traceable by ``torch.fx``.
        layer: name of the layer, through which all paths to the logits lead; None takes the last convolution with the
            rectifier that follows it.
        chunk_size: largest number of masked sets of feature maps in memory at once.

    Raises:
        ValueError: if there is no such layer, the network cannot be divided there or ``chunk_size`` is below 1.
    """

    def __init__(self, network: nn.Module, layer: str | None = None, chunk_size: int = 64) -> None:
        super().__init__(network, layer)
        if chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, found {chunk_size}")
        self.chunk_size = chunk_size
        self.remainder = network_after(network, self.layer)

    def _coarse_maps(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        features, logits = self.features_and_logits(images)  # (B, F, h, w)
        targets = resolve_target(logits, target)
        templates = unit_range(features)  # (B, F, h, w)
        channels = features.shape[1]
        scores = []
        for index in torch.arange(features.shape[0] * channels, device=images.device).split(self.chunk_size):
            image, channel = index // channels, index % channels
            seen = features[image] * templates[image, channel][:, None]  # (n, F, h, w)
            with torch.no_grad(), evaluation_mode(self.remainder):
                scores.append(class_scores(self.remainder(seen).softmax(dim=1), targets[image]))
        weights = torch.cat(scores).view(-1, channels)  # (B, F)
        fused = torch.einsum("bk,bkhw->bhw", weights, templates)
        return (fused * features.mean(dim=1)).relu()


def network_after(network: nn.Module, layer: str) -> fx.GraphModule:
    """Return the part of a network that follows a layer, sharing its parameters: features ``(B, F, h, w)`` to logits.

    Args:
        network: the whole network, of one input.
        layer: name of the layer as in ``network.named_modules()``.

    Raises:
        ValueError: if the network cannot be traced, the layer does not run exactly once, or the input also reaches the
            logits on another way than through the layer.
    """
    tracer = _LayerTracer(layer)
    try:
        with evaluation_mode(network):
            # a functional dropout records the mode of the network at the time of tracing
            part = fx.GraphModule(network, tracer.trace(network))
    except Exception as error:
        raise ValueError(
            f"torch.fx cannot trace {type(network).__name__}, so it cannot be divided after layer {layer!r}: {error}"
        ) from error
    graph = part.graph
    calls = [node for node in graph.nodes if node.op == "call_module" and node.target == layer]
    if len(calls) != 1:
        raise ValueError(f"layer {layer!r} must run once per forward pass, it runs {len(calls)} times")
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    with graph.inserting_before(inputs[0]):
        features = graph.placeholder("features")
    calls[0].replace_all_uses_with(features)
    graph.eliminate_dead_code()
    if any(node.users for node in inputs):
        raise ValueError(
            f"the input reaches the logits on a way around layer {layer!r}: choose a layer without a bypass"
        )
    for node in inputs:
        graph.erase_node(node)
    part.recompile()
    part.delete_all_unused_submodules()
    return part


class _LayerTracer(fx.Tracer):
    """Tracer that does not look into the chosen layer, even if it is a container."""

    def __init__(self, layer: str) -> None:
        super().__init__()
        self.layer = layer

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return name == self.layer or super().is_leaf_module(module, name)
