"""Ignite engines on top of monai.engines."""
