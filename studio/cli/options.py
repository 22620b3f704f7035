"""The options that commands share, and the request they add up to."""

import dataclasses
import functools
import inspect
import os
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from studio.architecture import Mode
from studio.cli.parsers import Phrases, parse_lora, parse_number, parse_phrases, parse_text
from studio.contract.placement import Dtype
from studio.contract.request import (
    DRAWN,
    SEED_LIMIT,
    GenerationRequest,
    LoraChoice,
    Overrides,
    PromptEncoder,
)
from studio.contract.settings import SETTINGS, Setting, SettingKind
from studio.settings import Settings
from studio.workspace.workspace import Workspace

Json = Annotated[bool, typer.Option("--json", help="JSON alone on standard output.")]
PresetDirs = Annotated[
    list[Path] | None,
    typer.Option(
        "--presets",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="A folder of presets beside the built-in ones; repeatable.",
    ),
]
OutputDir = Annotated[
    Path | None,
    typer.Option(
        "--output-dir", metavar="DIR", file_okay=False, help="Where pictures are read and written."
    ),
]


def workspace_settings(presets: list[Path] | None, output_dir: Path | None) -> Settings:
    """The environment's settings, with what the command line adds."""
    # As OUTPUTS, so that a state folder nobody chose moves with the pictures.
    said = {"OUTPUTS": str(output_dir.resolve())} if output_dir else {}
    settings = Settings.from_env(os.environ | said, Path.cwd())
    added = tuple(path.resolve() for path in presets or ())
    return dataclasses.replace(settings, preset_dirs=settings.preset_dirs + added)


def open_workspace(
    presets: list[Path] | None = None, output_dir: Path | None = None, library: bool = True
) -> Workspace:
    """Args:
    library: look at its files, so that they can be named.
    """
    workspace = Workspace.open(workspace_settings(presets, output_dir))
    if library:
        workspace.stock.catalogue.refresh()
    return workspace


