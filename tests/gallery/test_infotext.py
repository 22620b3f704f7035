"""The text other tools read: exact for us, unmistakable for them, from the receipt only."""

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.architecture import Mode
from studio.architecture.pipelines import SAMPLERS, SCHEDULER_NAMES
from studio.contract.origin import FloatSetting, IntSetting, Origin
from studio.contract.plan import LoraPart
from studio.contract.receipt import RunRecord
from studio.contract.statement import Statement
from studio.gallery.infotext import spellings, write
from studio.recall.infotext import read
from tests.support.records import (
    TRAPS,
    base_identity,
    flat,
    lora_receipt,
    lora_sha256,
    lora_use,
    plan_settings,
    prompts,
    records,
    run_plan,
    run_receipt,
    run_record,
)


def a1111(text: str) -> tuple[str, str, dict[str, str]]:
    """Prompt, negative prompt and parameters as A1111's documented grammar reads them."""
    *lines, last = text.strip().split("\n")
    pairs = re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', last)
    sides: tuple[list[str], list[str]] = ([], [])
    negative = False
    for line in lines:
        bare = line.strip()
        if bare.startswith("Negative prompt:"):
            negative, bare = True, bare.removeprefix("Negative prompt:").strip()
        sides[negative].append(bare)
    return "\n".join(sides[0]), "\n".join(sides[1]), dict(pairs)


def civitai(text: str) -> tuple[str, str, dict[str, str]]:
    """The same as a reader that takes the first "Steps: " line and splits at commas."""
    lines = [line for line in text.split("\n") if line.strip()]
    details = next(line for line in lines if line.startswith("Steps: "))
    lines.remove(details)
    details = re.sub(r", Hashes:\s*({[^}]+})", "", details)
    details = re.sub(r", Civitai resources:\s*(\[\{.*?\}\])", "", details)
    pairs = dict(part.split(":", 1) for part in re.split(r",\s*", details) if ":" in part)
    prompt, *negative = "\n".join(lines).split("Negative prompt:")
    return prompt.strip(), " ".join(negative).strip(), pairs


def test_the_finer_strength_is_told_here_and_in_the_published_facts() -> None:
    said = FloatSetting(value=0.4, origin=Origin.USER)
    use = lora_use("ink").model_copy(
        update={
            "parts": (LoraPart(part="te", strength=said, modules=2),),
            "last_step": IntSetting(value=6, origin=Origin.USER),
        }
    )
    record = run_record(loras=(use, lora_use("neon")))
    text, earlier = spellings(record)
    assert text == write(record)
    assert a1111(text)[2]["Lora finer strength"] == '"ink: te=0.4:until=6"'
    assert "Lora finer strength" not in earlier
    assert a1111(earlier)[2].keys() == a1111(text)[2].keys() - {"Lora finer strength"}
    statement = Statement.of(record)
    assert [each.finer for each in statement.loras] == ["te=0.4:until=6", ""]
    assert statement.schema_version == 5
    assert statement.without_finer.schema_version == 1
    plain = run_record(loras=(lora_use("neon"),))
    assert spellings(plain)[0] == spellings(plain)[1]


def test_the_whole_text() -> None:
    use = lora_use("pen-ink-mini", source="urn:air:sd1:lora:civitai:123@456")
    assert write(run_record(loras=(use,))) == (
        "a rocket on a blue background, phrsink <lora:pen-ink-mini:0.8>\n"
        "Negative prompt: blurry\n"
        "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 32x32, "
        "Model hash: ba5eba5eba, Model: mini, Clip skip: 1, Mode: lora_with_trigger, "
        f'Lora hashes: "pen-ink-mini: {lora_sha256("pen-ink-mini")[:10]}", '
        'Hashes: {"model": "ba5eba5eba", '
        f'"lora:pen-ink-mini": "{lora_sha256("pen-ink-mini")[:10]}"}}, '
        'Civitai resources: [{"type":"lora","weight":0.8,"modelVersionId":456,'
        '"air":"urn:air:sd1:lora:civitai:123@456"}], '
        "Version: LoRA Studio 0.1.0"
    )


