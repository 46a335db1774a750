from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from serving_runs import ROOT

from deploy_app import runtime

SERVE_ONE = """
import sys, threading
from pathlib import Path
from deploy_app.runtime import UNUSED, leave_out_unused
leave_out_unused()
from deploy_app.request import Request
from deploy_app.run import serve
source, output, model = map(Path, sys.argv[1:])
assert serve(Request(source, output, model, "cpu")).exit_code == 0
assert not [name for name in UNUSED if sys.modules.get(name) is not None]
assert "torch.distributed.fsdp" not in sys.modules, "ignite brings it"
"""


def python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, start_new_session=True)


@pytest.mark.slow
def test_serving_needs_nothing_of_what_is_left_out(holoscan: None, tmp_path: Path, tiny_model: Path) -> None:
    from lesion_reports import write_chest
    from radiograph_files import marker

    for number, syntax in enumerate(("", "jpeg_2000", "jpeg_ls", "rle", "jpeg_lossless", "jpeg_baseline"), start=1):
        write_chest(tmp_path / f"{number}.dcm", marker(), syntax, SOPInstanceUID=f"1.2.3.{number}")
    run = python(SERVE_ONE, tmp_path, tmp_path / "output", tiny_model)
    assert run.returncode == 0, run.stderr[-2000:]
    assert len(list((tmp_path / "output").rglob("*.dcm"))) == 18


def test_what_is_imported_already_stays() -> None:
    leave_out = "import deploy_app.runtime as runtime; runtime.leave_out_unused()"
    run = python(f"import sys, json; sys.modules['mlflow'] = json; {leave_out}; print(sys.modules['mlflow'], sys.modules['ignite'])")
    assert "json" in run.stdout
    assert run.stdout.strip().endswith("None")


def test_the_cuda_runtime_is_found_without_a_search_path(holoscan: None) -> None:
    library = runtime.packaged_cuda_runtime()
    assert library is not None
    assert library.name == "libcudart.so.13"
    code = "import deploy_app; print('libcudart.so.13' in open('/proc/self/maps').read())"
    assert python(code).stdout.strip() == "True"


def test_without_the_package_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "find_spec", lambda name: None)
    assert runtime.packaged_cuda_runtime() is None


def test_the_stack_is_raised_and_never_lowered() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    assert soft == resource.RLIM_INFINITY or soft >= min(
        runtime.STACK_BYTES, hard if hard != resource.RLIM_INFINITY else runtime.STACK_BYTES
    )
    set_limit = "from resource import *; setrlimit(RLIMIT_STACK, (64 << 20, 64 << 20))"
    run = python(f"{set_limit}; import deploy_app; print(getrlimit(RLIMIT_STACK)[0])")
    assert run.stdout.strip() == str(64 << 20)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare: the machine's own CUDA cannot be hidden")
def test_a_machine_without_cuda(holoscan: None) -> None:
    """Holoscan is imported where no CUDA is installed but in site-packages."""
    places = [place for place in Path("/usr/local").glob("cuda*") if place.is_dir() and not place.is_symlink()]
    hide = " && ".join(["true", *(f"mount -t tmpfs none {place}" for place in places)])
    script = f"{hide} && cd {ROOT} && LD_LIBRARY_PATH= {sys.executable} -c 'import deploy_app; import holoscan.core; print(1)'"
    run = subprocess.run(["unshare", "-m", "bash", "-c", script], capture_output=True, text=True, check=False, start_new_session=True)
    if "unshare" in run.stderr or "mount" in run.stderr:
        pytest.skip("no right to hide the machine's own CUDA")
    assert run.stdout.strip().endswith("1"), run.stderr[-500:]
