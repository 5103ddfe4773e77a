"""Alarms that tell which predicted findings not to believe: INFORMER, its rivals, and controls."""
