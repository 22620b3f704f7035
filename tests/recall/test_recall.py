"""Any tool's picture is a beginning: what it says is read, and nothing else is made of it."""

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.architecture import Mode
from studio.contract.request import PartStrength
from studio.errors import RecallError
from studio.imaging.embedded_text import embedded_texts
from studio.recall import comfyui
from studio.recall.read import read, read_parameters
from studio.recall.request import KnownBy, Shelved, fill
from studio.recall.said import Said, SaidWeights
from tests.support import foreign_pictures as made

BASE = Shelved("dreamy", "Dreamy", ("dreamy_v8.safetensors",), civitai_version=77)
LORA = Shelved(
    "pen-ink", "Pen Ink", ("pen-ink_V2.safetensors",), civitai_version=456, triggers=("phrsink",)
)
ANCESTRAL = "EulerAncestralDiscreteScheduler"


def recalled(said: Said, *loras: Shelved, base: Shelved = BASE) -> Any:
    return fill(said, [base], loras or [LORA], drawn=9)


@pytest.mark.parametrize("tool", sorted(made.TEXTS))
def test_every_tool_says_the_same_picture(tool: str) -> None:
    said = read(embedded_texts(made.png(made.TEXTS[tool])))
    assert (said.prompt, said.negative_prompt) == (made.PROMPT, made.NEGATIVE)
    assert (said.seed, said.steps, said.guidance_scale) == (4242, 28, 6.5)
    assert (said.width, said.height, said.clip_skip) == (640, 512, 2)
    found = recalled(said)
    assert (found.request.base, found.missing) == ("dreamy", ())
    assert [(each.slug, each.strength) for each in found.request.loras] == [("pen-ink", 0.8)]
    assert found.request.mode is Mode.LORA_WITH_TRIGGER
    assert found.request.settings.scheduler == ANCESTRAL
    assert not found.verified


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("tool", ["a1111", "comfyui", "fooocus", "swarmui"])
def test_jpeg_and_webp_say_what_png_says(tool: str, kind: str) -> None:
    texts = made.TEXTS[tool]
    assert read(embedded_texts(made.with_exif(texts, kind))) == read(texts)


def test_flux_of_comfyui_and_of_forge() -> None:
    graph = read({"prompt": json.dumps(made.comfy_flux_graph())})
    forge = read_parameters(made.FORGE_FLUX)
    for said in (graph, forge):
        assert (said.guidance_scale, said.true_cfg_scale) == (3.5, None)
        assert (said.seed, said.width, said.height, said.prompt) == (4242, 640, 512, made.PROMPT)
        assert [(each.strength) for each in said.loras] == [0.8]
    assert (graph.steps, graph.sampler) == (28, "euler")
    assert graph.left == ()


def test_a_file_is_known_by_its_hash_before_its_name() -> None:
    said = read_parameters(made.A1111)
    other = Shelved("renamed", "Renamed", ("x.safetensors",), "ff" * 32, made.LORA_HASH + "0" * 52)
    found = recalled(said, LORA, other)
    assert [(each.slug, each.by) for each in found.matched] == [
        ("dreamy", KnownBy.NAME),
        ("renamed", KnownBy.AUTOV3),
    ]
    sha = replace(LORA, sha256=made.LORA_HASH + "0" * 52)
    assert recalled(said, sha).matched[1].by is KnownBy.AUTOV2
    assert recalled(read_parameters(made.CIVITAI)).matched[1].by is KnownBy.VERSION


def test_a_name_whose_hash_says_otherwise_is_not_taken() -> None:
    other = replace(LORA, sha256="ee" * 32, tensors_sha256="dd" * 32)
    found = recalled(read_parameters(made.A1111), other)
    assert [each.said.name for each in found.missing] == ["Pen Ink_v2"]
    assert (found.request.loras, found.request.mode) == ((), Mode.BASE)


def test_what_is_missing_has_its_way_out() -> None:
    found = fill(read_parameters(made.CIVITAI), [], [], drawn=9)
    assert [each.said.civitai_version for each in found.missing] == [77, 456]
    assert all(str(each.said.civitai_version) in each.way_out for each in found.missing)
    assert found.request.base == ""


def test_without_trigger_words_in_the_text_none_are_asked_for() -> None:
    said = replace(read_parameters(made.A1111), prompt="a fox")
    assert recalled(said).request.mode is Mode.LORA


def test_what_a_request_cannot_say_is_named() -> None:
    said = read_parameters(
        "x <lora:a b:0.8:0.2:lbw=OUTALL> <lora:c:q>\n"
        "Steps: 3, Sampler: Restart, Seed: 1, Size: 8x8, "
        'Denoising strength: 0.4, Refiner: other, TI hashes: "bad: 123", Version: v1'
    )
    found = recalled(said)
    text_encoders = (PartStrength(part="te", strength=0.8),)
    assert said.loras == (SaidWeights("a b", None, 0.2, parts=text_encoders),)
    for part in ("OUTALL", "<lora:c:q>", "0.4", "other", "bad", "Restart"):
        assert any(part in sentence for sentence in found.left), part


