"""The form in which a network is exported: what a file of it takes and gives, and how it is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from shared.calibration.monte_carlo_dropout import MonteCarloDropout
from shared.export.monte_carlo_export import MonteCarloExport, PredictionAndSamples

__all__ = ["PREDICTION", "SAMPLES", "ExportForm", "TensorInput", "image_form"]

#: names of the outputs: the logits ``(B, K)``, and Monte Carlo samples of them ``(B, S, K)``
PREDICTION, SAMPLES = "pred", "pred_samples"


@dataclass(frozen=True)
class TensorInput:
    """One input of an exported network.

    Attributes:
        name: of the input.
        axes: for each axis its size, or the name of a size that may be anything from 1 on.
        values: what it holds: ``unit`` floats in [0, 1], ``normal`` ones around 0, ``positive`` ones above 0; ``mask``
            says of each instance of a bag whether it is there.
    """

    name: str
    axes: tuple[int | str, ...]
    values: Literal["unit", "normal", "positive", "mask"] = "unit"

    def draw(self, sizes: Mapping[str, int], generator: torch.Generator) -> torch.Tensor:
        """Return random values of the input, for given sizes of the named axes.

        Every row of a mask has at least one instance, at any place.
        """
        shape = [sizes[axis] if isinstance(axis, str) else axis for axis in self.axes]
        if self.values == "normal":
            return torch.randn(shape, generator=generator)
        uniform = torch.rand(shape, generator=generator)
        if self.values == "positive":
            return 1 + 80 * uniform
        if self.values == "mask":
            return (uniform > 0.4) | (uniform == uniform.amax(dim=1, keepdim=True))
        return uniform


@dataclass(frozen=True)
class ExportForm:
    """What is written to a file, and what it must agree with.

    Attributes:
        onnx: traced to ONNX: maps the inputs, by their places, to the outputs; no loop depends on data, no shape but
            those of the inputs.
        torchscript: scripted as it is; its ``forward`` gives logits.
        inputs: of ``onnx``.
        outputs: names of what ``onnx`` returns, :data:`PREDICTION` first.
        reference: the logits ``(B, K)`` of the same inputs as the bundle itself computes them.
    """

    onnx: nn.Module
    torchscript: nn.Module
    inputs: tuple[TensorInput, ...]
    outputs: tuple[str, ...]
    reference: Callable[..., torch.Tensor]

    def draw(self, sizes: Mapping[str, int], seed: int) -> tuple[torch.Tensor, ...]:
        """Return random inputs in their order."""
        generator = torch.Generator().manual_seed(seed)
        return tuple(given.draw(sizes, generator) for given in self.inputs)


def image_form(
    network: nn.Module,
    channels: int,
    size: int,
    samples: int = 1,
    seed: int = 0,
    values: Literal["unit", "normal"] = "unit",
) -> ExportForm:
    """Return the form of a network of single images: ``image`` ``(B, C, H, W)`` in, any B.

    Args:
        network: maps images to logits ``(B, K)``. Its weights may be loaded later.
        channels: C.
        size: H and W in pixels.
        samples: Monte Carlo samples that the bundle predicts with; above 1 they are a second output, ``pred_samples``
            ``(B, S, K)``, with the masks of the bundle's seed as constants, so that they are the bundle's own samples.
        seed: of the masks.
        values: what grey values are like.
    """
    inputs = (TensorInput("image", ("batch", channels, size, size), values),)
    if samples == 1:
        return ExportForm(network, network, inputs, (PREDICTION,), network)
    sampled = MonteCarloExport(network, MonteCarloDropout(network, samples, seed).masks())
    return ExportForm(PredictionAndSamples(sampled), sampled, inputs, (PREDICTION, SAMPLES), network)
