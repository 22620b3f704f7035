"""The header's parser agrees with safetensors' own, and refuses hostile bytes cheaply."""

import json
import pickle
import tracemalloc
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import deserialize
from safetensors.torch import save, save_file

from studio.errors import HeaderError
from studio.inspection.header import (
    MAX_HEADER,
    MAX_METADATA,
    MAX_TENSORS,
    SafetensorsHeader,
    header_length,
    parse,
)
from studio.library.files import read_inspection
from tests.support.headers import framed

TENSOR = {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}


def read(text: bytes | str, data: int = 12) -> SafetensorsHeader:
    raw = framed(text.encode() if isinstance(text, str) else text)
    return parse(raw, len(raw) + data)


def of(entries: object, data: int = 12) -> SafetensorsHeader:
    return read(json.dumps(entries), data)


def refused(text: bytes | str, data: int = 12) -> str:
    with pytest.raises(HeaderError) as caught:
        read(text, data)
    return caught.value.reason


DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=4)),
        min_size=1,
        max_size=6,
    ).filter(lambda tensors: "__metadata__" not in tensors),
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
        max_size=4,
    ),
)
def test_real_files_read_as_their_writer_meant(
    tensors: dict[str, tuple[torch.dtype, list[int]]], metadata: dict[str, str]
) -> None:
    written = {name: torch.zeros(shape, dtype=dtype) for name, (dtype, shape) in tensors.items()}
    data = save(written, metadata)
    found = parse(data, len(data))
    assert dict(found.metadata) == metadata
    assert {name: info.shape for name, info in found.tensors.items()} == {
        name: tuple(tensor.shape) for name, tensor in written.items()
    }
    truth = dict(deserialize(data))
    for name, info in found.tensors.items():
        assert info.dtype == truth[name]["dtype"]
        assert data[found.size + info.start : found.size + info.end] == truth[name]["data"]


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_give_a_header_or_a_header_error(noise: bytes, frame: bool) -> None:
    data = framed(noise) if frame else noise
    try:
        found = parse(data, len(data))
    except HeaderError:
        return
    assert found.tensors


REAL = save({"a.lora_A.weight": torch.ones(4, 2), "b": torch.ones(3)}, {"ss_v2": "é\U0001f600"})


@given(
    st.integers(0, len(REAL) - 1),
    st.integers(0, 255),
    st.integers(0, len(REAL)),
    st.sampled_from(["flip", "cut", "insert"]),
)
def test_what_we_accept_safetensors_accepts(at: int, byte: int, cut: int, how: str) -> None:
    data = {
        "flip": REAL[:at] + bytes([byte]) + REAL[at + 1 :],
        "cut": REAL[:cut],
        "insert": REAL[:at] + bytes([byte]) + REAL[at:],
    }[how]
    try:
        found = parse(data, len(data))
    except HeaderError:
        return
    truth = dict(deserialize(data))
    assert {name: list(info.shape) for name, info in found.tensors.items()} == {
        name: entry["shape"] for name, entry in truth.items()
    }


@pytest.mark.parametrize(
    ("entries", "data", "reason"),
    [
        ({"a": {**TENSOR, "dtype": "F17"}}, 12, "unknown dtype 'F17'"),
        ({"a": {**TENSOR, "dtype": ["F16"]}}, 12, "unknown dtype"),
        ({"a": {**TENSOR, "shape": [2, 4]}}, 12, "is not 12 bytes"),
        ({"a": {**TENSOR, "shape": [2, -3]}}, 12, "no usable shape"),
        ({"a": {**TENSOR, "shape": [2.0, 3]}}, 12, "no usable shape"),
        ({"a": {**TENSOR, "shape": [True, 6]}}, 12, "no usable shape"),
        ({"a": {**TENSOR, "shape": [1] * 9}}, 12, "no usable shape"),
        ({"a": {**TENSOR, "data_offsets": [12, 0]}}, 12, "no usable data_offsets"),
        ({"a": {**TENSOR, "data_offsets": [0, 1 << 64]}}, 12, "no usable data_offsets"),
        ({"a": {"dtype": "F16", "shape": [2, 3]}}, 12, "not exactly"),
        ({"a": {**TENSOR, "more": 1}}, 12, "not exactly"),
        ({"a": TENSOR}, 11, "1 bytes of its tensors are missing"),
        ({"a": TENSOR}, 13, "1 stray bytes at its end"),
        ({"a": {**TENSOR, "data_offsets": [2, 14]}}, 14, "2 stray bytes before"),
        ({"a": TENSOR, "b": {**TENSOR, "data_offsets": [6, 18]}}, 18, "'b' overlaps"),
        ({"a": TENSOR, "b": {**TENSOR, "data_offsets": [14, 26]}}, 26, "hole before tensor 'b'"),
        ({"a": TENSOR, "__metadata__": []}, 12, "not a JSON object"),
        ({"__metadata__": {"k": "v"}}, 0, "no tensor"),
        ({}, 0, "no tensor"),
        ({"a": []}, 0, "not a small JSON object"),
        ([TENSOR], 12, "JSON"),
    ],
)
def test_lies_are_named(entries: object, data: int, reason: str) -> None:
    assert reason in refused(json.dumps(entries), data)


