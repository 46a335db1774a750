"""monai-pneumonia: pneumonia lesion recognition in chest X-rays, built on MONAI.

Research use only, not for diagnosis.
"""

__version__ = "0.1.0"

RESEARCH_USE_ONLY = "Research use only, not for diagnosis."
