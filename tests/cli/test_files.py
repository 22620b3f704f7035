"""``studio verify`` and ``studio inspect``: an answer for every file."""

import json
import struct
from pathlib import Path

from tests.cli.conftest import Cli
from tests.cli.pictures import write_picture


def test_an_intact_picture_holds(cli: Cli, tmp_path: Path) -> None:
    plan = write_picture(tmp_path / "one.png")
    answer = cli("verify", tmp_path / "one.png", "--json")
    assert answer.code == 0, answer.out
    assert answer.json == {
        "file": str(tmp_path / "one.png"),
        "ok": True,
        "fingerprint": plan.fingerprint,
        "findings": [],
    }


def test_a_flipped_byte_is_refused(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    write_picture(path)
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    answer = cli("verify", path, "--json")
    assert answer.code == 1
    assert not answer.json["ok"]
    assert answer.json["findings"]
    assert "changed" in cli("verify", path).out


def test_every_file_gets_its_line(cli: Cli, tmp_path: Path) -> None:
    write_picture(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    answer = cli("verify", "bad.png", "good.png", "missing.png", "--json")
    assert answer.code == 1
    assert [line["ok"] for line in answer.lines] == [False, True, False]
    assert [line["file"] for line in answer.lines] == ["bad.png", "good.png", "missing.png"]
    assert "Traceback" not in answer.err


def lora_file(path: Path, reads: int = 768) -> None:
    """A LoRA on one layer of an SD1.5 UNet, in the diffusers format."""
    layer = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora"
    shapes = {f"{layer}_A.weight": [4, reads], f"{layer}_B.weight": [640, 4]}
    header, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * shape[0] * shape[1]
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))


def test_inspect_tells_what_a_lora_is(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "loras").mkdir()
    lora_file(tmp_path / "loras" / "ink.safetensors")
    answer = cli("inspect", "loras/ink.safetensors", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["file"] == "loras/ink.safetensors"
    assert answer.json["architecture"] == "sd15"
    assert "sd15" in cli("inspect", "loras/ink.safetensors").out


def test_inspect_goes_on_after_a_broken_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 64)
    lora_file(tmp_path / "ink.safetensors")
    answer = cli("inspect", "bad.safetensors", "missing", "ink.safetensors", "--json")
    assert answer.code == 1
    broken, missing, good = answer.lines
    assert broken["error"]["code"] == "header"
    assert missing["error"]["message"]
    assert "error" not in good
    assert "Traceback" not in answer.err


def test_no_file_is_a_wrong_command_line(cli: Cli) -> None:
    assert cli("verify").code == 64
    assert cli("inspect").code == 64
