"""``python -m monai_pneumonia``: the command line."""

from monai_pneumonia.cli import main

main()
