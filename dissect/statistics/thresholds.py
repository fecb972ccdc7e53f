"""The kinds of threshold above which a unit counts as active. Imports nothing heavy."""

THRESHOLDS = ("quantile", "information")
"""In the order of the arrays that hold both: quantile of the unit, most information of the pair."""
