"""Calibration, saliency, evaluation and report: what the explainable MONAI bundles share."""

__version__ = "0.1.0"
