"""Flat against hierarchical models of windows: sets, a classical rival, models, the study."""
