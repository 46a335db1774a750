"""The figures of an evaluation, drawn without a display."""

from monai_pneumonia.evaluation.figures.gallery import FIGURES, FigureKind, draw_figures, figure_files

__all__ = ["FIGURES", "FigureKind", "draw_figures", "figure_files"]
