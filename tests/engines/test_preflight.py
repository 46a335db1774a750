"""Overrides, settings and output are checked before a run; the bundle tests see the same through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_pneumonia.engines.preflight import check_data, check_device, check_output, check_overrides, check_settings, flatten_settings
from monai_pneumonia.errors import BadInputError, OutputNotWritableError, UsageError

CONFIG = str(Path(__file__).parents[2] / "bundle" / "configs" / "train.yaml")
MULTI = str(Path(CONFIG).with_name("multi_gpu_train.yaml"))


@pytest.mark.parametrize(
    "options",
    [
        ["--max_epochs", "3"],
        ["--max_epochs=3", "--loss#name=cross_entropy"],
        ["--loss::beta", "0.9"],
        ["--train#dataloader#num_workers", "0"],
        ["--tracking", "mlflow"],
        ["--initialize", "[]"],
    ],
)
def test_overrides_that_name_keys_pass(options: list[str]) -> None:
    check_overrides(["run", "--config_file", CONFIG, *options])


def test_two_configurations_are_known_together() -> None:
    check_overrides(["run", "--config_file", f"['{CONFIG}','{MULTI}']", "--finalize", "[]", "--backbone", "resnet50"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--max_epoch", "3"], "max_epochs"),
        (["--learning-rate=1"], "learning_rate"),
        (["--loss#bta", "1"], "loss#beta"),
        (["--zzzzzzzz", "1"], "keys are"),
    ],
)
def test_overrides_that_name_nothing_are_refused_with_the_nearest_key(options: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        check_overrides(["run", "--config_file", CONFIG, *options])


def test_overrides_in_an_args_file_are_checked_too(tmp_path: Path) -> None:
    args_file = tmp_path / "args.yaml"
    args_file.write_text(f"config_file: {CONFIG}\nbakbone: resnet18\n")
    with pytest.raises(UsageError, match="did you mean `backbone`"):
        check_overrides(["run", "--args_file", str(args_file)])


def test_another_command_line_is_left_alone() -> None:
    check_overrides(["verify_net_in_out", "--nonsense", "1"])
    check_overrides(["-x", "tests"])


def test_all_bad_settings_are_named_at_once() -> None:
    nested = {"input_size": 100, "loss": {"name": "hinge", "beta": 0.5}, "batch_size": 0, "unknown_to_us": object()}
    with pytest.raises(UsageError) as caught:
        check_settings(flatten_settings(nested))
    for told in ("`input_size`", "`loss#name`", "`batch_size`"):
        assert told in str(caught.value)
    assert "loss#beta" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("label_fraction", 0.1, 0),
        ("label_fraction", 1, 1.5),
        ("loss#beta", 0, 1),
        ("ema_decay", 0, 1),
        ("max_epochs", 1, 0),
        ("max_epochs", 5, 2.5),
        ("max_epochs", 5, True),
        ("seed", 0, -1),
        ("fold", None, "first"),
        ("amp", False, "yes"),
        ("attention#weight", 0.0, 1.0),
        ("regulation#enabled", False, True),
    ],
)
def test_ranges(key: str, good: object, bad: object) -> None:
    check_settings({key: good})
    with pytest.raises(UsageError, match=f"`{key}`"):
        check_settings({key: bad})


def test_a_pretrained_encoder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pretrained_encoder"):
        check_settings({"pretrained_encoder": str(tmp_path / "none.pt")})


def test_a_device_that_is_not_there_is_refused() -> None:
    check_device("cpu")
    with pytest.raises(UsageError, match="`device`"):
        check_device("cuda:99")


def test_output_must_be_writable(tmp_path: Path) -> None:
    check_output(str(tmp_path / "new" / "folder"))
    assert not list((tmp_path / "new" / "folder").iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(OutputNotWritableError, match="output_dir"):
        check_output(str(tmp_path / "file" / "below"))


def test_data_must_be_there_in_every_section_that_is_read(phantom_datalist: Path, tmp_path: Path) -> None:
    check_data(str(phantom_datalist), ("training", "validation", "testing"))
    lone = tmp_path / "lone.json"
    lone.write_text('{"classes": ["normal"], "training": [{"id": "a", "image": "a.png"}], "validation": [], "testing": []}')
    with pytest.raises(BadInputError) as caught:
        check_data(str(lone), ("training", "validation"))
    assert "a.png" in str(caught.value)
    assert "'validation' is empty" in str(caught.value)