def slug_of(workspace: Workspace, text: str) -> str:
    """``text``, or the slug of the file that it names.

    Raises:
        PresetsError: the file cannot be used.
    """
    stock = workspace.stock
    if text in stock.catalog.models or text in stock.catalog.loras:
        return text
    path = stock.file_of(text)
    if path is None and Path(text).expanduser().exists():
        path = Path(text).expanduser()
    return text if path is None else stock.catalogue.slug_of_file(path)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """What ``plan`` and ``generate`` take; a field is an option of the same name."""

    base: Annotated[
        str,
        typer.Option(parser=parse_text, metavar="SLUG|PATH", help="The base model, or its file."),
    ]
    mode: Annotated[Mode, typer.Option(help="What the image is made from; never inferred.")]
    prompt: Annotated[
        str, typer.Option(parser=parse_text, metavar="TEXT", help="What the picture shows.")
    ] = ""
    negative_prompt: Annotated[
        str, typer.Option(parser=parse_text, metavar="TEXT", help="What it should not show.")
    ] = ""
    lora: Annotated[
        list[LoraChoice] | None,
        typer.Option(
            parser=parse_lora,
            metavar="SLUG|PATH[:STRENGTH[:PART=STRENGTH]]",
            help="A LoRA or its file, at its preset's strength or yours. te=0.4 is the text "
            "encoders', in=, mid= and out= are those of blocks, from= and until= its steps; "
            "repeatable.",
        ),
    ] = None
    trigger_words: Annotated[
        list[Phrases] | None,
        typer.Option(
            parser=parse_phrases,
            metavar="SLUG=WORDS",
            help="Use only these of a chosen LoRA's trigger words, separated by commas; "
            "repeatable.",
        ),
    ] = None
    allow_partial: Annotated[
        list[str] | None,
        typer.Option(
            parser=parse_text,
            metavar="SLUG",
            help="A chosen LoRA of which what does not fit may be left out; repeatable.",
        ),
    ] = None
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="A picture to edit (PNG, JPEG or WebP); repeatable, in the pipeline's order.",
        ),
    ] = None
    seed: Annotated[int | None, typer.Option(help="Drawn at random when not given, or -1.")] = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Name → what was given; each is an option of its own."""
    count: Annotated[int, typer.Option(help="Images; each takes the next seed.")] = 1
    prompt_encoder: Annotated[
        PromptEncoder | None,
        typer.Option(
            help="compel: no token limit, weighting; native: one window. Compel where the base "
            "can have it, when not given."
        ),
    ] = None
    allow_cut: Annotated[
        bool,
        typer.Option("--allow-cut", help="Cut words that do not fit the native window."),
    ] = False
    presets: PresetDirs = None
    output_dir: OutputDir = None
    as_json: Json = False

    def request(self, workspace: Workspace) -> GenerationRequest:
        """The request; its pictures are taken in by ``workspace``.

        Raises:
            BadParameter: a LoRA may be applied in part that is not chosen.
            UnusableReference: a file is not a picture that can be edited.
        """
        named = partial(slug_of, workspace)
        return GenerationRequest(
            base=named(self.base),
            mode=self.mode,
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            loras=self._loras(named),
            references=tuple(workspace.add_reference(path) for path in self.reference or ()),
            settings=Overrides.model_validate(self.settings),
            prompt_encoder=self.prompt_encoder,
            allow_cut=self.allow_cut,
            seed=secrets.randbelow(SEED_LIMIT) if self.seed in (None, DRAWN) else self.seed,
            count=self.count,
        )

    def _other_loras(self) -> set[str]:
        """LoRAs that take part and are not chosen with ``--lora``."""
        return set()

    def _loras(self, named: Callable[[str], str]) -> tuple[LoraChoice, ...]:
        consented = {named(each) for each in self.allow_partial or ()}
        chosen = [
            choice.model_copy(update={"slug": named(choice.slug)}) for choice in self.lora or ()
        ]
        phrases = {named(slug): words for slug, words in self.trigger_words or ()}
        slugs = {choice.slug for choice in chosen}
        for option, strange in (
            ("--allow-partial", consented - slugs - self._other_loras()),
            ("--trigger-words", phrases.keys() - slugs),
        ):
            if strange:
                raise typer.BadParameter(
                    f"{min(strange)!r} is not one of the LoRAs that are asked for.",
                    param_hint=option,
                )
        return tuple(
            choice.model_copy(
                update={
                    "allow_partial": choice.slug in consented,
                    "phrases": phrases.get(choice.slug),
                }
            )
            for choice in chosen
        )

    def open_workspace(self) -> Workspace:
        return open_workspace(self.presets, self.output_dir)


Options = TypeVar("Options")


def takes_options(
    kind: Callable[..., Options],
) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Spell the fields of ``kind``, a dataclass with ``settings``, out as the command's own
    parameters."""

    def decorate(function: Callable[[Options], None]) -> Callable[..., None]:
        @functools.wraps(function)
        def spelled_out(**values: Any) -> None:
            settings = {setting.name: values.pop(setting.name) for setting in SETTINGS}
            function(kind(**values, settings=settings))

        parameters = list(inspect.signature(kind).parameters.values())
        at = next(n for n, each in enumerate(parameters) if each.name == "settings")
        parameters[at : at + 1] = [_option(setting) for setting in SETTINGS]
        spelled_out.__dict__["__signature__"] = inspect.Signature(parameters)
        spelled_out.__annotations__ = {each.name: each.annotation for each in parameters}
        return spelled_out

    return decorate


def _option(setting: Setting) -> inspect.Parameter:
    """A setting as the parameter of a command."""
    types: dict[SettingKind, Any] = {
        SettingKind.INT: int,
        SettingKind.FLOAT: float,
        SettingKind.DTYPE: Dtype,
    }
    parsed: dict[SettingKind, dict[str, Any]] = {
        SettingKind.FLOAT: {"parser": parse_number, "metavar": "NUMBER"},
        SettingKind.SCHEDULER: {"parser": parse_text, "metavar": "NAME"},
    }
    option = typer.Option(help=setting.help, **parsed.get(setting.kind, {}))
    return inspect.Parameter(
        setting.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[types.get(setting.kind, str) | None, option],
    )


takes_request_options = takes_options(RequestOptions)
