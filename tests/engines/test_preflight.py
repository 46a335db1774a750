"""What is checked before a run; the bundle tests see the same through the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_bundle import write_tiny_bundle

from monai_pneumonia.data.datalist import load_datalist
from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.engines.preflight import (
    check_classes,
    check_data,
    check_device,
    check_overrides,
    check_settings,
    check_training,
    flatten_settings,
    preflight,
    preflight_recognition,
    run_datalist,
)
from monai_pneumonia.errors import BadInputError, NothingToAnalyseError, UsageError

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
        ["--tracking", "mlflow", "--run_name", "first", "--experiment_name", "pneumonia"],
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
        (["--run_name", "first"], "run_name"),
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
        ("attention#enabled", False, "yes"),
        ("attention#weight", 1.5, -0.1),
        ("attention#guided", True, 1),
        ("attention#hard", True, "True"),
        ("attention#outlined_share", 0.5, 0.51),
        ("attention#decoy_share", 1.0, 1.1),
        ("attention#unoutlined_weight", 0, -1),
        ("attention#shuffled_outlines", True, 0),
        ("regulation#enabled", True, "on"),
        ("regulation#weight", 0.2, -0.2),
        ("regulation#space", "image", "pixels"),
        ("regulation#temperature", 0.1, 0),
        ("regulation#bound", 0.05, 0.0),
        ("regulation#warmup", 0, 0.6),
        ("loss#logit_adjustment", 0, -1),
    ],
)
def test_ranges(key: str, good: object, bad: object) -> None:
    check_settings({key: good})
    with pytest.raises(UsageError, match=f"`{key}`"):
        check_settings({key: bad})


@pytest.mark.parametrize("name", ["class_balanced_softmax", "class_balanced_sigmoid", "class_balanced_focal"])
def test_logit_adjustment_is_for_plain_training(name: str) -> None:
    check_settings({"loss#name": "cross_entropy", "loss#logit_adjustment": 1.0})
    check_settings({"loss#name": name, "loss#logit_adjustment": 0.0})
    with pytest.raises(UsageError, match="use it with `loss#name` cross_entropy alone"):
        check_settings({"loss#name": name, "loss#logit_adjustment": 1.0})


@pytest.mark.parametrize("space", ["features", "image"])
def test_regulation_needs_attention(space: str) -> None:
    check_settings({"regulation#enabled": True, "regulation#space": space, "attention#enabled": True})
    check_settings({"regulation#enabled": False, "regulation#space": space, "attention#enabled": False})
    with pytest.raises(UsageError, match="switch `attention#enabled` on, or regulation off"):
        check_settings({"regulation#enabled": True, "regulation#space": space, "attention#enabled": False})


def test_a_pretrained_encoder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pretrained_encoder"):
        check_settings({"pretrained_encoder": str(tmp_path / "none.pt")})


def test_a_device_that_is_not_there_is_refused() -> None:
    check_device("cpu")
    with pytest.raises(UsageError, match="`device`"):
        check_device("cuda:99")


def test_data_must_be_there_in_every_section_that_is_read(phantom_datalist: Path, tmp_path: Path) -> None:
    check_data(load_datalist(phantom_datalist), str(phantom_datalist), ("training", "validation", "testing"))
    lone = tmp_path / "lone.json"
    lone.write_text('{"classes": ["normal"], "training": [{"id": "a", "image": "a.png"}], "validation": [], "testing": []}')
    with pytest.raises(BadInputError) as caught:
        check_data(load_datalist(lone), str(lone), ("training", "validation"))
    assert "a.png" in str(caught.value)
    assert "'validation' is empty" in str(caught.value)


def test_a_datalist_without_pictures_is_told(tmp_path: Path) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text('{"classes": ["normal", "ill"], "training": [], "validation": [], "testing": []}')
    with pytest.raises(NothingToAnalyseError, match="holds no picture"):
        run_datalist(SETTINGS, str(empty))


def test_a_class_may_be_known_through_a_group_alone_unless_its_count_is_needed(
    phantom_datalist: Path, caplog: pytest.LogCaptureFixture
) -> None:
    datalist = load_datalist(phantom_datalist)
    normals = tuple(item for item in datalist.training if item.label == "normal")
    unspecified = tuple(replace(item, label="pneumonia_unspecified") for item in datalist.training if item.label != "normal")
    grouped = datalist.with_sections(training=normals + unspecified)
    check_classes(grouped, "cross_entropy")
    assert "bacterial, viral, covid19" in caplog.text
    with pytest.raises(BadInputError, match="cross_entropy"):
        check_classes(grouped, "class_balanced_softmax")
    with pytest.raises(BadInputError, match="no prior to adjust by: use `--loss#logit_adjustment 0`"):
        check_classes(grouped, "cross_entropy", logit_adjustment=1.0)
    unlabelled = tuple(replace(item, label=None) for item in unspecified)
    with pytest.raises(BadInputError, match="bacterial, viral, covid19"):
        check_classes(datalist.with_sections(training=normals + unlabelled), "cross_entropy")


def test_what_stands_for_no_pneumonia_is_told_where_no_class_is_called_normal(
    phantom_datalist: Path, caplog: pytest.LogCaptureFixture
) -> None:
    datalist = load_datalist(phantom_datalist)
    items = (replace(datalist.training[0], label="healthy"), replace(datalist.training[1], label="viral"))
    check_classes(replace(datalist, labels=LabelSpace.of(("healthy", "viral")), training=items), "cross_entropy")
    assert "'healthy', the first, is taken to mean no pneumonia" in caplog.text


@pytest.mark.parametrize(
    ("kind", "asked", "told"),
    [
        ("unknown", {"guided": True, "outlined_share": 0.2}, "`attention#guided`, `attention#outlined_share`, `regulation#enabled`"),
        ("empty", {"guided": True, "outlined_share": 0.2}, "`attention#guided`, `regulation#enabled`"),
        ("unknown", {}, "`regulation#enabled`"),
        ("unknown", {"enabled": False, "guided": True}, None),
        ("box", {"guided": True, "outlined_share": 0.2}, None),
    ],
)
def test_keys_that_ask_for_outlines_are_told_where_there_is_none(
    phantom_datalist: Path, caplog: pytest.LogCaptureFixture, kind: str, asked: dict[str, Any], told: str | None
) -> None:
    datalist = load_datalist(phantom_datalist)
    bare = [replace(item, mask=None, mask_kind="unknown") for item in datalist.training]
    datalist = datalist.with_sections(training=(replace(bare[0], mask_kind=kind), *bare[1:]))
    attention = {**SETTINGS["attention"], "outlined_share": 0.0, **asked}
    settings = {**SETTINGS, "attention": attention, "regulation": {"enabled": attention["enabled"]}}
    check_training(settings, datalist, str(phantom_datalist))
    warnings = [record.getMessage() for record in caplog.records if "outlined" in record.getMessage()]
    expected = f"0 of {len(bare)} training pictures are outlined, so there is no effect of {told}"
    assert warnings == ([expected] if told else [])


def test_a_fold_may_make_the_validation_section(phantom_datalist: Path, tmp_path: Path) -> None:
    content = json.loads(phantom_datalist.read_text())
    for section in ("training", "validation", "testing"):
        for item in content[section]:
            item |= {"image": str(phantom_datalist.parent / item["image"]), "mask": None}
    path = tmp_path / "joined.json"
    path.write_text(json.dumps({**content, "training": content["training"] + content["validation"], "validation": []}))
    with pytest.raises(BadInputError, match="'validation' is empty"):
        check_data(run_datalist(SETTINGS, str(path)), str(path), ("training", "validation"))
    check_data(run_datalist({**SETTINGS, "fold": 0, "n_folds": 3}, str(path)), str(path), ("training", "validation"))


def test_processes_share_batches_and_sections(phantom_datalist: Path) -> None:
    check_settings({"batch_size": 6}, processes=3)
    with pytest.raises(UsageError, match=r"`batch_size` .* multiple of 4, got 6"):
        check_settings({"batch_size": 6}, processes=4)
    with pytest.raises(BadInputError, match=r"'validation' has 6 picture\(s\) for 7 processes"):
        check_data(load_datalist(phantom_datalist), str(phantom_datalist), ("training", "validation"), processes=7)


@pytest.fixture(scope="module")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle"))


SETTINGS = {
    "backbone": "efficientnet-b0",
    "normalization": "batch",
    "fold": None,
    "n_folds": 5,
    "label_fraction": 1.0,
    "seed": 0,
    "loss": {"name": "cross_entropy", "logit_adjustment": 0.0},
    "attention": {"enabled": True, "guided": False, "weight": 0.0, "outlined_share": 0.2},
    "regulation": {"enabled": False},
    "key_metric": "macro_auc",
    "pretrained_encoder": None,
}


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({}, None, ""),
        ({"arguments": ["run", "--config_file", CONFIG, "--max_epoch", "1"]}, 2, "max_epochs"),
        ({"settings": {**SETTINGS, "backbone": "resnet19"}}, 2, "`backbone`"),
        ({"settings": {**SETTINGS, "key_metric": "auc_of_nothing"}}, 2, "`key_metric`"),
        ({"settings": {**SETTINGS, "pretrained_encoder": "file"}}, 2, "`pretrained_encoder`"),
        ({"device": "cuda:99"}, 2, "`device`"),
        ({"bundle_root": "."}, 2, "is no bundle"),
        ({"datalist_path": "nowhere.json"}, 2, "nowhere.json"),
        ({"datalist_path": "no_covid.json"}, 2, "no training item tells of class covid19"),
        ({"datalist_path": "no_masks.json"}, None, ""),
        ({"datalist_path": "no_masks.json", "settings": {**SETTINGS, "regulation": {"enabled": True}}}, 2, "gone.png does not exist"),
        ({"output_dir": "file/below"}, 7, "file/below"),
        ({"bundle_root": "flat"}, 7, "flat/models"),
    ],
)
def test_a_training_that_cannot_work_ends_with_one_line(
    tiny_bundle: Path,
    phantom_datalist: Path,
    change: dict[str, Any],
    code: int | None,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    shutil.copytree(tiny_bundle / "configs", tmp_path / "flat" / "configs")
    (tmp_path / "flat" / "models").touch()
    content = json.loads(phantom_datalist.read_text())
    items = [{**item, "image": str(phantom_datalist.parent / item["image"]), "mask": None} for item in content["training"]]
    kept = [item for item in items if item["label"] not in ("covid19", "pneumonia_unspecified")]
    (tmp_path / "no_covid.json").write_text(json.dumps({**content, "training": kept, "validation": kept[:3], "testing": []}))
    lost = [{**item, "mask": "gone.png", "mask_kind": "pixel"} for item in items]
    (tmp_path / "no_masks.json").write_text(json.dumps({**content, "training": lost, "validation": lost[:3], "testing": []}))
    given = {
        "settings": SETTINGS,
        "bundle_root": str(tiny_bundle),
        "datalist_path": str(phantom_datalist),
        "sections": ("training", "validation"),
        "output_dir": "new/folder",
        "device": "cpu",
        "arguments": [],
        **change,
    }
    _check_end(lambda: preflight(**given), code, told, capsys)
    assert not (tmp_path / "new").exists()


def _check_end(run: Callable[[], None], code: int | None, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    if code is None:
        run()
        return
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == code
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert told in errors[0]


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({}, None, ""),
        ({"arguments": ["run", "--config_file", CONFIG, "--max_epoch", "1"]}, 2, "max_epochs"),
        ({"device": "cuda:99"}, 2, "`device`"),
        ({"section": "tests"}, 2, "tests"),
        ({"settings": {"batch_size": 0}}, 2, "`batch_size`"),
        ({"output_dir": "file/below"}, 7, "file/below"),
        ({"output_dir": "full", "overwrite": False}, 2, "predictions.csv already"),
        ({"input_path": "nowhere"}, 4, "nowhere"),
        ({"input_path": "empty"}, 3, "holds no file"),
        ({"bundle_root": "empty"}, 6, "metadata.json"),
    ],
)
def test_a_recognition_that_cannot_work_ends_with_one_line(
    tiny_bundle: Path,
    change: dict[str, Any],
    code: int | None,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "full", "pictures"):
        (tmp_path / folder).mkdir()
    for name in ("file", "full/predictions.csv", "pictures/a.png"):
        (tmp_path / name).touch()
    given = {
        "bundle_root": str(tiny_bundle),
        "input_path": "pictures",
        "section": "testing",
        "output_dir": "new",
        "device": "cpu",
        "arguments": [],
        **change,
    }
    _check_end(lambda: preflight_recognition(**given), code, told, capsys)
    assert not (tmp_path / "new").exists()
