"""``python -m monai_pneumonia.ablation``: the command line of ``scripts/ablation``."""

from monai_pneumonia.ablation.command import main

if __name__ == "__main__":
    main()