@pytest.mark.parametrize("metadata", [[], "text", 7, True])
def test_what_was_written_so_is_not_fetched_again(metadata: object) -> None:
    data = framed(json.dumps({"a": TENSOR, "__metadata__": metadata}).encode())
    with pytest.raises(HeaderError, match="not a JSON object") as refusal:
        parse(data, len(data) + 12)
    assert "brings the same" in refusal.value.way_out


def test_an_honest_header_is_taken() -> None:
    assert of({"a": TENSOR}).tensors["a"].shape == (2, 3)


def test_names_that_stand_twice() -> None:
    entry = json.dumps(TENSOR)
    assert "'a' is listed twice" in refused(f'{{"a": {entry}, "a": {entry}}}')
    assert "'a' is listed twice" in refused(f'{{"a": {entry}, "\\u0061": {entry}}}')
    twice = '"__metadata__": {"k": "1"}'
    assert "__metadata__ is listed twice" in refused(f'{{{twice}, "a": {entry}, {twice}}}')
    assert "metadata 'k' is listed twice" in refused(
        f'{{"__metadata__": {{"k": "1", "k": "2"}}, "a": {entry}}}'
    )
    inner = entry.replace('"dtype": "F16"', '"dtype": "F32", "dtype": "F16"')
    assert "not exactly" in refused(f'{{"a": {inner}}}')


def test_text_that_is_no_text() -> None:
    entry = json.dumps(TENSOR).encode()
    assert "not UTF-8" in refused(b'{"\xff": ' + entry + b"}")
    assert "not valid JSON or Unicode" in refused(b'{"\\ud800": ' + entry + b"}")
    assert "text after the JSON" in refused(b'{"a": ' + entry + b"} {}")
    assert "tensors" in repr(read(b'{"a": ' + entry + b"}   "))


@pytest.mark.parametrize(
    ("first", "name"),
    [
        (pickle.dumps({"a": 1}), "pickle"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"\n <html lang=en>" + b" " * 40, "web page"),
        (b"\xef\xbb\xbf<!doctype html>" + b" " * 40, "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git-LFS pointer"),
        (b'{"error": "Early Access"}', "JSON text"),
        (b"GGUF\x03\0\0\0" + b"\0" * 40, "GGUF"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "picture"),
        (b"\0" * 5000, "zeros"),
        (b"", "empty"),
        (b"abc", "only 3 bytes"),
        (b"plain words, no model at all", "claims"),
    ],
)
def test_what_it_is_instead(first: bytes, name: str) -> None:
    with pytest.raises(HeaderError) as caught:
        parse(first, len(first))
    assert name in caught.value.reason


@pytest.mark.parametrize(
    ("first", "way_out"),
    [
        (pickle.dumps({"a": 1}), "a pickle can run code"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "sign in"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"GGUF\x03\0\0\0" + b"\0" * 40, "safetensors files alone"),
        (b"\0" * 5000, "Fetch the file again"),
        (b"\xff" * 400, "Fetch the file again"),
    ],
)
def test_the_way_out_is_of_what_it_is(first: bytes, way_out: str) -> None:
    with pytest.raises(HeaderError) as caught:
        parse(first, len(first))
    assert way_out in caught.value.way_out