def edited(change: str) -> dict[str, Any]:
    graph = made.comfy_graph()
    if change == "unknown model node":
        graph["20"] = made.node("FreeU_V2", model=["10", 0])
        graph["3"]["inputs"]["model"] = ["20", 0]
    if change == "control net":
        graph["20"] = made.node("ControlNetApplyAdvanced", positive=["6", 0], negative=["7", 0])
        graph["3"]["inputs"]["positive"] = ["20", 0]
    if change == "second pass":
        graph["21"] = made.node("LatentUpscale", samples=["3", 0], width=1280, height=1024)
        inputs = {**graph["3"]["inputs"], "latent_image": ["21", 0], "denoise": 0.5, "seed": 1}
        graph = {"2": made.node("KSampler", **inputs), **graph}
    if change == "from a picture":
        graph["5"] = made.node("VAEEncode", pixels=["30", 0])
        graph["30"] = made.node("LoadImage", image="a.png")
    return graph


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("unknown model node", "FreeU_V2"),
        ("control net", "ControlNetApplyAdvanced"),
        ("second pass", "KSampler"),
        ("from a picture", "VAEEncode"),
    ],
)
def test_what_stands_on_the_ways_of_a_graph_is_named(change: str, word: str) -> None:
    said = comfyui.read(json.dumps(edited(change)))
    assert any(word in sentence for sentence in said.left)
    assert (said.seed, said.prompt) == (4242, made.PROMPT)
    assert [(each.name, each.strength) for each in said.loras] == [
        ("styles\\Pen Ink_v2.safetensors", 0.8)
    ]


@pytest.mark.parametrize("tool", ["a1111", "comfyui", "swarmui"])
def test_the_text_encoders_strength_is_read_where_it_is_another_one(tool: str) -> None:
    graph = made.comfy_graph()
    graph["10"]["inputs"]["strength_clip"] = 0.3
    swarm = json.dumps(made.SWARM).replace('"loraw', '"loratencweights": ["0.3"], "loraw')
    texts = {
        "a1111": {"parameters": made.A1111.replace(":0.8>", ":0.3:0.8>")},
        "comfyui": {"prompt": json.dumps(graph), "workflow": "{}"},
        "swarmui": {"parameters": swarm},
    }
    (lora,) = recalled(read(texts[tool])).request.loras
    assert (lora.strength, lora.finer) == (0.8, "te=0.3")


def test_loras_of_stacks_and_of_switched_rows() -> None:
    graph = made.comfy_graph()
    graph["10"] = made.node(
        "Power Lora Loader (rgthree)",
        lora_1={"on": True, "lora": "a.safetensors", "strength": 0.5},
        lora_2={"on": False, "lora": "b.safetensors", "strength": 1},
        model=["13", 0],
        clip=["4", 1],
    )
    graph["13"] = made.node("CR Apply LoRA Stack", lora_stack=["14", 0], model=["4", 0])
    graph["14"] = made.node(
        "CR LoRA Stack",
        switch_1="On",
        lora_name_1="c.safetensors",
        model_weight_1=0.7,
        switch_2="Off",
        lora_name_2="d.safetensors",
        model_weight_2=1,
    )
    said = comfyui.read(json.dumps(graph))
    assert [(each.name, each.strength) for each in said.loras] == [
        ("a.safetensors", 0.5),
        ("c.safetensors", 0.7),
    ]


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"Software": "Photoshop"},
        {"parameters": '{"a": 1}'},
        {"parameters": "{" * 100_000},
        {"prompt": "[" * 200_000 + "{"},
        {"prompt": "{" + "[" * 200_000},
        {"prompt": '{"1": {"class_type": "SaveImage", "inputs": {}}}'},
        {"prompt": '{"x": ' + "1" * 5_000_000 + "}"},
        {"invokeai_metadata": "[1]"},
    ],
)
def test_what_says_nothing_is_refused(texts: dict[str, str]) -> None:
    started = time.perf_counter()
    with pytest.raises(RecallError):
        read(texts)
    assert time.perf_counter() - started < 5


def test_a_graph_that_runs_in_circles_ends() -> None:
    graph = made.comfy_graph()
    graph["10"]["inputs"]["model"] = ["10", 0]
    graph["12"]["inputs"]["value"] = ["12", 0]
    graph["11"]["inputs"]["clip"] = ["11", 0]
    said = comfyui.read(json.dumps(graph))
    assert (said.base, said.prompt) == (None, "")


scalars = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


@given(st.sampled_from(["invokeai_metadata", "parameters"]), st.data())
def test_values_of_any_type_are_read_or_left(key: str, data: st.DataObject) -> None:
    whole = {"invokeai_metadata": made.INVOKE, "parameters": made.FOOOCUS}[key]
    changed = {**whole, data.draw(st.sampled_from(sorted(whole))): data.draw(anything)}
    for value in (changed, {"sui_image_params": changed, "sui_models": [changed]}):
        try:
            fill(read({key: json.dumps(value)}), [BASE], [LORA], drawn=9)
        except RecallError:
            continue


@given(st.data())
def test_graphs_with_values_of_any_type_are_read_or_refused(data: st.DataObject) -> None:
    graph = made.comfy_graph()
    inputs = graph[data.draw(st.sampled_from(sorted(graph)))]["inputs"]
    inputs[data.draw(st.sampled_from([*sorted(inputs), "lora_name_1"]))] = data.draw(anything)
    try:
        fill(comfyui.read(json.dumps(graph)), [BASE], [LORA], drawn=9)
    except RecallError:
        return


@given(st.binary(max_size=200))
def test_bytes_that_are_no_picture_are_refused(data: bytes) -> None:
    with pytest.raises(RecallError):
        embedded_texts(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_cut_off_anywhere_ends_in_an_answer(kind: str) -> None:
    texts = made.TEXTS["a1111"]
    whole = made.png(texts) if kind == "PNG" else made.with_exif(texts, kind)
    for end in range(0, len(whole), 7):
        try:
            embedded_texts(whole[:end])
        except RecallError:
            continue
