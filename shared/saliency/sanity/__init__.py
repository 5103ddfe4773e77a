"""Sanity checks of explanations: does a map depend on what the network has learnt, and on the class it explains?"""
