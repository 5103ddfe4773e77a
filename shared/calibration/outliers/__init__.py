"""Outlier scores of a trained classifier, fitted on its own training images, and a detector made of them."""
