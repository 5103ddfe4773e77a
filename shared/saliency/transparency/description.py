"""Methods and networks described for the reader: name, rule, parameters, size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from shared.saliency.bags.base import BagAttribution
from shared.saliency.base import Attribution
from shared.saliency.titles import method_title
from shared.saliency.transparency.method_rules import METHOD_RULES, MethodRule

__all__ = ["describe_method", "describe_methods", "describe_model", "plain_parameters", "rule_of"]

Method = Attribution | BagAttribution


def rule_of(method: object) -> MethodRule | None:
    """Return the rule of a method, or of the nearest class that it derives from; ``None`` if there is none."""
    names = (parent.__name__ for parent in type(method).__mro__)
    return next((METHOD_RULES[name] for name in names if name in METHOD_RULES), None)


def plain_parameters(method: Method) -> dict[str, Any]:
    """Return a method's class, what of its maps counts (of images), and those of its settings that JSON can hold."""
    plain = (bool, int, float, str, type(None))
    settings = {
        name: value for name, value in vars(method).items() if not name.startswith("_") and isinstance(value, plain)
    }
    inner = {name: plain_parameters(value) for name, value in vars(method).items() if isinstance(value, Method)}
    kind = f"{type(method).__module__}.{type(method).__qualname__}"
    sign = {"sign": method.sign} if isinstance(method, Attribution) else {}
    return {"class": kind, **sign, **settings, **inner}


def describe_method(
    name: str,
    method: Method | None = None,
    *,
    rule: MethodRule | None = None,
    parameters: Mapping[str, Any] | None = None,
    control: bool | None = None,
    satisfies: Sequence[str] = (),
    failed: Sequence[str] = (),
) -> dict[str, Any]:
    """Describe a method as ``methods`` of the interpretability file has it.

    Args:
        name: its key in the config.
        method: the method; ``None`` for what is computed otherwise, whose ``rule`` is then given.
        rule: what it computes; by default :func:`rule_of` the method.
        parameters: settings; by default those of the method.
        control: whether it is a negative control, as an untrained network's map is; by default what its rule says.
        satisfies: what it satisfies, in sentences.
        failed: sanity checks that it failed, in sentences.

    Returns:
        ``title``, ``control``, ``parameters``, ``satisfies``, ``failed`` and, if known, ``rule`` and ``source``.
    """
    known = rule_of(method) if rule is None else rule
    if parameters is None:
        parameters = {} if method is None else plain_parameters(method)
    is_control = known is not None and known.control if control is None else control
    words = {} if known is None else {"rule": known.rule, "source": known.source}
    return {
        "title": method_title(name),
        "control": is_control,
        "parameters": dict(parameters),
        **words,
        "satisfies": list(satisfies),
        "failed": list(failed),
    }


def describe_methods(
    methods: Mapping[str, Method],
    satisfies: Mapping[str, Sequence[str]] | None = None,
    failed: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Describe several methods; see :func:`describe_method`.

    Args:
        methods: by their keys in the config.
        satisfies: by method.
        failed: by method.
    """
    return {
        name: describe_method(
            name, method, satisfies=(satisfies or {}).get(name, ()), failed=(failed or {}).get(name, ())
        )
        for name, method in methods.items()
    }


def describe_model(network: nn.Module, name: str | None = None) -> dict[str, Any]:
    """Describe a network as ``model`` of the interpretability file has it.

    Args:
        network: the network.
        name: by which the reader knows it; by default its class.

    Returns:
        ``name``; ``parameters``, their number, and ``trainable``, that of those which training changes; ``layers``,
        the number of its modules without children by class, the most frequent first.

    Example:
        >>> describe_model(nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)))
        {'name': 'Sequential', 'parameters': 11, 'trainable': 11, 'layers': {'Linear': 2, 'ReLU': 1}}
    """
    layers = Counter(type(module).__name__ for module in network.modules() if next(module.children(), None) is None)
    return {
        "name": type(network).__name__ if name is None else name,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "trainable": sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        "layers": dict(layers.most_common()),
    }
