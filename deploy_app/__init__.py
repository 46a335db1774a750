"""The hospital container: DICOM in, DICOM results out, as a MONAI Deploy application. Research use only, not for diagnosis.

``python deploy_app -i INPUT -o OUTPUT -m MODEL`` runs it. The operators are thin: what they do stands in modules that know nothing of
holoscan (``studies``, ``serving``, ``publishing``, ``account``), and recognising, judging and writing images in ``monai_pneumonia``.
"""
