"""``studio doctor``: everything about an installation but the values of its keys."""

import importlib.metadata
from pathlib import Path

import pytest

import studio
from studio.gallery.findings import Verification
from studio.workspace.workspace import Workspace
from tests.cli.conftest import Cli
from tests.support.records import flat, run_record


def test_doctor_knows_the_installation(cli: Cli, tmp_path: Path) -> None:
    answer = cli("doctor", "--json")
    assert answer.code == 0, answer.json["problems"]
    found = answer.json
    assert found["versions"]["studio"] == studio.__version__
    assert found["versions"]["torch"]
    assert found["device"]
    assert 0 < found["memory"]["available"] <= found["memory"]["total"]
    assert found["paths"]["OUTPUTS"]["path"] == str(tmp_path / "outputs")
    assert found["paths"]["MODEL_BASE_PATH"]["writable"]
    assert found["keys"] == {"CIVITAI_API_KEY": False, "HF_TOKEN": False}
    assert found["presets"]["models_with_weights"] >= 1
    assert found["problems"] == []


def test_keys_are_there_or_not_and_never_shown(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "sesame-in-environment")
    (tmp_path / ".env").write_text("CIVITAI_API_KEY=sesame-in-file\n")
    for arguments in ((), ("--json",)):
        answer = cli("doctor", *arguments)
        assert answer.code == 0
        assert "sesame" not in answer.out + answer.err
    assert answer.json["keys"] == {"CIVITAI_API_KEY": True, "HF_TOKEN": True}


def test_a_problem_is_named_and_ends_with_1(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "bad.yaml").write_text("loras:\n  - label: nothing else\n")
    answer = cli("doctor", "--presets", "mine")
    assert answer.code == 1
    assert "bad.yaml" in answer.out


def test_an_unknown_device_is_one_problem_among_the_findings(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVICE", "foo")
    answer = cli("doctor", "--json")
    assert answer.code == 1
    assert answer.json["device"] is None
    assert answer.json["presets"]["models"] > 0
    (problem,) = answer.json["problems"]
    assert "'foo'" in problem
    people = cli("doctor")
    assert people.code == 1
    for words in ("Versions", "Paths", "not known", "'foo'"):
        assert words in people.out


def test_outputs_that_cannot_be_used_are_a_problem(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("OUTPUTS", "file/pictures")
    answer = cli("doctor", "--json")
    assert answer.code == 1
    assert answer.json["versions"]["torch"]
    assert not answer.json["paths"]["OUTPUTS"]["writable"]
    assert any("file/pictures" in problem for problem in answer.json["problems"])
    assert cli("doctor").code == 1


def test_a_missing_library_is_a_problem(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.distribution

    def without_compel(name: str) -> importlib.metadata.Distribution:
        if name == "compel":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "distribution", without_compel)
    answer = cli("doctor", "--json")
    assert answer.code == 1
    assert answer.json["versions"]["compel"] is None
    (problem,) = answer.json["problems"]
    assert problem.startswith("compel is not installed.")


def test_doctor_says_what_memory_there_is_and_how_it_is_used(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVICE", "cpu")
    monkeypatch.setenv("MEMORY_BUDGET_GB", "3")
    found = cli("doctor", "--json").json["placement"]
    assert found == {
        "budget": 3 * 10**9,
        "dtype": "auto",
        "offload": "auto",
        "offload_in_words": "never: the device computes in main memory",
        "vae_tiling": "auto",
        "vae_slicing": "off",
    }
    assert "3.0 GB" in cli("doctor").out


def test_the_self_test_makes_and_verifies_pictures_with_the_real_classes(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them take a minute, so here it is two; ``tests/engine/test_matrix`` has the rest."""
    from studio.architecture import Architecture
    from studio.workspace import self_test

    two = [
        ("StableDiffusionPipeline", Architecture.SD15),
        ("ZImagePipeline", Architecture.ZIMAGE),
    ]
    monkeypatch.setattr(self_test, "runnable_pipelines", lambda: two)
    strengths: list[tuple[float, ...]] = []
    verify = Workspace.verify

    def seen(workspace: Workspace, path: Path) -> Verification:
        """The strengths of the LoRAs in each picture that is verified."""
        answer = verify(workspace, path)
        assert answer.record is not None
        strengths.append(tuple(lora.strength for lora in answer.record.receipt.loras))
        return answer

    monkeypatch.setattr(Workspace, "verify", seen)
    answer = cli("doctor", "--self-test", "--json")
    assert answer.code == 0, answer.json
    assert answer.json["ok"]
    for row, (pipeline, architecture) in zip(answer.json["pipelines"], two, strict=True):
        assert (row["pipeline"], row["architecture"]) == (pipeline, architecture.value)
        assert row["ok"]
        assert row["modules"] > 20
    expected = [(), (1.0,), (1.0, 1.0), (0.0,), ()]
    assert strengths == expected * len(two)


def test_the_self_test_names_what_fails_and_goes_on(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studio.architecture import Architecture
    from studio.workspace import self_test

    monkeypatch.setattr(
        self_test, "runnable_pipelines", lambda: [("StableDiffusionPipeline", Architecture.SD15)]
    )
    monkeypatch.setattr(self_test, "SIDE", 33)
    answer = cli("doctor", "--self-test")
    assert answer.code == 1
    assert "FAILED" in answer.out
    assert "0 of 1 kinds of pipelines" in answer.out


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"after": "other"}, "another one after a LoRA"),
        ({"one": "base"}, "does not change"),
        ({"both": "one"}, "second of two LoRAs"),
        ({"both": "base"}, "second of two LoRAs"),
        ({"zero": "one"}, "strength 0"),
    ],
)
def test_the_self_test_judges_every_picture(changed: dict[str, str], said: str) -> None:
    from studio.workspace.self_test import Pictures, wrong

    right = {"before": "base", "one": "one", "both": "both", "zero": "base", "after": "base"}
    colours = {name: flat(color=(n, 0, 0)) for n, name in enumerate((*right, "base", "other"))}
    made = {name: run_record(colours[kind]) for name, kind in (right | changed).items()}
    found = wrong(Pictures(**made))
    assert said in found
    assert bool(found) == bool(said)
