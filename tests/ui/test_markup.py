"""Sheets, tables and hints as markup: what they say, and that nothing in them is alive."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from studio.architecture import Architecture, Mode
from studio.comparison.review import ReviewState
from studio.contract.origin import IntSetting, Origin
from studio.contract.placement import Offload, Placement
from studio.contract.plan import Notice, RunPlan
from studio.contract.prompt import PartKind, PromptPart, ResolvedPrompt, Side, TokenLedger
from studio.contract.receipt import BaseProof, RunRecord
from studio.contract.violations import NotAMultiple, PromptEmpty
from studio.presets import Catalog, LoraPreset, ModelPreset, ModelSettings, Source, TriggerRule
from studio.ui.browser.markup import ShownLora, found
from studio.ui.browser.shelf import PAGE, LoraShelf
from studio.ui.html import contract, gallery, picture, preset_cards, preset_tables
from studio.ui.html.plan import plan_body
from studio.ui.html.prompt import marked_text
from studio.ui.html.tags import Html, esc, tag
from studio.ui.models.filter import PresetFilter, find
from studio.ui.studio import hints
from tests.support.records import flat, lora_use, plan_settings, run_plan, run_receipt, run_record

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "\"><svg onload='alert(1)'>",
    "' onmouseover='alert(1)",
    "${alert(1)} {{alert(1)}} `alert(1)`",
)


class Elements(HTMLParser):
    """Every element that markup really opens, with its attributes."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.opened: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def assert_dead(markup: str) -> None:
    """No element or attribute in ``markup`` that could run something."""
    for name, attributes in Elements(markup).opened:
        assert name not in ("script", "iframe", "object", "embed", "style"), name
        assert not [key for key in attributes if key.startswith("on")], attributes


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_texts(text: str) -> None:
    use = lora_use("pen-ink-mini").model_copy(update={"label": text})
    prompt = ResolvedPrompt(
        typed=text,
        negative_typed=text,
        parts=(
            PromptPart(text=text, kind=PartKind.TYPED),
            PromptPart(text=text, kind=PartKind.TRIGGER, slugs=("pen-ink-mini",), cut=True),
        ),
        negative_parts=(PromptPart(text=text, kind=PartKind.NEGATIVE, slugs=("pen-ink-mini",)),),
        ledger=(),
    )
    notice = Notice(code="x", field="prompt", text=text)
    plan = run_plan(loras=(use,), notices=(notice,)).model_copy(update={"prompt": prompt})
    record = RunRecord.of(plan, run_receipt(plan, flat(), warnings=(text,)))
    preset = LoraPreset(
        slug="hostile",
        label=text,
        base_architecture=Architecture.MINI,
        theme=text,
        prompt=text,
        notes=text,
        path="x.safetensors",
        trigger=TriggerRule.OPTIONAL,
    )
    pages = (
        contract.ready(record.plan),
        contract.of_record(record, (text,)),
        contract.failed(record.plan, text, text),
        gallery.opened(text, Path(f"/outputs/{text}.png"), record),
        gallery.contract(record),
        gallery.thumbnail(
            text, Path("/t.webp"), text, text, text, [text], 7, ReviewState.DISAGREED
        ),
        picture.waiting(text),
        preset_tables.loras([preset], 1, {"hostile": True}, {}, text),
        preset_tables.details(preset, True, text),
    )
    for page in pages:
        assert_dead(page)
    assert any(text in "".join(Elements(page).text) for page in pages)


def test_presets_of_one_label_say_their_slugs() -> None:
    made = [
        LoraPreset(
            slug=slug,
            label=label,
            base_architecture=Architecture.MINI,
            path=f"{slug}.safetensors",
            trigger=TriggerRule.NONE,
        )
        for slug, label in (("ink-v1", "Ink"), ("ink-v2", "Ink"), ("wash-v3", "Wash"))
    ]
    there = dict.fromkeys(("ink-v1", "ink-v2", "wash-v3"), True)
    shown = [
        ShownLora(each, None, "", True, False, False, 0, picked=False, taken=False)
        for each in made
    ]
    for page in (
        preset_tables.loras(made, 3, there, {}, ""),
        preset_cards.cards(made, there, {}, "", lambda _: None),
        found(shown, "", 0, 1, may_star=False),
    ):
        said = " ".join(Elements(page).text)
        assert ["ink-v1" in said, "ink-v2" in said, "wash-v3" in said] == [True, True, False]


