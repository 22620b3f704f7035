"""Requests as plain JSON: as an endpoint reads them, and as a tool's arguments say them."""

from typing import Any

from studio.contract.request import DRAWN, GenerationRequest, LoraChoice
from studio.ui.json_answers import JsonObject
from studio.ui.studio.form import draw_seed


def read_request(request: JsonObject) -> GenerationRequest:
    """The request that ``request`` says; a seed is drawn where it has none, or -1.

    Raises:
        ValidationError: a field is missing, unknown or of another type.
        ValueError: it is not a JSON object.
    """
    if not isinstance(request, dict):
        raise ValueError("The request is not a JSON object")
    _refuse_flags(request)
    if request.get("seed", DRAWN) == DRAWN:
        request = {**request, "seed": draw_seed()}
    return GenerationRequest.model_validate(request)


def _refuse_flags(request: JsonObject) -> None:
    """Python takes ``true`` for 1, which nobody means by it.

    Raises:
        ValueError: a number of the request is true or false.
    """
    said: list[tuple[str, Any]] = [(name, request.get(name)) for name in ("seed", "count")]
    settings, loras = request.get("settings"), request.get("loras")
    if isinstance(settings, dict):
        said += [(f"settings.{name}", value) for name, value in settings.items()]
    for place, lora in enumerate(loras if isinstance(loras, list) else ()):
        if isinstance(lora, dict):
            said += [(f"loras.{place}.{n}", v) for n, v in lora.items() if "strength" in n]
    for where, value in said:
        if isinstance(value, bool):
            raise ValueError(f"{where}: a number is expected, not {str(value).lower()}")


def request_of(
    base: str,
    mode: str,
    prompt: str,
    loras: list[str],
    negative_prompt: str,
    seed: int,
    count: int,
    settings: dict[str, Any],
) -> JsonObject:
    """As the JSON endpoints take it, and say what is wrong with it."""
    return {
        "base": base,
        "mode": mode,
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "loras": [_lora(each) if isinstance(each, str) else each for each in loras]
        if isinstance(loras, list)
        else loras,
        "settings": settings,
        "seed": seed,
        "count": count,
    }


def _lora(text: str) -> JsonObject:
    """A LoRA with its strengths; what is none, as the endpoint finds fault with it."""
    try:
        return LoraChoice.parse(text).model_dump(mode="json", exclude_defaults=True)
    except ValueError:
        slug, _, strength = text.rpartition(":")
        return {"slug": slug, "strength": strength}
