"""Reproducible and resumable training: seeding by epoch, checkpoints, early stopping, progress."""