@pytest.mark.parametrize(("mib", "words"), [(512, "512 MiB"), (7680, "7.5 GiB"), (8192, "8 GiB")])
def test_memory_is_shown_in_its_unit(mib: float, words: str) -> None:
    preset = ModelPreset(
        slug="m",
        label="M",
        path="m",
        pipeline="StableDiffusionPipeline",
        base_architecture=Architecture.MINI,
        settings=ModelSettings(vram_usage=mib),
    )
    assert f"<dd>{words}</dd>" in preset_tables.details(preset, True, "m")


@pytest.mark.parametrize(
    ("tiling", "slicing", "decoded"),
    [
        (False, False, "whole"),
        (True, False, "in tiles"),
        (False, True, "whole, one by one"),
        (True, True, "in tiles, one by one"),
    ],
)
def test_the_sheet_says_how_it_decodes(tiling: bool, slicing: bool, decoded: str) -> None:
    """Nobody slices automatically, so where it is on, somebody set it."""
    placed = Placement(device="cpu", offload=Offload.NONE, reason="So.", vae_slicing=slicing)
    settings = plan_settings().model_copy(update={"vae_tiling": tiling})
    plan = run_plan(settings=settings).model_copy(update={"placement": placed})
    assert cells_of(plan)["Decoding"] == decoded


@pytest.mark.parametrize("device", ["cpu", "mps", "cuda"])
def test_the_sheet_says_where_the_weights_are_on_every_device(device: str) -> None:
    placed = Placement(device=device, offload=Offload.NONE, reason="There is room.")
    plan = run_plan().model_copy(update={"placement": placed})
    assert cells_of(plan)["Offload"] == "none"
    assert 'title="There is room."' in plan_body(plan)
    assert "Offload" not in cells_of(run_plan())


def cells_of(plan: RunPlan) -> dict[str, str]:
    """Name → figure, of the sheet's cells."""
    pattern = r'<dt>([^<]+)</dt><dd><span class="ls-figure">([^<]+)</span>'
    return dict(re.findall(pattern, plan_body(plan)))


def test_only_markup_passes_unescaped() -> None:
    assert tag("p", "<b>", Html("<i>"), class_='"') == '<p class="&#34;">&lt;b&gt;<i></p>'
    assert esc("'") == "&#39;"


def test_trigger_words_carry_their_lora_once() -> None:
    parts = (
        PromptPart(text="a rocket", kind=PartKind.TYPED),
        PromptPart(text=", ", kind=PartKind.GLUE),
        PromptPart(text="phrsink", kind=PartKind.TRIGGER, slugs=("ink",)),
        PromptPart(text=", ", kind=PartKind.GLUE),
        PromptPart(text="pen and ink", kind=PartKind.TRIGGER, slugs=("ink",)),
        PromptPart(text=", ", kind=PartKind.GLUE),
        PromptPart(text="neon", kind=PartKind.TRIGGER, slugs=("neon",)),
    )
    markup = marked_text(parts, {"ink": "Pen & Ink", "neon": "Neon"})
    assert markup == (
        'a rocket, <mark>phrsink, pen and ink<span class="ls-from">Pen &amp; Ink</span></mark>, '
        '<mark>neon<span class="ls-from">Neon</span></mark>'
    )


def test_cut_words_are_struck_through_and_counted() -> None:
    prompt = ResolvedPrompt(
        typed="a b",
        negative_typed="",
        parts=(
            PromptPart(text="a", kind=PartKind.TYPED),
            PromptPart(text=" b", kind=PartKind.TYPED, cut=True),
        ),
        negative_parts=(),
        ledger=(TokenLedger(encoder="text_encoder", side=Side.PROMPT, used=1, limit=1, cut=1),),
    )
    markup = contract.ready(run_plan().model_copy(update={"prompt": prompt}))
    assert "<del" in markup
    assert "1 / 1 tokens" in markup
    assert "1 cut" in markup


def test_a_proven_record_says_its_receipt() -> None:
    markup = contract.of_record(run_record())
    assert 'data-state="proven"' in markup
    assert "38 of 38 modules · scale 0.40 · effect 25 % · base proven · 1.7 s" in markup


