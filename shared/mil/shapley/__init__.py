"""Shapley values of the instances of a bag: exact for the usual pooling operators, sampled for anything else."""
