"""The notices of a plan as markup."""

from studio.contract.plan import Notice, RunPlan
from studio.ui.html import format, icons
from studio.ui.html.tags import EMPTY, Html, tag

_ASIDES = frozenset(
    {
        "variant_left_out",
        "single_file",
        "alpha_unsaid",
        "waiver_not_needed",
        "pin_on_first_use",
        "trigger_by_file",
        "strength_by_file",
        "negative_by_file",
        "scheduler_named",
        "dtype_by_memory",
        "offload_without_effect",
        "name_read",
    }
)
"""Notices of what is so in any case. All others say that one gets something else than one may
expect, and are never folded away."""


def told(plan: RunPlan) -> Html:
    """What changes the picture, in sight."""
    items = [each for each in plan.notices if each.code not in _ASIDES]
    return tag("ul", *map(_notice, items), class_="ls-told") if items else EMPTY


def folded(plan: RunPlan) -> Html:
    """What is so in any case, to be opened."""
    items = [each for each in plan.notices if each.code in _ASIDES]
    if not items:
        return EMPTY
    return tag(
        "details",
        tag("summary", icons.NOTICE, format.plural(len(items), "notice")),
        tag("ul", *map(_notice, items)),
        class_="ls-notices",
        data_keep="notices",
    )


def _notice(notice: Notice) -> Html:
    return tag("li", notice.text, data_code=notice.code)