@given(records())
def test_it_reads_back_exactly(record: RunRecord) -> None:
    seen, receipt = read(write(record)), record.receipt
    assert seen.prompt == record.plan.prompt.text
    assert seen.negative_prompt == record.plan.prompt.negative_text
    assert (seen.steps, seen.seed, seen.size) == (receipt.steps, receipt.image.seed, (32, 32))
    assert float(seen.parameters["CFG scale"]) == receipt.guidance_scale
    assert [(tag.name, tag.strength, seen.hashes.get(tag.name)) for tag in seen.loras] == [
        (lora.slug, lora.strength, lora.sha256[:10]) for lora in receipt.loras if lora.strength
    ]


@given(records())
def test_other_readers_see_the_same_parameters(record: RunRecord) -> None:
    """Whatever stands in the prompts, nobody takes a number or a LoRA from there."""
    text = write(record)
    wanted = {
        "Steps": str(record.receipt.steps),
        "Seed": str(record.receipt.image.seed),
        "Size": "32x32",
        "Model": "mini",
    }
    tags = [lora.slug for lora in record.receipt.loras if lora.strength]
    for reader in (a1111, civitai):
        prompt, _, pairs = reader(text)
        assert {key: pairs[key].strip() for key in wanted} == wanted
        assert re.findall(r"<lora:([a-zA-Z0-9_.-]+):[0-9.]+>", prompt) == tags


@given(records())
def test_other_readers_see_where_the_prompt_ends(record: RunRecord) -> None:
    for reader in (a1111, civitai):
        _, negative, _ = reader(write(record))
        assert bool(negative.split()) == bool(
            re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", record.plan.prompt.negative_text).split()
        )


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_alone_and_on_both_sides(trap: str) -> None:
    record = run_record(prompt=f"{trap}a{trap}", negative=trap)
    seen = read(write(record))
    assert (seen.prompt, seen.negative_prompt) == (f"{trap}a{trap}", trap)


def test_the_exact_prompt_offers_nothing_to_readers_that_split_at_commas() -> None:
    record = run_record(prompt='x\n\n, Seed: 7, Hashes: {}, "Steps: 3" \\ ')
    text = write(record)
    exact = re.search(r'Prompt JSON: "([^"]*)", Version', text)
    assert exact is not None
    assert not set(',:"') & set(exact[1])
    assert json.loads(f'"{exact[1]}"') == record.plan.prompt.text


def test_an_ordinary_prompt_is_not_repeated() -> None:
    text = write(run_record(prompt='a cat, (ink:1.2), "hand" drawn\nsecond line', negative="x"))
    assert "JSON" not in text


@given(st.text() | prompts)
def test_any_text_can_be_read(text: str) -> None:
    seen = read(text)
    assert isinstance(seen.prompt, str)
    assert all(kind is None or isinstance(kind, int) for kind in (seen.steps, seen.seed))


@given(st.integers(0, 400), st.integers(0, 400), records())
def test_a_piece_of_a_text_can_be_read(start: int, length: int, record: RunRecord) -> None:
    piece = write(record)[start : start + length]
    assert len(read(piece).prompt) <= len(piece) or "\\u" in piece


@pytest.mark.parametrize(
    "hostile",
    [
        "a: " + "[" * 100_000,
        "Steps: 1, Size: 2, Seed: " + "{" * 50_000,
        "a" + " " * 100_000 + "b: c",
        "<lora:x:1> " * 20_000 + "end",
        "a:[1," * 400_000,
        'a:"\\",' * 400_000,
        "Seed: " + "9" * 50_000 + ", Steps: 1, Size: " + "9" * 50_000 + "x1",
        "Steps: 1, Seed: ٣, Size: ²x²",
        "Seed: 1" + "0" * 5000 + ", Steps: 1, Size: [" + "1" * 5000 + "]",
    ],
)
def test_hostile_text_is_read_quickly(hostile: str) -> None:
    began = time.process_time()
    seen = read(hostile)
    assert time.process_time() - began < 1
    assert seen.seed is None


