"""``studio review``: decide, export, import."""

import json
from pathlib import Path

from studio.gallery import Gallery
from tests.cli.conftest import Cli
from tests.support.records import flat, run_record

PAGE = Path(__file__).parents[2] / "docs" / "comparisons.md"
UNKNOWN = "0" * 64


def test_the_command_line_decides_exports_and_imports(cli: Cli, tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "outputs")
    path = gallery.save(flat(), run_record(flat()))
    made = cli("review", "set", path, "approve", "--note", "clean lines", "--json")
    assert made.code == 0, made.err
    fingerprint = made.json["record_fingerprint"]
    (line,) = cli("review", "export").lines
    assert line["decision"]["note"] == "clean lines"
    assert cli("review", "export", "--format", "csv", "--output", "d.csv").code == 0
    assert "clean lines" in Path("d.csv").read_text()
    scores = tmp_path / "scores.jsonl"
    scores.write_text(json.dumps({"record_fingerprint": fingerprint, "critic": "c", "score": 1.0}))
    assert cli("review", "import", scores).code == 0
    scores.write_text(json.dumps({"record_fingerprint": UNKNOWN, "critic": "c", "score": 1.0}))
    refused = cli("review", "import", scores, "--json")
    assert refused.code == 1
    assert refused.json["refused"][0]["line"] == 1
    assert cli("review", "set", path, "score").code == 64
    assert cli("review", "set", path, "note").code == 1


def test_an_export_goes_on_past_odd_breaks_and_names_what_was_cut_off(
    cli: Cli, tmp_path: Path
) -> None:
    gallery = Gallery(tmp_path / "outputs")
    path = gallery.save(flat(), run_record(flat()))
    assert cli("review", "set", path, "note", "--note", "first\u2028second").code == 0
    (place,) = gallery.decisions.folder.iterdir()
    with place.open("a") as stream:
        stream.write('{"at": "cut o')
    exported = cli("review", "export")
    assert exported.code == 0, exported.err
    whole = json.loads(exported.out)
    assert whole["decision"]["note"] == "first\u2028second"
    name = path.relative_to(gallery.outputs).as_posix()
    assert f"The last decision on {name} was cut off" in exported.err


def test_page_and_help_show_a_line_that_is_taken(cli: Cli, tmp_path: Path) -> None:
    (shown,) = [
        line for line in PAGE.read_text().splitlines() if line.startswith('{"record_fingerprint')
    ]
    assert shown in cli("review", "import", "--help").out
    gallery = Gallery(tmp_path / "outputs")
    record = run_record(flat())
    gallery.save(flat(), record)
    scores = tmp_path / "scores.jsonl"
    scores.write_text(shown.replace("FINGERPRINT", record.fingerprint))
    assert cli("review", "import", scores).code == 0
    (line,) = cli("review", "export").lines
    found, said = line["decision"], json.loads(shown)
    assert [found["by"], found["score"], found["note"]] == [
        said[name] for name in ("critic", "score", "note")
    ]
