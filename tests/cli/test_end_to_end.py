"""The real ``studio`` on the embedded model, as a shell runs it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from PIL import Image

from studio.contract.receipt import RunRecord
from tests.cli.conftest import Cli

STUDIO = Path(sys.executable).with_name("studio")
PROMPT = ("--prompt", "a rocket on a blue background", "--seed", "7", "--steps", "4")
INK = ("--base", "mini", "--lora", "pen-ink-mini", "--mode", "lora_with_trigger", *PROMPT)
PATIENCE = 500


def studio(*arguments: str, without: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Args:
    without: a folder; peft, which only the tests ask for, is then as good as not installed.
    """
    environment = dict(os.environ)
    if without is not None:
        (without / "sitecustomize.py").write_text('import sys\n\nsys.modules["peft"] = None\n')
        environment["PYTHONPATH"] = str(without)
    return subprocess.run(
        [STUDIO, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=environment,
    )


def pngs(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.png"))


def test_from_plan_to_a_picture_that_verifies(cli: Cli, tmp_path: Path) -> None:
    plan = cli("plan", *INK, "--json")
    assert plan.code == 0, plan.err
    made = studio("generate", *INK, "--count", "2", "--output-dir", "pictures", without=tmp_path)
    assert made.returncode == 0, made.stderr
    images = pngs(tmp_path / "pictures")
    assert [path for path in images if str(path) in made.stdout] == images
    assert "\x1b" not in made.stdout + made.stderr
    assert "%|" not in made.stdout + made.stderr
    records = [record_of(path) for path in images]
    assert {record.receipt.image.seed for record in records} == {7, 8}
    for record in records:
        assert record.plan.count == 2
        (lora,) = record.receipt.loras
        assert lora.sha256 == plan.json["loras"][0]["sha256"]
        assert all(part.applied == part.targeted > 0 for part in lora.components)
        assert record.receipt.layer_effect is not None
        assert record.receipt.layer_effect > 0
    held = cli("verify", *images, "--json")
    assert held.code == 0, held.out
    flip_a_byte(images[0])
    assert cli("verify", *images).code == 1


def record_of(path: Path) -> RunRecord:
    with Image.open(path) as image:
        return RunRecord.model_validate_json(image.info["lora-studio"])


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_the_lora_is_what_differs(cli: Cli) -> None:
    ink = cli("generate", *INK, "--json")
    base = cli("generate", "--base", "mini", "--mode", "base", *PROMPT, "--json")
    again = cli("generate", *INK, "--json")
    assert (ink.code, base.code, again.code) == (0, 0, 0), ink.err + base.err
    pixels = [
        answer.json["record"]["receipt"]["image"]["pixels_sha256"] for answer in (ink, base, again)
    ]
    assert pixels[0] == pixels[2]
    assert pixels[0] != pixels[1]
    assert base.json["record"]["receipt"]["loras"] == []
    listed = cli("gallery", "list", "--json").json
    assert listed["total"] == 3
    assert sorted(item["mode"] for item in listed["pictures"]) == [
        "base",
        "lora_with_trigger",
        "lora_with_trigger",
    ]


def test_ctrl_c_leaves_no_picture(tmp_path: Path) -> None:
    arguments = ("generate", *INK[:-1], "200", "--width", "256", "--height", "256", "--json")
    process = subprocess.Popen(
        [STUDIO, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if line.startswith("Image 1 of 1"):
            break
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said + rest
    assert json.loads(out)["cancelled"] is True
    assert "Traceback" not in said + rest
    assert pngs(tmp_path) == []


def test_all_violations_end_with_2() -> None:
    made = studio(
        *("generate", "--base", "mini", "--mode", "base", "--lora", "pen-ink-mini"),
        *("--prompt", "a rocket, phrsink", "--steps", "0", "--json"),
    )
    assert made.returncode == 2
    assert len(json.loads(made.stdout)["violations"]) >= 3
