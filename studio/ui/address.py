"""The page's address, ``?tab=gallery&picture=NAME``, and the tab that shows what it names.

``static/address.js`` keeps the address: it reads what is shown from ``data-address`` in the markup
of the tabs (``tags.address``), and tells the server what an address names that was opened,
reloaded or gone back to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.ui.assets import ADDRESS
from studio.ui.studio.live import Updates


@dataclass(frozen=True, slots=True)
class PageAddress:
    """Where an address can lead.

    Attributes:
        told: the component whose script is ``ADDRESS``; it has an event for each tab.
        tabs: chosen by the tabs' ids.
    """

    told: gr.HTML
    tabs: gr.Tabs

    def on_visit(
        self,
        tab: str,
        handler: Callable[..., Updates],
        inputs: Sequence[Any] = (),
        outputs: Sequence[Any] = (),
    ) -> None:
        """Choose ``tab`` whenever an address names it, with what ``handler`` makes of the rest.

        Args:
            handler: takes what the address names, by key (anybody can write an address, so the
                values are only texts), gradio's request, and the values of ``inputs``.
        """
        assert f"'{tab}'" in ADDRESS, f"static/address.js knows no tab {tab!r}"

        def visit(request: gr.Request, event: gr.EventData, *sent: Any) -> Updates:
            return handler(_named(event), request, *sent) | {self.tabs: gr.Tabs(selected=tab)}

        getattr(self.told, tab)(
            visit,
            inputs=list(inputs),
            outputs=[*outputs, self.tabs],
            queue=False,
            # Who goes back twice is at the second place; each other way drops one of the two.
            trigger_mode="always_last",
            show_progress="hidden",
            api_visibility="private",
        )


def _named(event: gr.EventData) -> Mapping[str, str]:
    data: Any = event._data
    pairs = data.items() if isinstance(data, dict) else ()
    return {str(key): value for key, value in pairs if isinstance(value, str)}
