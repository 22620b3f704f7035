"""How far something is."""

from studio.ui.html.tags import Html, div, join, span, tag


def bar(said: str, share: int | None = None) -> Html:
    """A bar that is ``share`` hundredths full; None where nobody knows how far it is.

    Args:
        said: for those who do not see it.
    """
    known = share is not None
    return div(
        "ls-progress" if known else "ls-progress ls-unknown",
        span("", style=f"width:{share}%") if known else span(""),
        role="progressbar",
        aria_label=said,
        aria_valuenow=share,
        aria_valuemin=0 if known else None,
        aria_valuemax=100 if known else None,
    )


def titled(said: str, share: int | None = None) -> Html:
    """The same with its line above it."""
    return join((tag("p", said, class_="ls-stage-line"), bar(said, share)))
