"""Metrics and explanations, read from files, to one HTML page."""
