"""Factories of estimators, as a user writes them."""

from __future__ import annotations

from sklearn.ensemble import RandomForestClassifier


def forest(max_depth: int | None = None, min_samples_leaf: int = 1, depth: int = 2) -> RandomForestClassifier:
    """Passes one argument on, forgets another, and has one of its own."""
    return RandomForestClassifier(depth * 10, max_depth=max_depth, min_samples_leaf=3)
