"""The gallery's pictures, records and decisions as files, made while they are sent."""

from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from studio.comparison.review import as_csv, as_jsonl
from studio.errors import StudioError
from studio.gallery import Filter, Gallery
from studio.ui.clients import PASS
from studio.ui.gallery.asked import FILTERS, GalleryInput
from studio.ui.html import icons
from studio.ui.html.tags import Html, div, tag
from studio.workspace.packing import packed, records
from studio.workspace.reviewing import Reviewing
from studio.workspace.workspace import Workspace

ZIP, RECORDS = "pictures.zip", "records.jsonl"
DECISIONS, DECISIONS_CSV = "decisions.jsonl", "decisions.csv"


def links(asked: GalleryInput, of: str = "") -> Html:
    """What can be taken away of the pictures that are asked for, with the pass ``of``."""
    whose = {PASS: of} if of else {}
    addresses = (whose | asked.filters, whose)
    filtered, mine = (f"?{urlencode(each)}" if each else "" for each in addresses)
    return div(
        "ls-under",
        _link(f"{ZIP}{filtered}", "ZIP of these pictures"),
        _link(f"{RECORDS}{filtered}", "Their records, for critics"),
        _link(f"{DECISIONS}{mine}", "All decisions (JSON Lines)"),
        _link(f"{DECISIONS_CSV}{mine}", "All decisions (CSV)"),
    )


def _link(url: str, said: str) -> Html:
    name = url.partition("?")[0]
    return tag("a", icons.DOWNLOAD, said, href=url, download=name, class_="ls-button")


def routes(workspace: Workspace) -> list[Route]:
    """The addresses of ``links``."""

    def route(
        name: str, media: str, parts: Callable[[Gallery, Filter], Iterable[str | bytes]]
    ) -> Route:
        def endpoint(request: Request) -> Response:
            try:
                gallery = workspace.visitors.passed(request.query_params.get(PASS, ""))
                made = parts(gallery, _wanted(request.query_params))
            except StudioError as error:
                return PlainTextResponse(f"{error}\n", status_code=409)
            except ValueError as error:
                return PlainTextResponse(f"There is no such filter: {error}.\n", status_code=400)
            named = {"Content-Disposition": f'attachment; filename="{name}"'}
            return StreamingResponse(made, media_type=media, headers=named)

        return Route(f"/{name}", endpoint, methods=["GET"])

    lines = "application/jsonl; charset=utf-8"
    return [
        route(ZIP, "application/zip", packed),
        route(RECORDS, lines, records),
        route(DECISIONS, lines, lambda of, _: [as_jsonl(Reviewing(of).judged())]),
        route(
            DECISIONS_CSV,
            "text/csv; charset=utf-8",
            lambda of, _: [as_csv(list(Reviewing(of).judged()))],
        ),
    ]


def _wanted(query: Mapping[str, str]) -> Filter:
    """
    Raises:
        ValueError: a mode or a standing that there is not.
    """
    base, lora, mode, words, standing, by = (query.get(key, "") for key in FILTERS)
    return GalleryInput(base, lora, mode, words, standing, by).wanted
