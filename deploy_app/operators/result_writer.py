"""The last operator: writes results, and puts a study in its place when all its images have come through."""

from __future__ import annotations

from monai.deploy.core import Fragment

from deploy_app.operators.step import StepOperator
from deploy_app.serving import ImageTask, ServingRun


class ResultWriterOperator(StepOperator):
    """Writes structured report, segmentation and overlay of an image, and notes what became of it.

    Args:
        fragment: the application.
        run: whose output and account.
    """

    passes_on = False

    def __init__(self, fragment: Fragment, run: ServingRun) -> None:
        super().__init__(fragment, run, name="result_writer")

    def step(self, task: ImageTask) -> None:
        """Finishes one image."""
        self.serving.write(task)
