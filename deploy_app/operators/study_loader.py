"""The first operator: the images of the input, one a tick, study by study."""

from __future__ import annotations

from monai.deploy.conditions import BooleanCondition
from monai.deploy.core import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext

from deploy_app.operators.step import IMAGE
from deploy_app.serving import ServingRun


class StudyLoaderOperator(Operator):
    """Emits an :class:`deploy_app.serving.ImageTask` for each image of the input, until there is none or the run is stopped.

    The files were found, counted and sorted into studies before (:func:`deploy_app.studies.scan_input`).

    Args:
        fragment: the application.
        run: whose images.
    """

    def __init__(self, fragment: Fragment, run: ServingRun) -> None:
        self._tasks = run.tasks()
        self._more = BooleanCondition(fragment, name="more_images", enable_tick=True)
        super().__init__(fragment, self._more, name="study_loader")

    def setup(self, spec: OperatorSpec) -> None:
        """One image out."""
        spec.output(IMAGE)

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Emits the next image, or ends the stream."""
        task = next(self._tasks, None)
        if task is None:
            self._more.disable_tick()
        else:
            op_output.emit(task, IMAGE)
