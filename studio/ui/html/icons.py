"""Line icons, drawn on a grid of 16; they carry no meaning that text does not repeat."""

from studio.ui.html.tags import Html


def _icon(body: str) -> Html:
    return Html(
        '<svg class="ls-icon" viewBox="0 0 16 16" width="16" height="16" fill="none" '
        'stroke="currentColor" stroke-width="1.5" stroke-linecap="round" '
        f'stroke-linejoin="round" aria-hidden="true">{body}</svg>'
    )


READY = _icon('<circle cx="8" cy="8" r="4" fill="currentColor" stroke="none"/>')
PROVEN = _icon('<circle cx="8" cy="8" r="6.5"/><path d="m5.2 8.2 2 2 3.6-4.2"/>')
CROSS = _icon('<circle cx="8" cy="8" r="6.5"/><path d="m5.8 5.8 4.4 4.4m0-4.4-4.4 4.4"/>')
ALERT = _icon('<circle cx="8" cy="8" r="6.5"/><path d="M8 4.8v3.8M8 11v.2"/>')
STOPPED = _icon('<circle cx="8" cy="8" r="6.5"/><path d="M5.5 8h5"/>')
RUNNING = _icon('<g class="ls-spin"><path d="M8 1.5a6.5 6.5 0 1 1-6.1 4.3"/></g>')
CHECK = _icon('<path d="m3.5 8.4 3 3 6-6.6"/>')
NOTICE = _icon('<circle cx="8" cy="8" r="6.5"/><path d="M8 7.4v3.8M8 4.8V5"/>')
DOWNLOAD = _icon('<path d="M8 2.5v7.5m-3-3 3 3 3-3M3 13.2h10"/>')
STAR = _icon('<path d="m8 1.9 1.9 3.9 4.3.6-3.1 3 .7 4.3L8 11.7l-3.8 2 .7-4.3-3.1-3 4.3-.6z"/>')
FRAME = _icon('<path d="M2.5 5.5v-3h3m5 0h3v3m0 5v3h-3m-5 0h-3v-3"/>')

MARK = Html(
    '<svg class="ls-mark" viewBox="0 0 24 24" width="24" height="24" fill="none" '
    'stroke="currentColor" stroke-width="1.7" stroke-linejoin="round" aria-hidden="true">'
    '<path d="M3 7V3h4M17 3h4v4M21 17v4h-4M7 21H3v-4"/>'
    '<circle cx="12" cy="12" r="5.2"/><path d="M12 6.8v10.4" />'
    '<path d="M12 6.8a5.2 5.2 0 0 1 0 10.4Z" fill="currentColor"/></svg>'
)
