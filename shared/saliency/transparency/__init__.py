"""Transparency of explanations: each method's rule in words, and what it satisfies, measured."""
