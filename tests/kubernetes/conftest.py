"""Fixtures of the tests of the manifests."""

from __future__ import annotations

import pytest
import yaml
from rendered_manifests import APPLIED, Render, rendered


@pytest.fixture
def render() -> Render:
    """Folder below deploy_app/kubernetes -> the objects that kubectl apply -k would send."""
    return lambda folder: list(yaml.safe_load_all(rendered(folder)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `folder` runs over all that is applied."""
    if "folder" in metafunc.fixturenames:
        metafunc.parametrize("folder", APPLIED)
