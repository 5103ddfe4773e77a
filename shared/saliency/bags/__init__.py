"""Explanations of a bag, one value for each instance, under one calling convention."""
