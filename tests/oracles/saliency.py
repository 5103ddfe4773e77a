"""Slow re-implementations of attribution methods from their papers' equations: one image, one channel, one position.

They share no code with the package: the network is run by hand on its two halves, ``features`` (image to the feature
maps A) and ``rest`` (A to the logits), and derivatives of ``Y = exp(S)`` are taken by autograd up to the third order.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F


def feature_derivatives(features, rest, image, target):
    """Feature maps and dS/dA, both (F, h, w), of one image (C, H, W)."""
    maps = features(image[None])[0].detach().requires_grad_()
    rest(maps[None])[0, target].backward()
    return maps.detach(), maps.grad


def weighted_map(maps, weights, size):
    coarse = torch.zeros_like(maps[0])
    for k in range(len(maps)):
        coarse = coarse + weights[k] * maps[k]
    return F.interpolate(coarse.clamp(min=0)[None, None], size=size, mode="bilinear", align_corners=False)[0]


def exponential_derivatives(features, rest, image, target, k, i, j):
    """First, second and third derivative of Y = exp(S) with respect to A_k(i, j), by repeated differentiation."""
    maps = features(image[None])[0].detach()
    value = maps[k, i, j].clone().requires_grad_()
    replaced = maps.index_put((torch.tensor(k), torch.tensor(i), torch.tensor(j)), value)
    derivatives, current = [], torch.exp(rest(replaced[None])[0, target])
    for _ in range(3):
        (current,) = torch.autograd.grad(current, value, create_graph=True)
        derivatives.append(current)
    return [derivative.item() for derivative in derivatives]


def grad_cam_plus_plus(features, rest, image, target):
    """Grad-CAM++ by equations 5, 7, 10 of its paper, derivatives of exp(S) by autograd; divided by exp(S)."""
    maps = features(image[None])[0].detach()
    channels, height, width = maps.shape
    weights = []
    for k in range(channels):
        weight = 0.0
        for i in range(height):
            for j in range(width):
                first, second, third = exponential_derivatives(features, rest, image, target, k, i, j)
                if second == 0:
                    continue
                alpha = second / (2 * second + maps[k].sum().item() * third)
                weight += alpha * max(first, 0.0)
        weights.append(weight)
    score = rest(maps[None])[0, target].item()
    return weighted_map(maps, [weight / math.exp(score) for weight in weights], image.shape[1:])


def smooth_grad_cam_plus_plus(features, rest, image, noises, target):
    """Smooth Grad-CAM++: powers of the logit's gradient averaged over the given noises (S, C, H, W)."""
    maps = features(image[None])[0].detach()
    gradients = [feature_derivatives(features, rest, image + noise, target)[1].numpy() for noise in noises]
    weights = []
    for k in range(len(maps)):
        weight = 0.0
        for position in np.ndindex(*maps.shape[1:]):
            values = [gradient[(k, *position)] for gradient in gradients]
            d1, d2, d3 = (sum(value**p for value in values) / len(values) for p in (1, 2, 3))
            if d1 > 0:
                weight += d1 * d2 / (2 * d2 + maps[k].sum().item() * max(d3, 0.0))
        weights.append(weight)
    return weighted_map(maps, weights, image.shape[1:])


def score_cam(features, rest, image, target, score, normalise, baseline):
    """Score-CAM, one masked image after another."""
    maps = features(image[None])[0].detach()
    empty = torch.full_like(image, baseline)

    def confidence(shown):
        logits = rest(features(shown[None]))[0].detach()
        return (logits if score == "logit" else torch.softmax(logits, 0))[target].item()

    increases = {}
    for k in range(len(maps)):
        mask = F.interpolate(maps[k][None, None], size=image.shape[1:], mode="bilinear", align_corners=False)[0]
        if mask.max() == mask.min():
            continue
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        increases[k] = confidence(image * mask + empty * (1 - mask)) - confidence(empty)
    if normalise:
        total = sum(math.exp(increase) for increase in increases.values())
        increases = {k: math.exp(increase) / total for k, increase in increases.items()}
    return weighted_map(maps, [increases.get(k, 0.0) for k in range(len(maps))], image.shape[1:])


def fimf_score_cam(features, rest, image, target):
    """The reading of FIMF Score-CAM that the package documents, one template after another."""
    maps = features(image[None])[0].detach()
    coarse = torch.zeros_like(maps[0])
    for k in range(len(maps)):
        spread = maps[k].max() - maps[k].min()
        template = (maps[k] - maps[k].min()) / spread if spread > 0 else torch.zeros_like(maps[k])
        weight = torch.softmax(rest((maps * template)[None])[0].detach(), 0)[target]
        integrated = sum(template * maps[j] for j in range(len(maps))) / len(maps)
        coarse = coarse + weight * integrated
    return weighted_map(coarse[None], [1.0], image.shape[1:])


def guided_gradient(weights, image, target):
    """Guided backpropagation through a perceptron ``W_n relu(... relu(W_1 x))``, in matrices."""
    activations = [image.flatten()]
    for weight in weights[:-1]:
        activations.append((weight @ activations[-1]).clamp(min=0))
    gradient = weights[-1][target]
    for weight, activation in zip(reversed(weights[:-1]), reversed(activations[1:]), strict=True):
        gradient = weight.T @ (gradient.clamp(min=0) * (activation > 0))
    return gradient.view_as(image)


def ridge(subsets, outputs, nearness, alpha):
    """Coefficients of the weighted ridge regression with a free intercept, by the normal equations."""
    design = np.column_stack([np.ones(len(subsets)), subsets]).astype(float)
    penalty = alpha * np.eye(design.shape[1])
    penalty[0, 0] = 0.0
    left = design.T @ (nearness[:, None] * design) + penalty
    return np.linalg.solve(left, design.T @ (nearness * outputs))[1:]
