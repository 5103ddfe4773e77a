"""The study behind ``scripts/reproduce.py leukocyte_qpi``: the claims, measured on stained cells."""
