"""The hospital container: DICOM in, DICOM results out, as a MONAI Deploy application. Research use only, not for diagnosis.

``python deploy_app -i INPUT -o OUTPUT -m MODEL`` runs it. The operators are thin: what they do stands in modules that know nothing of
Holoscan (``request``, ``studies``, ``serving``, ``publishing``, ``account``), and what is said of images and written in
``monai_pneumonia``.
"""

from __future__ import annotations

from deploy_app.runtime import open_missing_streams, prepare_holoscan

# Before anything opens a file that stays open.
open_missing_streams()
# Here, for it must come before the first import of MONAI, which brings MONAI Deploy and Holoscan with it.
prepare_holoscan()
