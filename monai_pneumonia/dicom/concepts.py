"""The coded concepts of the results: the standard's where it has one, else our own scheme."""

from __future__ import annotations

import hashlib

from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

SCHEME = "99MONAIPN"
SCHEME_NAME = "monai-pneumonia research concepts"
_LONGEST_CODE = 16


def own(code: str, meaning: str) -> CodedConcept:
    """A concept of our own scheme: code of at most 16, meaning of at most 64 characters."""
    return CodedConcept(value=code, scheme_designator=SCHEME, meaning=meaning)


PNEUMONIA_SCORE = own("P_PNEUMONIA", "Pneumonia probability, research score")
OPERATING_POINT = own("OPERATING_POINT", "Operating point of the pneumonia probability")
DECISION = own("DECISION", "Decision by research software, no diagnosis")
AT_OR_ABOVE = own("PNEUMONIA", "Pneumonia: probability at or above the operating point")
BELOW = own("NO_PNEUMONIA", "No pneumonia: probability below the operating point")
UNCERTAINTY = own("UNCERTAINTY", "Uncertainty: entropy over that of a uniform guess")
PIXELS = CodedConcept(value="{pixels}", scheme_designator="UCUM", meaning="pixels")
NO_UNITS = codes.UCUM.NoUnits
SQUARE_MILLIMETRES = codes.UCUM.SquareMillimeter
AREA = codes.SCT.Area
COMMENT = codes.DCM.Comment
DEVICE = codes.DCM.Device
SOURCE = CodedConcept(value="260753009", scheme_designator="SCT", meaning="Source")
ARTIFICIAL_INTELLIGENCE = codes.DCM.ArtificialIntelligence
CHEST_RADIOGRAPHY = CodedConcept(value="399208008", scheme_designator="SCT", meaning="Plain chest X-ray")
EVALUATIONS = CodedConcept(value="C0034375", scheme_designator="UMLS", meaning="Qualitative Evaluations")

LESION = codes.SCT.Lesion
LESION_CATEGORY = codes.SCT.MorphologicallyAbnormalStructure
# What to call the regions of a map that no lesion outline trained.
ATTENTION_REGION = codes.DCM.SelectedRegion
ATTENTION_CATEGORY = CodedConcept(value="309825002", scheme_designator="SCT", meaning="Spatial and Relational Concept")


def class_score(name: str) -> CodedConcept:
    """The concept of a class's probability. It names the class as a label of the training data, not as a disease."""
    code = f"SCORE_{name}".upper()
    if len(code) > _LONGEST_CODE or not code.isascii() or not code.replace("_", "").isalnum():
        code = f"SCORE_{hashlib.sha256(name.encode()).hexdigest()[:10]}".upper()
    return own(code, f"Research score of class {_printable(name)}, no diagnosis")


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() and letter not in "\\^=" else "_" for letter in name)[:26]
