"""CivitAI's answers as values: what the studio reads of them, and which file is meant.

``GET /api/v1/model-versions/{id}`` and ``/by-hash/{hash}``; fields beyond these are left out.
Every text comes from strangers: it is cut, and no control character passes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from studio.contract.base import EMPTY_SHA256
from studio.library.downloads.errors import Archived, SourceUnknown, UnexpectedAnswer, WrongFile

MAX_TEXT = 500
MOST_VERSIONS = 500
LOOK_THERE = "Look at its page in a browser, and try again later."

T = TypeVar("T", bound=BaseModel)


def plain(text: str) -> str:
    """One printable line of at most 500 characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 1] + "…"


PlainText = Annotated[str, AfterValidator(plain)]
Words = Annotated[tuple[PlainText, ...], BeforeValidator(lambda value: tuple(value or ())[:64])]
Maybe = Annotated[PlainText | None, BeforeValidator(lambda v: v if isinstance(v, str) else None)]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class CivitaiFile(_Answer):
    id: int
    name: PlainText
    type: PlainText = "Model"
    size_kb: float = Field(alias="sizeKB", default=0, ge=0)
    pickle_scan: Maybe = Field(alias="pickleScanResult", default=None)
    virus_scan: Maybe = Field(alias="virusScanResult", default=None)
    scanned_at: Maybe = Field(alias="scannedAt", default=None)
    hashes: Annotated[dict[str, Any], BeforeValidator(lambda v: v or {})] = {}
    primary: Annotated[bool, BeforeValidator(bool)] = False

    @property
    def sha256(self) -> str | None:
        value = str(self.hashes.get("SHA256", "")).lower()
        if value == EMPTY_SHA256:
            return None
        return value if len(value) == 64 and set(value) <= set("0123456789abcdef") else None

    @property
    def size(self) -> int | None:
        """Bytes; CivitAI divides by 1024 and keeps the fraction."""
        return round(self.size_kb * 1024) or None

    @property
    def is_safetensors(self) -> bool:
        return self.name.lower().endswith(".safetensors")


class ModelFacts(_Answer):
    """``model`` of a version."""

    name: PlainText = ""
    type: PlainText = ""
    nsfw: bool | None = None
    mode: Maybe = None


class PreviewPicture(_Answer):
    url: Maybe = None
    type: Maybe = None


class Version(_Answer):
    """A model version."""

    id: int
    model_id: int = Field(alias="modelId")
    name: PlainText = ""
    base_model: Maybe = Field(alias="baseModel", default=None)
    trained_words: Words = Field(alias="trainedWords", default=())
    status: Maybe = None
    usage_control: Maybe = Field(alias="usageControl", default=None)
    model: ModelFacts = ModelFacts()
    files: Annotated[tuple[CivitaiFile, ...], BeforeValidator(lambda v: tuple(v or ()))] = ()
    images: Annotated[
        tuple[PreviewPicture, ...], BeforeValidator(lambda v: tuple(v or ())[:20])
    ] = ()
    settings: Annotated[dict[str, Any], BeforeValidator(lambda v: v or {})] = {}

    @property
    def preview(self) -> str | None:
        """The address of the first still picture."""
        stills = (each.url for each in self.images if each.type in (None, "image"))
        return next((url for url in stills if url and url.startswith("https://")), None)

    @property
    def recommended_strength(self) -> float | None:
        value = self.settings.get("strength")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value) if 0 <= value <= 2 else None


class ListedVersion(_Answer):
    """A version in a list of its model's."""

    id: int
    name: PlainText = ""
    base_model: Maybe = Field(alias="baseModel", default=None)
    published_at: Maybe = Field(alias="publishedAt", default=None)


