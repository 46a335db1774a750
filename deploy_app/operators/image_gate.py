"""The second operator: is this a frontal chest X-ray that we may read?"""

from __future__ import annotations

from monai.deploy.core import Fragment

from deploy_app.operators.step import StepOperator
from deploy_app.serving import ImageTask, ServingRun


class ImageGateOperator(StepOperator):
    """Rejects, by its tags alone, what is no frontal chest X-ray or what no result could refer to.

    Args:
        fragment: the application.
        run: whose images.
    """

    def __init__(self, fragment: Fragment, run: ServingRun) -> None:
        super().__init__(fragment, run, name="image_gate")

    def step(self, task: ImageTask) -> None:
        """Judges one image."""
        self.serving.check(task)
