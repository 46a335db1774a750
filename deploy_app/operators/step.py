"""What the operators share: they take an image, do one step of the run, and pass the image on."""

from __future__ import annotations

from typing import Any

from monai.deploy.core import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext

from deploy_app.serving import ImageTask, ServingRun

IMAGE = "image"


class StepOperator(Operator):
    """Takes an :class:`ImageTask` from its input, does its step, and passes the task on unless the run has failed.

    Args:
        fragment: the application.
        run: whose step it is.
        name: of the operator.
    """

    passes_on = True

    def __init__(self, fragment: Fragment, run: ServingRun, name: str, **arguments: Any) -> None:
        self.serving = run
        super().__init__(fragment, name=name, **arguments)

    def setup(self, spec: OperatorSpec) -> None:
        """One image in, and for all but the last operator one out."""
        spec.input(IMAGE)
        if self.passes_on:
            spec.output(IMAGE)

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Does the step for one image."""
        task: ImageTask = op_input.receive(IMAGE)
        if self.serving.fault is not None:
            return
        try:
            self.step(task)
        except BaseException as error:  # kept for the run's end: what leaves compute is wrapped by the SDK
            self.serving.fault = error
            return
        if self.passes_on and self.serving.fault is None:
            op_output.emit(task, IMAGE)

    def step(self, task: ImageTask) -> None:
        """What the operator is for."""
        raise NotImplementedError
