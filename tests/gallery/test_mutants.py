"""A bounded sample of ``benchmarks.provenance``: tampered files are never called whole."""

from pathlib import Path

from tests.support.mutants import false_wholes

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("schema_*/outputs/*/*.png"))


def test_no_mutant_of_a_golden_picture_is_called_whole() -> None:
    files = [each.read_bytes() for each in GOLDEN if ".comparison." not in each.name]
    assert list(false_wholes(files, 300)) == []
