"""What explanations were measured to be, along five elements of interpretability, in one file for all bundles."""
