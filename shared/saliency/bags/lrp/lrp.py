"""Layer-wise relevance propagation for bags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from shared.mil.pooling.maximum import MaxPooling
from shared.mil.pooling.mean import MeanPooling
from shared.saliency.bags.attention_layers import as_attention, as_attention_maximum
from shared.saliency.bags.bag_model import BagModel
from shared.saliency.bags.base import BagAttribution
from shared.saliency.bags.lrp.affine_relevance import Epsilon, modified_sum
from shared.saliency.bags.lrp.attention_branch import AttentionBranch
from shared.saliency.lrp.lrp import SMALL_EPSILON
from shared.saliency.lrp.relevance_graph import RelevanceGraph
from shared.saliency.lrp.rules import EpsilonRule, GammaRule, Rule

__all__ = ["BagLRP"]


class BagLRP(BagAttribution):
    """LRP-ε and LRP-γ from the logit of a bag to its instances.

    Relevance is the product of a quantity and its message, ``R(x) = Σ_j (∂y_j/∂x) (x / y_j) R(y_j)`` layer by layer
    (Ali et al. 2022), with the rule in every affine step: head, pooled embedding, the attention's layers, and those of
    an encoder; rules and encoder as in :class:`shared.saliency.lrp.LRP`. The pooled embedding ``z = Σ_i w_i h_i`` is an
    affine step of the h, and with ``R(z_k) = z_k m_k`` gives

    - by way of the values ``R(h_i) = w_i Σ_k h_ik c_k``, with ``c_k = m_k z_k / (z_k + ε sign z_k)`` under LRP-ε;
    - by way of the attention ``R(w_i) = R(h_i)`` once more, that is the message ``r_i = Σ_k h_ik c_k`` of w_i, which
      the softmax turns into the message ``w_i (r_i − Σ_j w_j r_j)`` of the attention logit, and
      :class:`~shared.saliency.bags.lrp.attention_branch.AttentionBranch` into relevance of the instance.

    With ``attention="propagated"`` both are added, and at ε → 0 this is gradient × input. An ε that changes anything is
    of the size of the steps' outputs: by default it is a share of that, as in :class:`shared.saliency.lrp.LRP`, step by
    step and instance by instance, and behind the pooling of the bag. With ``"detached"`` the weights count as
    constants, as Ali et al. treat attention: relevance is then conserved but for ε and the biases.

    Where the maximum stands beside the attention, ``z_k = Σ_i w_i h_ik + g_k max_i h_ik``, its term is one more of the
    same sum, ``R(max_k) = g_k max_i h_ik c_k`` under LRP-ε, and goes to the instance that holds the maximum.

    Args:
        model: bag classifier with attention, gated attention, mean or max pooling, or attention with the maximum beside
            it; encoder and head of affine layers, rectifiers, pooling and what else :class:`shared.saliency.lrp.LRP`
            has a rule for.
        target: index of the logit.
        rule: ``epsilon`` or ``gamma``.
        epsilon: positive, in the units of the affine steps' outputs; in the denominator of both rules. ``None``: 1e-6
            with the rule ``gamma``, and with ``epsilon`` ``relative_epsilon`` counts.
        gamma: of the rule ``gamma``, not negative.
        relative_epsilon: epsilon of the rule ``epsilon`` as a share of the root mean square of each step's outputs,
            where ``epsilon`` is ``None``; a quarter as in :class:`shared.saliency.lrp.LRP`.
        attention: ``propagated`` or ``detached``; without meaning for mean and max pooling.

    Raises:
        ValueError: if an option is unknown or a number out of its range; in ``attribute``, if the encoder or head calls
            a function without a rule, which is named.
        TypeError: in ``attribute``, if the pooling is another.
    """

    def __init__(
        self,
        model: nn.Module,
        target: int = 0,
        rule: Literal["epsilon", "gamma"] = "epsilon",
        epsilon: float | None = None,
        gamma: float = 0.25,
        attention: Literal["propagated", "detached"] = "propagated",
        relative_epsilon: float = 0.25,
    ) -> None:
        super().__init__(model, target)
        if rule not in ("epsilon", "gamma") or attention not in ("propagated", "detached"):
            raise ValueError(
                "rule must be 'epsilon' or 'gamma' and attention 'propagated' or 'detached', found "
                f"{rule!r} and {attention!r}"
            )
        if (epsilon is not None and epsilon <= 0) or relative_epsilon <= 0 or gamma < 0:
            raise ValueError(
                f"epsilon and relative_epsilon must be positive and gamma not negative, found {epsilon}, "
                f"{relative_epsilon} and {gamma}"
            )
        self.rule = rule
        self.epsilon = epsilon
        self.gamma = gamma if rule == "gamma" else 0.0
        self.attention = attention
        self.relative_epsilon = relative_epsilon
        if epsilon is None:
            relative = rule == "epsilon"
            self._epsilon = Epsilon(relative_epsilon if relative else SMALL_EPSILON, relative)
        else:
            self._epsilon = Epsilon(epsilon, relative=False)
        self._rule: Rule = (
            GammaRule(gamma, self._epsilon.value)
            if rule == "gamma"
            else EpsilonRule(self._epsilon.value, self._epsilon.relative)
        )

    def _attribute(self, model: BagModel, features: Tensor) -> Tensor:
        with torch.no_grad():
            instances = model.instances(features)
            if type(model.pooling) is MaxPooling:
                return self._through_maximum(model, features, instances)
            return self._through_mean(model, features, instances)

    def _through_mean(self, model: BagModel, features: Tensor, instances: Tensor) -> Tensor:
        magnitude = instances.abs() if self.gamma else None
        both = as_attention_maximum(model.pooling)
        pooling = as_attention(model.pooling) if both is None else both.attention
        branch, held = None, None
        if pooling is not None:
            branch = AttentionBranch(pooling, instances, magnitude, self._epsilon, self.gamma)
            weights = branch.logits.softmax(dim=0)
        elif type(model.pooling) is MeanPooling:
            weights = instances.new_full((len(instances),), 1 / len(instances))
        else:
            raise TypeError(
                f"LRP has no rule for {type(model.pooling).__name__}: it knows attention, mean and max, and attention "
                "with the maximum"
            )
        pooled = weights @ instances  # (D,)
        sizes = None if magnitude is None else weights @ magnitude
        if both is not None:
            held = both.gain * _shares_of_maximum(instances)  # (N, D)
            pooled = pooled + torch.linalg.vecdot(held, instances, dim=0)
            sizes = None if magnitude is None else sizes + torch.linalg.vecdot(held.abs(), magnitude, dim=0)
        sign, modified = pooled.sign(), pooled
        if sizes is not None:
            modified = modified_sum(pooled, sign, sizes, self.gamma)
        denominator = modified.abs() + self._epsilon.of(pooled[None])
        coefficient = self._message_of_pooled(model, pooled) * pooled.abs() / denominator.view_as(pooled)  # (D,)
        scores = instances @ coefficient  # r, (N,)
        if magnitude is not None:
            scores = scores + self.gamma / 2 * (scores + magnitude @ (sign * coefficient))
        through = weights * (scores - weights @ scores)  # message of the attention logits
        propagated = branch is not None and self.attention == "propagated"
        if held is not None:
            favoured = (held * instances * sign > 0).to(held) if self.gamma else 0.0
            held = held * coefficient * (1 + self.gamma * favoured)  # message of the embeddings by way of the maximum
        if model.pools_features:
            relevance = weights * scores
            if held is not None:
                relevance = relevance + torch.linalg.vecdot(instances, held)
            return relevance + (branch.relevance(through) if branch is not None and propagated else 0.0)
        message = coefficient.expand_as(instances)
        if self.gamma:
            message = modified_sum(message, instances.sign(), sign * message, self.gamma)
        message = weights[:, None] * message
        if held is not None:
            message = message + held
        if branch is not None and propagated:
            message = message + branch.message(through)
        return self._through_instances(model, features, message)

    def _through_maximum(self, model: BagModel, features: Tensor, instances: Tensor) -> Tensor:
        pooled = instances.amax(dim=0)
        message = _shares_of_maximum(instances) * self._message_of_pooled(model, pooled)
        if model.pools_features:
            return torch.linalg.vecdot(instances, message)
        return self._through_instances(model, features, message)

    def _message_of_pooled(self, model: BagModel, pooled: Tensor) -> Tensor:
        """Return the message ``(D,)`` of what was pooled, from the logit."""
        chosen = torch.zeros_like(model.after(pooled[None]))
        chosen[0, model.target] = 1
        return self._propagate(model.after, pooled[None], chosen)[0]

    def _through_instances(self, model: BagModel, features: Tensor, message: Tensor) -> Tensor:
        """Return the relevance of the instances ``(N,)`` from the message of what was pooled of them, ``(N, D)``."""
        parts = []
        blocks = list(model.rows(features))
        for block, outer in zip(blocks, message.split([len(block) for block in blocks]), strict=True):
            inner = self._propagate(model.before, block, outer)
            parts.append(torch.linalg.vecdot(block.flatten(1), inner.flatten(1)))
        return torch.cat(parts)

    def _propagate(self, function: Callable[[Tensor], Tensor], inputs: Tensor, message: Tensor) -> Tensor:
        """Return the message of the inputs of a function of affine steps from that of its outputs."""
        with torch.enable_grad():
            leaf = inputs.detach().requires_grad_()
            with RelevanceGraph(self._rule, leaf) as graph:
                output = function(leaf)
            (inner,) = torch.autograd.grad(graph.finished(output), leaf, message)
        return inner


def _shares_of_maximum(instances: Tensor) -> Tensor:
    """Return by dimension 1 for the largest of the instances, or equal shares for several, 0 for others, ``(N, D)``."""
    largest = (instances == instances.amax(dim=0)).to(instances)
    return largest / largest.sum(dim=0)
