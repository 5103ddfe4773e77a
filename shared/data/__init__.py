"""Data lists, splits by patient, integrity checks and atomic files."""
