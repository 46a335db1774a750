"""Ablation studies: what each part of the method does, measured over folds on one queue. ``scripts/ablation`` calls it."""
