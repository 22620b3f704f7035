"""The page as an MCP server: what agents call, with every argument typed and described.

gradio makes a tool of each documented endpoint and reads its description from the docstring. The
tools ask what the JSON endpoints ask, under the page's own rules, and answer with JSON as text,
in which pictures are links.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import gradio as gr

from studio.comparison.axes import STRENGTHS
from studio.contract.request import DRAWN
from studio.errors import GalleryError, PresetsError, StudioError
from studio.resolve.inventory import Unusable
from studio.ui.api import Api
from studio.ui.browser.dialog import LoraBrowser
from studio.ui.browser.query import LoraQuery
from studio.ui.json_answers import JsonObject, as_text, how_far, linked, told_safely
from studio.ui.json_requests import request_of
from studio.ui.mcp_server import alone, keep_answers, root_of
from studio.workspace.inspecting import Inspector
from studio.workspace.workspace import Workspace

ModeName = Literal["base", "lora", "lora_with_trigger", "trigger_only"]
QuestionName = Literal[
    "base_against_lora", "four_arms", "strengths", "seeds_strengths", "lora_against_lora"
]
MOST = 50
"""LoRAs that one answer names."""
_FILE = "/gradio_api/file="


class Tools:
    """The tools over one workspace."""

    def __init__(self, workspace: Workspace, api: Api, browser: LoraBrowser) -> None:
        self._workspace = workspace
        self._api = api
        self._browser = browser
        self._inspector = Inspector(workspace)

    def plan(
        self,
        client: gr.Request,
        base: str,
        mode: ModeName,
        prompt: str,
        loras: list[str] = [],  # noqa: B006  # gradio reads it, nobody writes it
        negative_prompt: str = "",
        seed: int = DRAWN,
        count: int = 1,
        settings: dict[str, Any] = {},  # noqa: B006
    ) -> str:
        """Say exactly what a request would do, and run nothing: its plan, or every violation of a
        rule, with the way out.

        Args:
            base: Slug of the base model, such as mini.
            mode: base (no LoRA), lora, lora_with_trigger, or trigger_only (words, no weights).
            prompt: What to paint; lora_with_trigger adds the trigger words that are missing.
            loras: As slug or slug:strength, such as pen-ink-mini:0.8, with another one for the
                text encoders as slug:0.8:te=0.4; find_loras has slugs.
            negative_prompt: What to avoid.
            seed: Of the first picture, from 0 up; -1 draws one.
            count: How many pictures, each with the next seed.
            settings: Any of steps, guidance_scale, width, height, scheduler, clip_skip, eta.
        """
        asked = request_of(base, mode, prompt, loras, negative_prompt, seed, count, settings)
        return self._told(client, [self._api.plan(asked)])

    def generate(
        self,
        client: gr.Request,
        base: str,
        mode: ModeName,
        prompt: str,
        loras: list[str] = [],  # noqa: B006
        negative_prompt: str = "",
        seed: int = DRAWN,
        count: int = 1,
        settings: dict[str, Any] = {},  # noqa: B006
    ) -> str:
        """Make pictures by exactly the plan of this request: links to the PNG files and their
        records, or the violations that stand in the way.

        Args:
            base: Slug of the base model, such as mini.
            mode: base (no LoRA), lora, lora_with_trigger, or trigger_only (words, no weights).
            prompt: What to paint; lora_with_trigger adds the trigger words that are missing.
            loras: As slug or slug:strength, such as pen-ink-mini:0.8, with another one for the
                text encoders as slug:0.8:te=0.4; find_loras has slugs.
            negative_prompt: What to avoid.
            seed: Of the first picture, from 0 up; -1 draws one.
            count: How many pictures, each with the next seed.
            settings: Any of steps, guidance_scale, width, height, scheduler, clip_skip, eta.
        """
        asked = request_of(base, mode, prompt, loras, negative_prompt, seed, count, settings)
        return self._told(client, self._api.generate(asked, client))

    def compare(
        self,
        client: gr.Request,
        question: QuestionName,
        base: str,
        prompt: str,
        loras: list[str],
        strengths: list[float] = [],  # noqa: B006
        against: str = "",
        negative_prompt: str = "",
        seed: int = DRAWN,
        settings: dict[str, Any] = {},  # noqa: B006
    ) -> str:
        """Compare pictures that differ only in what the question says: a verdict whether they
        allow a conclusion, the measured effects, links to the contact sheet and to each picture.

        Args:
            question: What varies; four_arms are base, LoRA, LoRA with trigger, trigger alone.
            base: Slug of the base model, such as mini.
            prompt: What to paint in every picture.
            loras: As slug or slug:strength; find_loras has slugs.
            strengths: Where the question varies them; none asks for 0.4, 0.7 and 1.0.
            against: Slug of the other LoRA, for lora_against_lora.
            negative_prompt: What to avoid.
            seed: Of every picture, from 0 up; -1 draws one.
            settings: Any of steps, guidance_scale, width, height, scheduler, clip_skip, eta.
        """
        asked = request_of(
            base, "lora_with_trigger", prompt, loras, negative_prompt, seed, 1, settings
        )
        varied = strengths or list(STRENGTHS)
        answers = self._api.compare(question, asked, client, varied, against)
        return self._told(client, answers)

    def inspect(self, lora: str) -> str:
        """Say what a LoRA's file is, judged by its header alone: family, modules, rank, alpha,
        dtype, and what its trainer wrote down.

        Args:
            lora: Slug of the LoRA, such as pen-ink-mini; see find_loras.
        """
        return told_safely(lambda: self._inspected(lora))

    def _inspected(self, lora: str) -> JsonObject:
        _demand(str, lora=lora)
        if lora not in self._workspace.catalog.loras:
            raise PresetsError(f"No LoRA is called {lora[:80]!r}.", "Look with find_loras.")
        found = self._inspector.of_lora(lora)
        if found is None:
            raise StudioError(f"The weights of {lora} are not here.", "Choose another LoRA.")
        if isinstance(found, Unusable):
            raise StudioError(found.reason, found.way_out)
        return {key: value for key, value in found.items() if key != "file"}

    def find_loras(self, words: str = "", base: str = "", limit: int = 20) -> str:
        """Find LoRAs by words in their names, tags and descriptions: slug, name, family and
        trigger words of each.

        Args:
            words: All of them must occur; none finds every LoRA.
            base: Slug of a base model; only LoRAs made for its family are found.
            limit: How many at most, up to 50.
        """
        return told_safely(lambda: self._found(words, base, limit))

    def _found(self, words: str, base: str, limit: int) -> JsonObject:
        _demand(str, words=words, base=base)
        _demand(int, limit=limit)
        catalog = self._workspace.catalog
        if base and base not in catalog.models:
            bases = ", ".join(catalog.models)
            raise PresetsError(f"No base is called {base[:80]!r}.", f"Name one of {bases}.")
        family = catalog.models[base].base_architecture if base else None
        query = LoraQuery(words=words[:500], architecture=family)
        known = self._browser.known()
        cards = self._browser.shelf().all_found(query, known)
        shown = cards[: max(1, min(limit, MOST))]
        return {
            "count": len(cards),
            "loras": [
                {
                    "slug": card.slug,
                    "name": card.preset.label,
                    "family": card.preset.base_architecture,
                    "trigger_words": list(card.preset.trigger_phrases),
                    "tags": list(card.tags),
                    "here": known.present.get(card.slug, False),
                }
                for card in shown
            ],
        }

    def verify(self, picture: str) -> str:
        """Check that a picture of this studio and the record inside it are whole and agree: what
        was found, and its plan's fingerprint, base, LoRAs, prompt and seed.

        Args:
            picture: The link of the picture, as generate and compare give it.
        """
        return told_safely(lambda: self._verified(picture))

    def _verified(self, picture: str) -> JsonObject:
        _demand(str, picture=picture)
        place = Path(unquote(urlsplit(picture).path).partition(_FILE)[2])
        if place.suffix != ".png" or not self._workspace.visitors.serves(place):
            raise GalleryError(
                "This is no link of a picture of this studio.", "Give one as generate gave it."
            )
        answer = self._workspace.verify(place)
        record = answer.record
        told: JsonObject = {
            "ok": answer.ok,
            "state": answer.judged,
            "findings": [each.text for each in answer.findings],
        }
        if record is not None:
            plan = record.plan
            told |= {
                "fingerprint": plan.fingerprint,
                "base": plan.base.slug,
                "loras": [
                    ":".join(filter(None, (use.slug, str(use.strength.value), use.finer)))
                    for use in plan.loras
                ],
                "prompt": plan.prompt.text,
                "seed": record.receipt.image.seed,
            }
        return told

    def _told(self, client: gr.Request, answers: Iterable[JsonObject]) -> str:
        """The last of the answers, with whole links; the others say how far it is, which gradio's
        server passes on to an agent that asks for it."""
        last: JsonObject = {}
        progress = gr.Progress()  # of this call, by its context; gr.api takes it for no argument
        with alone(client):
            for last in answers:
                if "progress" in last:
                    done, of, what = how_far(last["progress"])
                    progress((done, of), desc=what)
        return as_text(linked(last, root_of(client)))


def build(workspace: Workspace, api: Api, browser: LoraBrowser) -> None:
    """Name the tools; call inside the page, before another endpoint has a function of one of their
    names."""
    keep_answers()
    tools = Tools(workspace, api, browser)
    for tool in (
        tools.plan,
        tools.generate,
        tools.compare,
        tools.inspect,
        tools.find_loras,
        tools.verify,
    ):
        gr.api(tool, api_name=f"tool_{tool.__name__}", concurrency_limit=None)


def _demand(kind: type, **arguments: object) -> None:
    """Agents send what they like: gradio's server checks no argument's type.

    Raises:
        StudioError: naming the argument, and what it has to be.
    """
    for name, value in arguments.items():
        if type(value) is not kind:
            wanted = "a text" if kind is str else "a whole number"
            raise StudioError(f"{name} is not {wanted}.", f"Send {name} as {wanted}.")
