"""The LoRA browser's markup: the dialog, what its filters offer, and a page of cards."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.architecture import Architecture
from studio.presets import LoraPreset
from studio.ui.browser.query import LoraOrder, LoraSubset
from studio.ui.html import icons, preset_cards, preset_tables
from studio.ui.html.tags import EMPTY, Html, div, join, span, tag

SHOWN = (
    (LoraSubset.ALL, "All"),
    (LoraSubset.PRESENT, "On disk"),
    (LoraSubset.FAVOURITES, "Favourites"),
    (LoraSubset.USED, "Used before"),
)
ORDERS = (
    (LoraOrder.NAME, "Name"),
    (LoraOrder.RECENT, "Recently used"),
    (LoraOrder.MOST, "Most used"),
    (LoraOrder.NEW, "Newest file"),
)


@dataclass(frozen=True, slots=True)
class ShownLora:
    """A LoRA on a page of the browser.

    Attributes:
        can_fetch: its weights are missing, and the preset says where they come from.
        uses: in how many pictures of the gallery it was applied.
        of_run: other checkpoints of its training run are in the library.
    """

    preset: LoraPreset
    preview: Path | None
    folder: str
    there: bool
    can_fetch: bool
    favourite: bool
    uses: int
    picked: bool
    taken: bool
    of_run: bool = False


def dialog(may_star: bool) -> Html:
    """The empty dialog; the server fills its lists and its pages."""
    choices = (
        _select("folder", "Folder", (("", "All folders"),)),
        _select("theme", "Theme", (("", "All themes"),)),
        _select("tag", "Tag", (("", "All tags"),)),
        _select("only", "Show", SHOWN),
        _select("order", "Sort by", ORDERS),
    )
    return tag(
        "dialog",
        tag(
            "header",
            tag("h2", "Choose a LoRA", id="ls-browser-title"),
            tag("button", "Close", type="button", class_="ls-button", data_close=True),
            tag(
                "label",
                span("", "Find"),
                tag(
                    "input",
                    type="search",
                    aria_label="Find",
                    name_="words",
                    placeholder="name, trigger words, tags, folder",
                    autocomplete="off",
                    spellcheck="false",
                    maxlength=400,
                ),
                class_="ls-browser-find",
            ),
            *choices,
        ),
        div("ls-browser-found", tabindex="-1"),
        div(
            "ls-browser-foot",
            tag("p", class_="ls-origin", data_chosen=True),
            tag("button", "Use these", type="button", class_="ls-button", data_use=True),
            hidden=True,
        ),
        id="lora-browser",
        class_="ls-browser",
        aria_labelledby="ls-browser-title",
        data_stars="1" if may_star else None,
    )


def _select(name: str, label: str, offered: Sequence[tuple[str, str]]) -> Html:
    return tag("label", span("", label), tag("select", options(offered), name_=name))


def options(offered: Sequence[tuple[str, str]]) -> Html:
    return join(tag("option", text, value=value) for value, text in offered)


def found(shown: Sequence[ShownLora], line: str, page: int, pages: int, may_star: bool) -> Html:
    """A page of cards under a line that counts them."""
    alike = preset_tables.of_one_label(each.preset for each in shown)
    cards = (
        tag(
            "li",
            _card(each, each.preset.label in alike),
            _star(each) if may_star else EMPTY,
            _try(each) if each.of_run else EMPTY,
        )
        for each in shown
    )
    return join(
        (
            tag("p", line, class_="ls-origin", role="status"),
            tag("ul", *cards, class_="ls-cards") if shown else EMPTY,
            _pager(page, pages) if pages > 1 else EMPTY,
        )
    )


def _card(each: ShownLora, say_slug: bool) -> Html:
    own = each.preset.slug if say_slug else ""
    said = (own, each.folder.rpartition("/")[2], each.preset.theme)
    under = " · ".join(part for part in said if part)
    used = f"used {each.uses} ×" if each.uses else ""
    if each.taken:
        foot = span("ls-there", "in the request")
    elif each.there or not each.can_fetch:
        foot = preset_tables.weights(each.there)
    else:
        foot = span("ls-there ls-missing", span("ls-dot", ""), "can be downloaded")
    foot = span("ls-card-foot", foot, span("ls-dim", used) if used else EMPTY)
    return preset_cards.card(
        each.preset, under, foot, each.preview, picked=each.picked, taken=each.taken
    )


def _star(each: ShownLora) -> Html:
    return tag(
        "button",
        icons.STAR,
        type="button",
        class_="ls-star",
        data_star=each.preset.slug,
        aria_pressed="true" if each.favourite else "false",
        aria_label=f"Favourite: {each.preset.label}",
        title="Favourite",
    )


def _try(each: ShownLora) -> Html:
    return tag(
        "button",
        "Try this run",
        type="button",
        class_="ls-button ls-try",
        data_try=each.preset.slug,
        aria_label=f"Try this run: {each.preset.label}",
        title="Other checkpoints of its training run are here: which one, at which strength?",
    )


def _pager(page: int, pages: int) -> Html:
    def turn(text: str, to: int, works: bool) -> Html:
        return tag(
            "button", text, type="button", class_="ls-button", data_page=to, disabled=not works
        )

    return tag(
        "nav",
        turn("Previous", page - 1, page > 0),
        span("ls-origin", f"Page {page + 1} of {pages}"),
        turn("Next", page + 1, page + 1 < pages),
        class_="ls-browser-pages",
        aria_label="Pages",
    )


def nothing(line: str, clear: bool) -> Html:
    """Where no card is: why, and the way out."""
    button = tag("button", "Clear the search", type="button", class_="ls-button", data_clear=True)
    return div("ls-nothing", icons.FRAME, tag("p", line), button if clear else EMPTY)


def unfit(named: Sequence[tuple[str, str]], count: int) -> Html:
    """What the words find and the base cannot use, each with its reason."""
    if not count:
        return EMPTY
    more = count - len(named)
    lines = [tag("li", span("ls-strong", name), ": ", reason) for name, reason in named]
    rest = [tag("li", f"and {more} more")] if more > 0 else []
    title = f"Found too, and not for this base: {count}"
    return tag("section", tag("h3", title), tag("ul", *lines, *rest), class_="ls-browser-unfit")


def button(
    text: str,
    architecture: Architecture | None,
    key: str,
    *,
    taken: Collection[str] = (),
    picked: Collection[str] = (),
    many: bool = False,
    title: str = "",
    style: str = "ls-button",
    **attributes: object,
) -> Html:
    """What opens the browser; its answer comes as the ``pick`` of ``key`` and the slugs.

    Args:
        taken: slugs that cannot be picked again.
        picked: slugs that are picked already, where ``many`` may be.
    """
    return tag(
        "button",
        text,
        type="button",
        class_=style,
        data_browse=key,
        data_architecture=architecture.value if architecture else "",
        data_taken=" ".join(taken),
        data_picked=" ".join(picked),
        data_many="1" if many else None,
        data_title=title or text,
        **attributes,
    )
