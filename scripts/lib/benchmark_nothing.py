"""A MONAI Deploy application of one operator that does nothing: the start that no application can do without. Run in the container."""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.environ["HOLOSCAN_APPLICATION"])

from deploy_app.runtime import leave_out_unused, prepare_holoscan

# As the application does, so that this one imports no more.
prepare_holoscan()
leave_out_unused()

from monai.deploy.conditions import CountCondition  # noqa: E402
from monai.deploy.core import Application, Operator, OperatorSpec  # noqa: E402


class NothingOperator(Operator):
    """Does nothing."""

    def setup(self, spec: OperatorSpec) -> None:
        """Neither takes nor gives anything."""

    def compute(self, op_input: object, op_output: object, context: object) -> None:
        """Does nothing, once."""


class NothingApplication(Application):
    """One operator."""

    def compose(self) -> None:
        """Runs it once."""
        self.add_operator(NothingOperator(self, CountCondition(self, 1), name="nothing"))


NothingApplication().run()
# As the application itself ends: Holoscan's own clearing up takes time.
os._exit(0)
