"""``studio publish``, ``keys`` and ``verify`` of what they made."""

from pathlib import Path

import pytest

from studio.gallery import record_png
from studio.imaging import png
from tests.cli.conftest import Cli
from tests.support.records import newer_picture, noise, run_record


def test_a_copy_for_others_is_signed_and_verified(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(record_png.encode(noise(), run_record(noise())))
    assert cli("keys", "--json").json == {"sign": None}
    monkeypatch.setenv("SIGN", "local")
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    root = tmp_path / "root.pem"
    shown = cli("keys", "--export-root", root, "--json")
    assert (shown.code, shown.json["sign"], shown.json["others_can_read"]) == (0, "local", False)
    assert "PRIVATE" not in shown.out + shown.err + root.read_text()
    made = cli("publish", picture, "--tell", "facts", "--format", "webp", "--json")
    assert (made.code, made.json["signed"]) == (0, True)
    said = cli("verify", made.json["file"], "--json").json
    assert (said["ok"], said["signature"]["state"]) == (True, "valid")
    assert said["statement"]["loras"][0]["applied"] == 38
    monkeypatch.setenv("TRUST", str(root))
    said = cli("verify", made.json["file"], "--json").json
    assert said["signature"]["state"] == "trusted"
    assert cli("publish", tmp_path / "gone.png").code == 1
    (tmp_path / "newer.png").write_bytes(newer_picture())
    assert cli("publish", tmp_path / "newer.png").code == 1
    monkeypatch.setenv("SIGN", str(root))
    assert "no private key" in cli("publish", picture).err


def test_a_folder_named_like_a_picture_is_refused(cli: Cli, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(record_png.encode(noise(), run_record(noise())))
    said = cli("publish", picture, "--to", tmp_path / "copy.JPG")
    assert said.code == 1
    assert "--to takes a folder" in said.err
    assert [each.name for each in tmp_path.iterdir()] == ["picture.png"]


def test_a_broken_signature_is_told_once(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGN", "local")
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    picture = tmp_path / "picture.png"
    picture.write_bytes(record_png.encode(noise(), run_record(noise())))
    signed = Path(cli("publish", picture, "--tell", "marks", "--json").json["file"])
    data = signed.read_bytes()
    signed.write_bytes(data[:-12] + png.serialize("tEXt", b"Comment\0x") + data[-12:])
    said = cli("verify", signed)
    assert (said.code, said.out.count("ignature is broken")) == (1, 1)