def test_torch_files_are_called_pickles(tmp_path: Path) -> None:
    for zipped in (True, False):
        torch.save({"a": torch.ones(2)}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
        data = (tmp_path / "a.pt").read_bytes()
        with pytest.raises(HeaderError, match="pickle"):
            parse(data, len(data))
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(HeaderError, match="zip archive"):
        parse(packed.getvalue(), len(packed.getvalue()))


def test_a_length_that_lies() -> None:
    for length in (MAX_HEADER + 1, 1 << 40, (1 << 64) - 1):
        with pytest.raises(HeaderError, match="more than the"):
            header_length(length.to_bytes(8, "little"))
    data = save({"a": torch.ones(2)})
    for end in range(len(data)):
        with pytest.raises(HeaderError):
            parse(data[:end], end)


HOSTILE = {
    "nested lists": b'{"a":' + b"[" * 4_000_000 + b"}",
    "empty lists": b'{"a":[' + b"[]," * 2_000_000 + b"[]]}",
    "nested objects": b'{"a":' * 1_000_000,
    "many tensors": b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    + b"".join(b',"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % n for n in range(20_000))
    + b"}",
    "one long name": b'{"' + b"a" * 8_000_000 + b'":1}',
    "escapes": b'{"__metadata__":{"k":"' + b'\\"' * 3_900_000 + b'"}}',
    "wide characters": b'{"__metadata__":{"k":"'
    + b"a" * 8_000_000
    + "\U0001f600".encode()
    + b'"}}',
    "many keys": b'{"__metadata__":{'
    + b",".join(b'"%d":"%d"' % (n, n) for n in range(10_000))
    + b"}}",
    "unfinished": b'{"a' + b'\\"' * 4_000_000,
    "spaces": b'{"a":{"dtype":' + b" " * 8_000_000 + b"}}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers_cost_a_few_megabytes(name: str) -> None:
    data = framed(HOSTILE[name])
    tracemalloc.start()
    try:
        with pytest.raises(HeaderError):
            parse(data, len(data))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000


def test_long_metadata_is_left_out_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    metadata = {"ss_tag_frequency": "x" * (MAX_METADATA + 1), "ss_output_name": "kept"}
    save_file({"a": torch.ones(2)}, path, metadata)
    found = parse(path.read_bytes(), path.stat().st_size)
    assert dict(found.metadata) == {"ss_output_name": "kept"}
    assert found.left_out == {"ss_tag_frequency": MAX_METADATA + 3}


def test_as_many_tensors_as_are_allowed() -> None:
    def many(count: int) -> str:
        entry = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
        return "{" + ",".join(f'"{n}":{entry}' for n in range(count)) + "}"

    assert len(read(many(MAX_TENSORS), 0).tensors) == MAX_TENSORS
    assert "more than 16,384 tensors" in refused(many(MAX_TENSORS + 1), 0)


LONG_NAMES = (
    "{"
    + ",".join(
        f'"{n}{"n" * 480}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for n in range(8000)
    )
    + "}"
)


@pytest.mark.parametrize(
    "text",
    [
        LONG_NAMES.encode(),
        HOSTILE["many tensors"],
        HOSTILE["spaces"],
        b'{"__metadata__":{"ss_tag_frequency":"' + b"x" * 7_900_000 + b'"}}',
    ],
    ids=["long names", "many tensors", "spaces", "metadata"],
)
def test_a_hostile_file_costs_little_more_than_its_header(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(framed(text))
    tracemalloc.start()
    try:
        with pytest.raises(HeaderError):
            read_inspection(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - path.stat().st_size < 6_000_000


@pytest.mark.parametrize("length", [MAX_HEADER, MAX_HEADER + 1, 1 << 40, (1 << 64) - 1])
def test_a_length_that_lies_reserves_nothing(length: int, tmp_path: Path) -> None:
    path = tmp_path / "lying.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{" * 4000)
    tracemalloc.start()
    try:
        with pytest.raises(HeaderError):
            read_inspection(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_names_are_capped_one_by_one_and_in_all() -> None:
    assert "names of its tensors take more than" in refused(LONG_NAMES, 0)
    assert "a name of 602 bytes" in refused(json.dumps({"n" * 600: TENSOR}))
