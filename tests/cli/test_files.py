"""``studio verify`` and ``studio inspect``: an answer for every file."""

import json
import os
import struct
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from tests.cli.conftest import Cli
from tests.support.cli_pictures import write_picture
from tests.support.records import newer_picture


def test_an_intact_picture_holds(cli: Cli, tmp_path: Path) -> None:
    plan = write_picture(tmp_path / "one.png")
    answer = cli("verify", tmp_path / "one.png", "--json")
    assert answer.code == 0, answer.out
    assert answer.json == {
        "file": str(tmp_path / "one.png"),
        "ok": True,
        "written_by": plan.release,
        "fingerprint": plan.fingerprint,
        "judged": "whole",
        "additions": [],
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


def test_a_picture_of_a_newer_studio_is_not_called_changed(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(newer_picture())
    answer = cli("verify", path, "--json")
    assert answer.code == 1
    assert [finding["code"] for finding in answer.json["findings"]] == ["newer_record"]
    assert cli("verify", path).out.startswith("newer ")
    path.write_bytes(newer_picture(spoiled=True))
    assert cli("verify", path).out.startswith("changed ")


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


FIELDS = [
    "architecture",
    "variant",
    "format",
    "evidence",
    "claims",
    "components",
    "modules",
    "ranks",
    "sha256",
    "autov2",
    "autov3",
    "trigger_hints",
]


def test_every_field_is_there_for_every_kind_of_file(cli: Cli, tmp_path: Path) -> None:
    lora_file(tmp_path / "ink.safetensors")
    embedding = {"emb_params": torch.zeros(4, 768)}
    save_file(embedding, tmp_path / "words.safetensors", {"modelspec.title": "words"})
    vae = {"decoder.conv_in.weight": torch.zeros(8, 4, 3, 3)}
    save_file(vae, tmp_path / "vae.safetensors")
    key = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    save_file({key: torch.zeros(320, 768)}, tmp_path / "model.safetensors")
    names = ["ink", "words", "vae", "model"]
    answer = cli("inspect", *[f"{name}.safetensors" for name in names], "--json")
    assert answer.code == 0, answer.err
    assert [line["kind"] for line in answer.lines] == ["lora", "embedding", "vae", "checkpoint"]
    assert [line["architecture"] for line in answer.lines] == ["sd15", "sd15", "unknown", "sd15"]
    for line in answer.lines:
        assert set(FIELDS) <= set(line)
        assert line["evidence"]
        assert line["autov2"] == line["sha256"][:10]


def test_a_pickle_is_called_one_and_never_opened(cli: Cli, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (os.system, (f"touch {tmp_path / 'hacked'}",))

    for name, zipped in (("old.pt", False), ("new.ckpt", True)):
        torch.save(Trap(), tmp_path / name, _use_new_zipfile_serialization=zipped)
        answer = cli("inspect", name, "--json")
        assert answer.code == 1
        assert "pickle" in answer.json["error"]["message"]
        assert "a pickle can run code" in answer.json["error"]["way_out"]
    assert not (tmp_path / "hacked").exists()


def test_a_picture_that_lost_its_texts_is_found_again(cli: Cli, tmp_path: Path) -> None:
    kept = tmp_path / "outputs" / "2026-11-29" / "one.png"
    kept.parent.mkdir(parents=True)
    write_picture(kept)
    assert cli("gallery", "reindex").code == 0
    with Image.open(kept) as image:
        image.save(tmp_path / "stripped.png")
    answer = cli("verify", tmp_path / "stripped.png", "--json")
    assert (answer.code, answer.json["judged"]) == (1, "damaged")
    assert answer.json["same_pixels"] == [str(kept)]
