"""The command line: ``monai-pneumonia import | validate | phantoms | predict | evaluate``."""

from monai_pneumonia.cli.main import app, main

__all__ = ["app", "main"]
