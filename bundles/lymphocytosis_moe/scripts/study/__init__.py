"""The reproduction study: every model of the paper by repeated cross-validation, run by ``scripts/reproduce.py``."""
