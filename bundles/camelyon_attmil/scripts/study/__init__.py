"""Studies on bags: the data sets of attention-based multiple-instance learning, trained, measured and tabulated."""
