"""The verdict on a file on the page: beside a LoRA's preset, and for a file of one's own."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
import pytest

from studio.errors import HeaderError, WeightsError
from studio.inspection.description import describe_header
from studio.inspection.header import MAX_HEADER
from studio.resolve.inventory import Unusable
from studio.settings import Settings
from studio.ui.html import inspection as inspection_html
from studio.ui.models.inspect import chosen
from studio.workspace.inspecting import Inspector
from studio.workspace.workspace import Workspace
from tests.support.headers import entries, framed
from tests.ui.conftest import HOSTILE, ROOT
from tests.ui.test_markup import HOSTILE as TEXTS
from tests.ui.test_markup import assert_dead

if TYPE_CHECKING:
    from playwright.sync_api import Page

LAYER = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
PEN_AND_INK = ROOT / "presets" / "mini" / "loras" / "pen-ink-mini.safetensors"


def lora_bytes(metadata: dict[str, str], layer: str = LAYER) -> bytes:
    """A whole LoRA file of SDXL's width, with these claims."""
    found, size = entries(
        {f"{layer}.lora_A.weight": (4, 2048), f"{layer}.lora_B.weight": (640, 4)}
    )
    return framed(json.dumps(found | {"__metadata__": metadata}).encode()) + bytes(size)


def test_a_row_opens_to_the_verdict(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.get_by_role("tab", name="Models").click()
    page.locator("#catalogue").get_by_text("Pen & Ink (mini)", exact=True).first.click()
    card = page.locator("#preset .ls-inspection")
    card.get_by_text("Cross-attention reads 128 features, as in Mini.").wait_for()
    text = card.inner_text()
    data = PEN_AND_INK.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    assert hashlib.sha256(data).hexdigest() in text
    assert hashlib.sha256(data[start:]).hexdigest()[:12] in text
    assert re.search(r"LoRA · Mini · \w+", text)


def test_a_file_of_ones_own_is_read_in_the_browser(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    data = lora_bytes({"ss_base_model_version": "sd_v1", "ss_output_name": HOSTILE})
    path = tmp_path / f"{HOSTILE.replace('/', '')}.safetensors"
    path.write_bytes(data)
    page = open_page()
    sent: list[int] = []
    page.on("request", lambda request: sent.append(len(request.post_data or "")))
    page.get_by_role("tab", name="Models").click()
    page.get_by_label("A file to inspect").set_input_files(path)
    card = page.locator("#inspected .ls-inspection")
    card.get_by_text("Cross-attention reads 2048 features, as in SDXL.").wait_for()
    text = card.inner_text()
    assert "The file claims Stable Diffusion 1.5 (ss_base_model_version)" in text
    assert hashlib.sha256(data).hexdigest() in text
    assert max(sent) < len(data)
    card.get_by_text("The layer it changes").click()
    card.get_by_text("2048 → 640 · rank 4 · no alpha").wait_for()
    card.get_by_text("What the file says of itself").click()
    card.get_by_text(HOSTILE, exact=True).first.wait_for()
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None

    other = tmp_path / "page.safetensors"
    other.write_bytes(b"<!DOCTYPE html><html><body>Sign in</body></html>" * 9)
    page.get_by_label("A file to inspect").set_input_files(other)
    page.locator("#inspected").get_by_text("it is a web page, not a model").wait_for()


def test_a_file_is_named(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.get_by_role("tab", name="Models").click()
    page.get_by_label("Or name one").fill("../../etc/passwd")
    page.get_by_role("button", name="Inspect", exact=True).click()
    page.locator("#inspected").get_by_text("is not under MODEL_BASE_PATH").wait_for()


@pytest.mark.parametrize("text", TEXTS)
def test_hostile_files_stay_texts(text: str) -> None:
    metadata = dict.fromkeys(("modelspec.title", "sshs_model_hash", "ss_output_name"), text)
    metadata["ss_tag_frequency"] = json.dumps({f"1_{text}": {text: 3}})
    data = lora_bytes(metadata, f"unet.{text}.attn2.to_k")
    found = describe_header(text, data, len(data), None, "ab" * 32)
    stray = lora_bytes(metadata | {"x": text}, text).replace(b"lora_B", b"lora_C")
    cards = (
        inspection_html.card(found),
        inspection_html.card(describe_header(text, stray, len(stray), None, None)),
        inspection_html.unusable(Unusable(Path(text), text, text)),
        inspection_html.said(text),
    )
    for markup in cards:
        assert_dead(markup)


def test_alphas_that_the_browser_did_not_read_are_said_to_be_unread() -> None:
    found, size = entries({
        "lora_unet_a.lora_down.weight": (4, 8), "lora_unet_a.lora_up.weight": (8, 4),
        "lora_unet_a.alpha": (),
        "lora_unet_b.hada_w1_a": (8, 4), "lora_unet_b.hada_w1_b": (4, 72),
        "lora_unet_b.hada_w2_a": (8, 4), "lora_unet_b.hada_w2_b": (4, 72),
    })  # fmt: skip
    data = framed(json.dumps(found).encode())
    described = describe_header("a", data, len(data) + size, None, None)
    (note,) = described["notes"]
    assert note == "Its alphas are among its tensors, which your browser does not send."
    markup = inspection_html.card(described)
    assert note in markup
    assert "Its 2 layers" in markup
    assert "8 → 8 · rank 4 · alpha not read" in markup
    assert "72 → 8 · LoHa · rank 4 · no alpha" in markup
    silent = lora_bytes({})
    assert describe_header("a", silent, len(silent), None, None)["notes"] == []


def test_what_no_base_can_take_is_shown_first() -> None:
    asks = {"unet.r": 4, "unet.lora_alpha": 4, "unet.init_lora_weights": "olora"}
    data = lora_bytes({"lora_adapter_metadata": json.dumps(asks), "ss_v2": "True"})
    markup = inspection_html.card(describe_header("a", data, len(data), None, None))
    problem = "Its header asks for init_lora_weights=&#39;olora&#39; in the unet."
    assert 0 < markup.index(problem) < markup.index("The file claims Stable Diffusion 2 (ss_v2)")


def test_thousands_of_layers_are_counted() -> None:
    shapes = {f"unet.a{n}.lora_{s}.weight": (1, 1) for n in range(1500) for s in "AB"}
    found, size = entries(shapes)
    data = framed(json.dumps(found).encode())
    markup = inspection_html.card(describe_header("a", data, len(data) + size, None, None))
    assert "Its 1500 layers" in markup
    assert "and 500 more" in markup
    assert markup.count("1 → 1") == inspection_html.LISTED


def event(**data: object) -> gr.EventData:
    return gr.EventData(None, **{"_data": data})


def test_what_the_browser_sends_is_checked() -> None:
    head = base64.b64encode(b"12345678{}").decode()
    sound = {"name": "a", "size": 10, "head": head, "sha256": "0" * 64, "data_sha256": "zz"}
    found = chosen(event(**sound))
    assert (found.head, found.sha256, found.data_sha256) == (b"12345678{}", "0" * 64, None)
    for change in (
        {"head": "not base64!"},
        {"head": None},
        {"size": "10"},
        {"size": -1},
        {"name": 3},
        {"problem": "NotReadableError"},
        {"head": "A" * (MAX_HEADER * 2)},
    ):
        with pytest.raises(HeaderError):
            chosen(event(**sound | change))


def test_only_files_below_the_model_folder_are_named(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    data = lora_bytes({})
    (models / "a.safetensors").write_bytes(data)
    (tmp_path / "b.safetensors").write_bytes(data)
    (models / "link.safetensors").symlink_to(tmp_path / "b.safetensors")
    workspace = Workspace.open(Settings(models, tmp_path / "out", tmp_path / "state"))
    try:
        inspector = Inspector(workspace)
        assert inspector.of_name("a.safetensors")["architecture"] == "sdxl"
        for name in ("../b.safetensors", str(tmp_path / "b.safetensors")):
            with pytest.raises(WeightsError, match="is not under MODEL_BASE_PATH"):
                inspector.of_name(name)
        with pytest.raises(WeightsError, match="is a link that leaves"):
            inspector.of_name("link.safetensors")
        with pytest.raises(WeightsError):
            inspector.of_name("a\0b")
        assert inspector.of_lora("pen-ink-mini") == inspector.of_lora("pen-ink-mini")
        assert inspector.of_lora("80s-fantasy-movie-zimage") is None
    finally:
        workspace.close()
