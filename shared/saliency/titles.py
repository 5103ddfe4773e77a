"""What attribution methods are called where people read; their keys in a config name files."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["method_title"]

TITLES: Mapping[str, str] = {
    "attention_rescaled": "Attention, rescaled",
    "edge_map": "Edge map (control)",
    "evet": "EVET",
    "exact_shapley": "Shapley values, exact",
    "fimf_score_cam": "FIMF Score-CAM",
    "grad_cam": "Grad-CAM",
    "grad_cam_plus_plus": "Grad-CAM++",
    "gradient_x_input": "Gradient \u00d7 input",
    "guided_backpropagation_x_input": "Guided backpropagation \u00d7 input",
    "input_x_gradient": "Input \u00d7 gradient",
    "instance_score": "Single-instance score",
    "leave_one_out": "Leave-one-out",
    "lime": "LIME",
    "lrp": "LRP",
    "lrp_attention": "LRP + attention",
    "lrp_detached": "LRP, attention detached",
    "lrp_epsilon": "LRP-\u03b5",
    "lrp_gamma": "LRP-\u03b3",
    "random_map": "Random map (control)",
    "random": "Random order (control)",
    "random_values": "Random values (control)",
    "rise": "RISE",
    "score_cam": "Score-CAM",
    "smooth_grad": "SmoothGrad",
    "smooth_grad_x_input": "SmoothGrad \u00d7 input",
    "smooth_grad_cam_plus_plus": "Smooth Grad-CAM++",
    "subset_shapley": "Shapley values, Monte Carlo",
    "untrained": "Untrained network (control)",
}


def method_title(name: str) -> str:
    """Return the proper name of a method, or its key in words.

    Example:
        >>> method_title("grad_cam_plus_plus"), method_title("integrated_gradients")
        ('Grad-CAM++', 'Integrated gradients')
    """
    words = name.replace("_", " ")
    return TITLES.get(name.lower(), words[:1].upper() + words[1:])
