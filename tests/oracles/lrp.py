"""Layer-wise relevance propagation as the papers write it: one output after another, with the matrix of each layer.

It shares no code with the package and knows no layer types: the matrix of an affine function is found by probing it.
Relevance is handed back from the output to the input of one function at a time; what a network does with several of
them (sums of relevance where a tensor goes two ways, say) is for the caller to write down.
"""

import numpy as np
import torch


def matrix_and_bias(function, x):
    """``W`` and ``b`` with ``function(x) = W x + b`` for one image ``(C, H, W)`` or vector, by probing."""
    with torch.no_grad():
        bias = function(torch.zeros_like(x)[None])[0].flatten()
        units = torch.eye(x.numel(), dtype=x.dtype).view(-1, *x.shape)
        columns = torch.stack([function(unit[None])[0].flatten() for unit in units])
    return (columns - bias).T.numpy(), bias.numpy()


def affine_relevance(function, x, relevance, epsilon, gamma=None, relative=False):
    """Relevance of the input x of an affine function from that of its output.

    epsilon rule (Bach et al. 2015, equation 58); with gamma, what has the sign of the output counts 1 + gamma times;
    relative, epsilon counts in root mean squares of the outputs (Montavon et al. 2019, section 10.3: 0.25 std).
    """
    weights, bias = matrix_and_bias(function, x)
    inputs, outputs = x.flatten().numpy(), relevance.flatten().numpy()
    result = np.zeros_like(inputs)
    if relative:
        epsilon = epsilon * np.sqrt(np.mean((weights @ inputs + bias) ** 2))
    for k in range(len(bias)):
        terms = weights[k] * inputs
        constant = bias[k]
        sign = np.sign(terms.sum() + constant)
        if gamma is not None:
            terms = terms * (1 + gamma * (np.sign(terms) == sign))
            constant = constant * (1 + gamma * (np.sign(constant) == sign))
        denominator = terms.sum() + constant + epsilon * sign
        if denominator != 0:
            result += terms / denominator * outputs[k]
    return torch.from_numpy(result).view_as(x)


def maximum_relevance(pooled, x, relevance):
    """Relevance of the input of maximum pooling: each output's goes to the input that it is equal to."""
    values, outputs = x.flatten(), pooled.flatten()
    result = torch.zeros_like(values)
    for k, value in enumerate(outputs):
        if relevance.flatten()[k] == 0:
            continue
        (places,) = torch.where(values == value)
        assert len(places) == 1, "the oracle needs values that differ"
        result[places[0]] += relevance.flatten()[k]
    return result.view_as(x)


def sequence_relevance(functions, image, target, epsilon, gamma=None, relative=False):
    """Relevance of an image ``(C, H, W)`` for one logit of a sequence of ``(kind, function)``.

    Kinds: ``affine``, ``rectifier`` (hands relevance on), ``maximum``, ``shape`` (reshapes).
    """
    inputs = [image]
    with torch.no_grad():
        for _, function in functions:
            inputs.append(function(inputs[-1][None])[0])
    logits = inputs.pop()
    relevance = torch.zeros_like(logits)
    relevance[target] = logits[target]
    output = logits
    for (kind, function), x in zip(reversed(functions), reversed(inputs), strict=True):
        if kind == "affine":
            relevance = affine_relevance(function, x, relevance, epsilon, gamma, relative)
        elif kind == "maximum":
            relevance = maximum_relevance(output, x, relevance)
        else:
            relevance = relevance.view_as(x)
        output = x
    return relevance


def bias_ledger(network, images, target):
    """Sum over all biases b of ``b * dS/db`` for each image: what a network's logits owe to them, ``(B,)``.

    A batch normalisation's bias is ``beta - gamma mu / sqrt(sigma^2 + eps)``, and the derivative by it that by beta.
    """
    network.eval()
    owed = []
    for image, index in zip(images, target, strict=True):
        network.zero_grad()
        network(image[None])[0, index].backward()
        total = 0.0
        for module in network.modules():
            bias = getattr(module, "bias", None)
            if not isinstance(bias, torch.nn.Parameter) or bias.grad is None:
                continue
            value = bias.detach()
            if hasattr(module, "running_mean"):
                value = value - module.weight.detach() * module.running_mean / (module.running_var + module.eps).sqrt()
            total += float((value * bias.grad).sum())
        owed.append(total)
    network.zero_grad()
    return torch.tensor(owed, dtype=images.dtype)
