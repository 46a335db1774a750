"""The MONAI Deploy application: four operators in a row, one image at a time."""

from __future__ import annotations

from pathlib import Path

from holoscan.schedulers import GreedyScheduler
from monai.deploy.core import Application

from deploy_app.operators.image_gate import ImageGateOperator
from deploy_app.operators.lesion_recognition import LesionRecognitionOperator
from deploy_app.operators.result_writer import ResultWriterOperator
from deploy_app.operators.study_loader import StudyLoaderOperator
from deploy_app.serving import ServingRun

CONFIGURATION = Path(__file__).with_name("app.yaml")


class PneumoniaApplication(Application):
    """Recognises pneumonia and its lesions in the chest X-rays of a folder. Research use only, not for diagnosis.

    Attributes:
        run_state: the run that the operators work on.
    """

    run_state: ServingRun

    @classmethod
    def of(cls, run: ServingRun) -> PneumoniaApplication:
        """The application over a run. (Holoscan calls the constructor with arguments of its own.)"""
        application = cls()
        application.run_state = run
        application.config(str(CONFIGURATION))
        return application

    def compose(self) -> None:
        """Connects the operators; a queue between two holds one image at most."""
        # In one thread, each image passes all operators before the next is read.
        self.scheduler(GreedyScheduler(self, name="scheduler"))
        loader = StudyLoaderOperator(self, self.run_state)
        gate = ImageGateOperator(self, self.run_state)
        recognition = LesionRecognitionOperator(self, self.run_state)
        writer = ResultWriterOperator(self, self.run_state)
        self.add_flow(loader, gate, {("image", "image")})
        self.add_flow(gate, recognition, {("image", "image")})
        self.add_flow(recognition, writer, {("image", "image")})

    def serve(self) -> None:
        """Runs to the end. The operators work in another thread, so that this one is free to hear signals."""
        self.run_async().result()