def test_an_effect_at_the_layers_says_what_it_is_a_share_of() -> None:
    record = run_record()
    receipt = record.receipt.model_copy(update={"effect": None, "layer_effect": 0.5})
    markup = contract.of_record(record.model_copy(update={"receipt": receipt}))
    assert "effect 50 %" in markup
    assert "measured against what the base gives there" in markup


def test_a_base_without_lora_says_so() -> None:
    markup = contract.of_record(run_record(loras=()))
    assert "no LoRA applied · base proven" in markup


def test_a_receipt_that_disagrees_is_broken() -> None:
    plan = run_record().plan
    receipt = run_receipt(plan, flat(), base_proof=BaseProof(loaded="ab" * 32, now="cd" * 32))
    record = run_record().model_copy(update={"receipt": receipt})
    markup = contract.of_record(record)
    assert 'data-state="broken"' in markup
    assert "base not proven" not in markup
    assert "no longer gives the output" in markup
    assert "Broken" in picture.picture(Path("/x.png"), record)


def test_damage_to_the_file_is_broken_too() -> None:
    markup = contract.of_record(run_record(), ("The pixels are not the ones that were made.",))
    assert 'data-state="broken"' in markup


def test_each_side_of_the_size_has_its_own_origin() -> None:
    settings = plan_settings(width=64, height=32)
    markup = contract.ready(run_plan(settings=settings))
    assert '64 × 32</span><span class="ls-origin" title="mini">model</span>' in markup
    wide = settings.model_copy(update={"width": IntSetting(value=64, origin=Origin.USER)})
    markup = contract.ready(run_plan(settings=wide))
    title = "width: you, height: model mini"
    assert f'64 × 32</span><span class="ls-origin" title="{title}">you × model</span>' in markup


def test_the_precision_is_no_origin_of_the_encoder() -> None:
    text = " ".join(Elements(contract.ready(run_plan())).text)
    assert "Precision float32" in text
    assert "Encoder Compel Decoding" in text


def test_every_violation_stands_in_the_sheet_and_at_its_field() -> None:
    found = (
        PromptEmpty(),
        NotAMultiple(
            field="settings.width", name="Width", value=130, multiple=32, below=128, above=160
        ),
    )
    markup = contract.violations(found)
    assert "2 violations" in markup
    assert all(each.way_out in markup for each in found)
    texts = hints.of_violations(found, Mode.BASE)
    assert "128 or 160" in texts["settings.width"]
    assert "ls-problem" in texts["prompt"]
    assert "ls-problem" not in texts["settings.height"]


def test_json_is_there_whole() -> None:
    record = run_record()
    text = "".join(Elements(gallery.contract(record)).text)
    assert record.plan.fingerprint in text
    assert '"schema_version": 1' in text


def test_files_are_asked_for_relative_to_the_page() -> None:
    assert picture.file_url(Path("/o/a b#1.png")) == "gradio_api/file=/o/a%20b%231.png"


def test_a_long_catalogue_is_shown_a_page_at_a_time() -> None:
    many = [
        LoraPreset(
            slug=f"l{n}",
            label=f"L {n}",
            base_architecture=Architecture.MINI,
            source=Source(embedded="mini/x.safetensors"),
            trigger=TriggerRule.NONE,
        )
        for n in range(250)
    ]
    catalog = Catalog((), tuple(many))
    shelf = LoraShelf(catalog, ())
    present = {lora.slug: lora.slug == "l249" for lora in many}
    first = find(catalog, shelf, present, PresetFilter())
    assert (first.lora_count, first.pages) == (250, 6)
    assert first.loras[0].slug == "l249", "what is on disk comes first"
    last = find(catalog, shelf, present, PresetFilter(page=99))
    assert last.page == 5
    markup = preset_tables.loras(last.loras, last.lora_count, present, {}, "")
    assert markup.count("<tr") == 1 + 250 - 5 * PAGE
    assert ">250<" in markup
    shown = [
        lora.slug
        for page in range(6)
        for lora in find(catalog, shelf, present, PresetFilter(page=page)).loras
    ]
    assert sorted(shown) == sorted(present)
    assert [
        lora.slug for lora in find(catalog, shelf, present, PresetFilter(weights="present")).loras
    ] == ["l249"]
