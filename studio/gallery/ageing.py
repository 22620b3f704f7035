"""What a gallery forgets with time: what is old, and what is too many."""

from datetime import datetime

from studio.gallery.comparisons.index import StoredComparison
from studio.gallery.comparisons.store import Item
from studio.gallery.gallery import Gallery

_AT_ONCE = 100


def forget_before(gallery: Gallery, moment: datetime) -> int:
    """Delete the pictures and comparisons from before ``moment``; how many there were."""
    gone = 0
    while found := [each for each in _oldest(gallery) if each.created < moment]:
        for each in found:
            _delete(gallery, each)
        gone += len(found)
    return gone


def forget_beyond(gallery: Gallery, most: int) -> int:
    """Delete the oldest pictures and comparisons until there are ``most``; how many there were."""
    gone = 0
    while (over := gallery.comparisons.count() - most) > 0:
        found = _oldest(gallery)[:over]
        if not found:
            break
        for each in found:
            _delete(gallery, each)
        gone += len(found)
    return gone


def _oldest(gallery: Gallery) -> list[Item]:
    return gallery.comparisons.items(limit=_AT_ONCE, newest_first=False)


def _delete(gallery: Gallery, item: Item) -> None:
    if isinstance(item, StoredComparison):
        gallery.comparisons.delete(item.name)
    else:
        gallery.delete(item.name)