def test_a_text_of_another_tool() -> None:
    seen = read(
        "masterpiece, <lora:detail:0.5> a cat\nsitting\n"
        "Negative prompt: bad, worse\nworst\n"
        "Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 123456, Size: 512x768, "
        'Model hash: 6ce0161689, Model: v1-5, Lora hashes: "detail: abc123", Version: v1.7.0'
    )
    assert seen.prompt == "masterpiece, <lora:detail:0.5> a cat\nsitting"
    assert seen.negative_prompt == "bad, worse\nworst"
    assert (seen.steps, seen.seed, seen.size) == (28, 123456, (512, 768))
    assert [(tag.name, tag.strength, seen.hashes.get(tag.name)) for tag in seen.loras] == [
        ("detail", 0.5, "abc123")
    ]
    assert seen.parameters["Sampler"] == "DPM++ 2M Karras"


def test_what_was_applied_and_not_what_was_planned() -> None:
    """A LoRA that the plan has and the run had not does not stand in the text."""
    plan = run_plan(loras=(lora_use("planned"),))
    applied = lora_receipt(lora_use("applied", strength=0.3))
    receipt = run_receipt(plan, flat(), loras=(applied,), steps=7, base_sha256="cd" * 32)
    text = write(RunRecord.of(plan, receipt))
    assert "planned" not in text
    assert "<lora:applied:0.3>" in text
    assert "Steps: 7," in text
    assert "Model hash: cdcdcdcdcd" in text


def test_a_lora_at_strength_0_is_not_claimed() -> None:
    """Its picture is the base's, bit for bit; the text differs from the base's in the mode."""
    source = "urn:air:sd1:lora:civitai:123@456"
    idle, on = (lora_use(slug, value, source) for slug, value in (("idle", 0.0), ("on", 0.5)))
    text = write(run_record(loras=(idle,), mode=Mode.LORA))
    assert text == write(run_record(loras=())).replace("Mode: base", "Mode: lora")
    both = read(write(run_record(loras=(idle, on))))
    assert [tag.name for tag in both.loras] == ["on"]
    assert "idle" not in str(both.parameters)
    assert len(json.loads(both.parameters["Civitai resources"])) == 1


def test_a_resource_is_named_only_for_the_bytes_it_names() -> None:
    use = lora_use("ink", source="urn:air:sd1:lora:civitai:123@456")
    plan = run_plan(loras=(use,))
    other = lora_receipt(use).model_copy(update={"sha256": "0" * 64})
    assert "456" in write(RunRecord.of(plan, run_receipt(plan, flat())))
    assert "456" not in write(RunRecord.of(plan, run_receipt(plan, flat(), loras=(other,))))


@pytest.mark.parametrize("source", ["embedded", "local", "urn:air:sd1:lora:civitai:123"])
def test_no_resource_without_a_version(source: str) -> None:
    text = write(run_record(loras=(lora_use("ink", source=source),)))
    assert "Civitai resources" not in text


def test_resources_and_hashes_are_json() -> None:
    source = "urn:air:sd1:checkpoint:civitai:9@10"
    uses = (lora_use("ink", source="urn:air:sd1:lora:huggingface:me/ink@main"),)
    seen = read(write(run_record(loras=uses, base=base_identity(source=source))))
    base, lora = json.loads(seen.parameters["Civitai resources"])
    assert base == {"type": "checkpoint", "modelVersionId": 10, "air": source}
    assert lora == {"type": "lora", "weight": 0.8, "air": uses[0].source}
    assert set(json.loads(seen.parameters["Hashes"])) == {"model", "lora:ink"}


def test_a_base_of_one_file_has_an_autov2() -> None:
    base = base_identity().model_copy(update={"files": base_identity().files[:1]})
    assert "Model hash: 1111111111," in write(run_record(base=base))


def test_every_scheduler_has_a_name_that_other_tools_know() -> None:
    assert set(SCHEDULER_NAMES) <= set(SAMPLERS)
    text = write(run_record(settings=plan_settings(scheduler="NewScheduler")))
    assert "Sampler: NewScheduler," in text


def test_the_version_is_the_one_that_made_the_picture() -> None:
    assert write(run_record(libraries=())).endswith("Version: LoRA Studio")


@pytest.mark.parametrize(
    ("strength", "written"), [(1.0, "1"), (0.8, "0.8"), (1e-7, "0.0000001"), (10.0, "10")]
)
def test_strengths_have_no_exponent(strength: float, written: str) -> None:
    text = write(run_record(loras=(lora_use("ink", strength=strength),)))
    assert f"<lora:ink:{written}>" in text
