"""The third operator: reads an image and recognises lesions in it."""

from __future__ import annotations

from monai.deploy.core import Fragment

from deploy_app.operators.step import StepOperator
from deploy_app.serving import ImageTask, ServingRun


class LesionRecognitionOperator(StepOperator):
    """Decodes an image and runs :class:`monai_pneumonia.inference.LesionRecognizer` over it.

    Args:
        fragment: the application.
        run: whose recogniser.
    """

    def __init__(self, fragment: Fragment, run: ServingRun) -> None:
        super().__init__(fragment, run, name="lesion_recognition")

    def step(self, task: ImageTask) -> None:
        """Analyses one image."""
        self.serving.recognize(task)