class ListedModel(_Answer):
    """A model as ``GET /api/v1/models`` lists it."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    id: int
    versions: Annotated[
        tuple[ListedVersion, ...], BeforeValidator(lambda v: tuple(v or ())[:MOST_VERSIONS])
    ] = Field(alias="modelVersions", default=())

    @property
    def licence(self) -> tuple[str, ...]:
        return licence_of(self.model_extra or {})


def read_answer(kind: type[T], answer: Any) -> T:
    """An answer as a value.

    Raises:
        UnexpectedAnswer: it lacks something, or has values of other types.
    """
    try:
        return kind.model_validate(answer)
    except TypeError:  # a value that is no list, where one is cut
        raise UnexpectedAnswer("CivitAI's answer has values of other types.", LOOK_THERE) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UnexpectedAnswer(
            f"CivitAI's answer has no usable {field}: {first['msg']}.", LOOK_THERE
        ) from None


def read_listed(kind: type[T], answers: Sequence[Any]) -> Iterator[T]:
    """Of a list; what cannot be read is left out."""
    for answer in answers:
        with suppress(UnexpectedAnswer):
            yield read_answer(kind, answer)


def licence_of(model: Mapping[str, Any]) -> tuple[str, ...]:
    """``allowNoCredit``, ``allowCommercialUse`` and the like, as sentences."""
    said = []
    credit = model.get("allowNoCredit")
    if isinstance(credit, bool):
        said.append("No credit needed." if credit else "Credit the creator.")
    uses = model.get("allowCommercialUse")
    if isinstance(uses, str):
        uses = [uses]
    if isinstance(uses, list):
        allowed = [plain(use) for use in uses if isinstance(use, str) and use != "None"]
        listed = ", ".join(allowed)
        said.append(f"Commercial use: {listed}." if allowed else "No commercial use.")
    for key, yes, no in (
        ("allowDerivatives", "Merges may be shared.", "Merges may not be shared."),
        ("allowDifferentLicense", "Merges may change the licence.", "Merges keep the licence."),
    ):
        value = model.get(key)
        if isinstance(value, bool):
            said.append(yes if value else no)
    return tuple(said)


def choose_file(version: Version, file_id: str | None, page: str) -> CivitaiFile:
    """The weights among a version's files (its training data, configurations, other formats).

    Raises:
        Archived: there are none.
        SourceUnknown: several fit, and none is marked as the primary one.
        WrongFile: the one that was asked for, or every one, is no safetensors.
    """
    files = version.files
    if not files:
        raise Archived(page)
    if file_id is not None:
        named = [file for file in files if str(file.id) == file_id]
        if not named:
            raise SourceUnknown(
                f"Version {version.id} has no file {file_id}.", f"It has {_listed(files)}."
            )
        if not named[0].is_safetensors:
            raise _no_safetensors(named[0].name)
        return _safe(named[0])
    fitting = [file for file in files if file.type == "Model" and file.is_safetensors]
    fitting = fitting or [f for f in files if f.type == "Pruned Model" and f.is_safetensors]
    if not fitting:
        raise _no_safetensors(", ".join(file.name for file in files))
    primary = [file for file in fitting if file.primary]
    if len(fitting) > 1 and len(primary) != 1:
        raise SourceUnknown(
            f"Version {version.id} has {len(fitting)} files and none is the primary one.",
            f"Say which with +ID at the end of the AIR: {_listed(fitting)}.",
        )
    return _safe((primary or fitting)[0])


def _safe(file: CivitaiFile) -> CivitaiFile:
    for kind, result in (("virus", file.virus_scan), ("pickle", file.pickle_scan)):
        if result == "Danger":
            raise WrongFile(
                f"CivitAI's {kind} scan calls {file.name} dangerous.", "Choose another LoRA."
            )
    return file


def _no_safetensors(names: str) -> WrongFile:
    return WrongFile(
        f"There is no .safetensors file, only {plain(names)}.",
        "Other formats can run code when they are read; choose a version with safetensors.",
    )


def _listed(files: Sequence[CivitaiFile]) -> str:
    return ", ".join(f"+{file.id} {file.name}" for file in files[:8])
