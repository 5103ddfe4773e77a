"""Turning scores into trusted decisions: Monte Carlo dropout, calibration, selective prediction, outliers."""
