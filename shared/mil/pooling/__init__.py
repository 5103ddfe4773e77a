"""Pooling operators: what a bag of instances becomes, whatever their number and order. One operator to a module."""
