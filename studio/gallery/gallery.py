"""The pictures on disk: save, ask, show, delete. The PNG files are the truth.

outputs/2026-11-22/153012-1a2b3c4d-1.png    the pictures, each with its record
outputs/2026-11-22/153012-1a2b3c4d-1.comparison.json, .png   comparisons of them
outputs/references/<sha256>.png             what edits were made from, named by its pixels
outputs/index.sqlite                        rebuilt from them whenever it must be; INDEX_DIR has it
                                            where that is set
outputs/.thumbs/                            small copies, made on demand
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from studio.comparison.review import Agreement, Decision, Judgement, ReviewState, agreement
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord
from studio.errors import GalleryError
from studio.gallery import record_png
from studio.gallery.comparisons.files import JSON_SUFFIX, SHEET_SUFFIX, sheet_of
from studio.gallery.comparisons.index import StoredComparison
from studio.gallery.comparisons.store import Comparisons, Item
from studio.gallery.decisions import Decisions
from studio.gallery.followed_files import SUFFIX, FollowedFiles, Reindexed, is_picture
from studio.gallery.index import PictureIndex
from studio.gallery.reference_store import KeptReferences
from studio.gallery.replays import replays_of
from studio.gallery.row import Facets, Filter, Picture, UseCount, index_of, moment
from studio.gallery.thumbnails import Thumbnails
from studio.gallery.walk import inside, stamp
from studio.imaging.references import FOLDER
from studio.signing.sealing import Sealer
from studio.storage import atomic

COPY = "-copy"
"""Stands in the name of a picture that came from another gallery, which may have one of its own
that is called so otherwise."""


class Gallery:
    """The pictures under ``outputs``, which is made if it is missing.

    Any number of threads and processes may use the same folder. Opening compares the index
    with the files, and makes it anew when it is missing, damaged or of another release.

    Args:
        sealer: signs what is saved, where its record says so.
        index: the folder where the index lies, one for each ``outputs``; None for these
            themselves. For outputs on a mounted bucket, where SQLite's locks may not hold.

    Raises:
        GalleryError: here and everywhere, when the folder or the index cannot be used.
    """

    def __init__(
        self, outputs: Path, sealer: Sealer | None = None, index: Path | None = None
    ) -> None:
        with atomic.storing(outputs):
            outputs.mkdir(parents=True, exist_ok=True)
            if index is not None:
                index.mkdir(parents=True, exist_ok=True)
            self.outputs = outputs.resolve(strict=True)
        self._index = PictureIndex(index_of(self.outputs, index), self.outputs)
        self._thumbnails = Thumbnails(self.outputs / ".thumbs")
        self.decisions = Decisions(self.outputs / ".reviews")
        self.sealer = sealer
        self._files = FollowedFiles(
            self.outputs,
            self._index,
            self._thumbnails,
            self.decisions.tags,
            lambda: self.comparisons.sync(),
        )
        self._indexed = self._files.indexed
        self.comparisons = Comparisons(self.outputs, self._index, self._indexed, sealer)
        self._references = KeptReferences(self.outputs / FOLDER)
        self._files.prepare()
        self.sync()

    def save(
        self,
        image: Image.Image,
        record: RunRecord,
        references: Mapping[str, Path] | None = None,
    ) -> Path:
        """Keep ``image`` with ``record`` inside, durably and under a name of its own.

        Args:
            references: SHA-256 → file of the reference images it was made from; they are
                kept beside it.

        Raises:
            GalleryError: when the image is not the record's (nothing is written), when the
                disk does not take it (nothing stays behind), or when only the index failed
                (the message names the picture, which is kept).
        """
        data = record_png.encode(image, record)
        with atomic.storing(self.outputs):
            held = {sha256: path.read_bytes() for sha256, path in (references or {}).items()}
            data = record_png.sealed(data, record, self.sealer, held)
        return self._keep(data, record, held)

    def take(self, other: "Gallery", name: str) -> Path:
        """Keep a copy of another gallery's picture, as it is and with what it was made from.

        Raises:
            GalleryError: as ``read`` and ``save``.
        """
        record = other.read(name)
        with atomic.storing(other.outputs):
            data = (other.outputs / name).read_bytes()
            hashes = (each.sha256 for each in record.plan.references)
            held = {sha256: other.reference(sha256).read_bytes() for sha256 in hashes}
        return self._keep(data, record, held, COPY)

    def _keep(
        self, data: bytes, record: RunRecord, held: Mapping[str, bytes], mark: str = ""
    ) -> Path:
        local = moment(record).astimezone()
        stem = f"{local:%H%M%S}-{record.plan.fingerprint[:8]}{mark}"
        with atomic.storing(self.outputs):
            self._references.keep(held)
            folder = self.outputs / f"{local:%Y-%m-%d}"
            path = atomic.publish(folder, stem, SUFFIX, data)
            row = self._files.row(self._name(path), stamp(path.stat()), record)
        try:
            self._indexed(lambda: self._index.change(add=[row]))
        except GalleryError as error:
            raise GalleryError(
                f"{path} is saved, but not in the index: {error.message}",
                "Run `studio gallery reindex` once the index can be written.",
            ) from error
        # A picture deleted in between may have been the last one that used a reference.
        with atomic.storing(self.outputs):
            self._references.keep(held)
        return path

    def decide(self, decision: Decision) -> None:
        """Keep a decision, by which its pictures are found from then on."""
        record = decision.record_fingerprint
        self.decisions.add(decision)
        self._indexed(lambda: self._index.judge(record, lambda: self.decisions.tags(record)))

    def reference(self, sha256: str) -> Path:
        """Where a picture's reference image lies, whether it is there or not."""
        return self._references.path(sha256)

    def query(
        self, wanted: Filter | None = None, limit: int = 60, after: Picture | None = None
    ) -> list[Picture]:
        """At most ``limit`` pictures that are really there, newest first, cells too.

        ``after`` is the last picture of the page before; None starts with the newest.
        """
        beyond = None if after is None else after.place
        return self._files.pictures(wanted or Filter(), limit, beyond)

    def count(self, wanted: Filter | None = None) -> int:
        """How many pictures the index has that agree with ``wanted``."""
        return self._indexed(lambda: self._index.count(wanted or Filter(), "pictures"))

    def facets(self) -> Facets:
        """Which bases, LoRAs and modes occur, in how many of the shown items, and who decided."""
        return self._indexed(self._index.facets)

    def uses(self) -> dict[str, UseCount]:
        """Slug → how often a LoRA was applied, and when last."""
        return self._indexed(self._index.uses)

    def read(self, path: Path | str) -> RunRecord:
        """The record of the picture at ``path``, absolute or relative to the outputs.

        Raises:
            RecordError: when it has none, or none that parses.
        """
        return record_png.read_record(self._inside(path))

    def place(self, name: str) -> int | None:
        """Where a picture stands in the order of the gallery; None where there is none."""
        found = self._indexed(lambda: self._index.named([name]))
        return found[0].place if found else None

    def standings(self, places: Sequence[int]) -> dict[int, ReviewState]:
        """What the reviewers make of the pictures at these places."""
        found = self._indexed(lambda: self._index.standings(places))
        return {place: ReviewState(value) for place, value in found.items()}

    def agreement(self) -> Agreement:
        """How far the reviewers agree on the records that two or more decided on."""
        said: dict[str, dict[str, Judgement]] = {}
        for record, by, judgement in self._indexed(self._index.verdicts):
            said.setdefault(record, {})[by] = judgement
        return agreement(said.values())

    def made_by(self, plan: RunPlan) -> list[Picture]:
        """The pictures of exactly this plan, newest first, that are really there."""
        return self._files.having("fingerprint", plan.fingerprint)

    def with_record(self, fingerprint: str) -> list[Picture]:
        """The pictures whose whole record has this fingerprint; copies have the same one."""
        return self._files.having("record", fingerprint)

    def with_fingerprint(self, fingerprint: str) -> list[Picture]:
        """The pictures of this plan, or with this whole record."""
        return self._files.having("fingerprint", fingerprint) or self.with_record(fingerprint)

    def with_pixels(self, sha256: str) -> list[Picture]:
        """The pictures that show exactly these pixels, whatever became of their texts since."""
        return self._files.having("pixels", sha256)

    def thumbnail(self, of: Item) -> Path:
        """A small WebP file of a picture or a contact sheet, made when it is asked for first."""
        with atomic.storing(self.outputs):
            if isinstance(of, StoredComparison):
                return self._thumbnails.make(of.name, sheet_of(of.path))
            return self._thumbnails.make(of.name, of.path)

    def serves(self, path: Path) -> bool:
        """Whether a browser may have the file at ``path``: a picture or a comparison that the
        index knows, a thumbnail of one, or a reference image of a picture. Whatever else lies in
        the outputs is not the gallery's to give."""
        if not path.is_relative_to(self.outputs) or not path.is_file() or path.resolve() != path:
            return False
        place = path.relative_to(self.outputs)
        match place.parts:
            case (".thumbs", *_):
                item = place.relative_to(".thumbs")
                return any(self._knows(item.with_suffix(end)) for end in (SUFFIX, ".json"))
            case (folder, _) if folder == FOLDER:
                return place.suffix == SUFFIX and self._uses(place.stem)
        return self._knows(place)

    def _knows(self, place: Path) -> bool:
        name = place.as_posix()
        if is_picture(name):
            return bool(self._indexed(lambda: self._index.named([name])))
        known = name.endswith((SHEET_SUFFIX, JSON_SUFFIX))
        return known and self.comparisons.has(str(place.with_suffix(".json")))

    def delete(self, path: Path | str) -> None:
        """Remove a picture, its thumbnail, its row, the decisions on it, and the references it
        used alone.

        ``path`` is as for ``read``.

        Raises:
            GalleryError: when it is not a PNG file inside the outputs, or no longer there.
        """
        place = self._inside(path)
        name = self._name(place)
        references = self._indexed(lambda: self._index.references_of(name))
        known = self._indexed(lambda: self._index.named([name]))
        with atomic.storing(self.outputs):
            for beside in (place, *replays_of(place)):
                beside.unlink()
            atomic.sync_folder(place.parent)
        self._indexed(lambda: self._index.change(remove=[name]))
        self._files.forget_thumbnails([name])
        for each in known:
            if not self.with_record(each.record):
                self.decisions.forget(each.record)
        with atomic.storing(self.outputs):
            self._references.forget(each for each in references if not self._uses(each))

    def _uses(self, sha256: str) -> bool:
        return self._indexed(lambda: self._index.uses_reference(sha256))

    def sync(self) -> Reindexed:
        """Bring the index up to the files: read what is new or changed, forget what is gone."""
        done = self._files.sync()
        self._indexed(self.comparisons.sync)
        return done

    def reindex(self) -> Reindexed:
        """As ``sync``, but read every file again, and clear up after killed writers."""
        done = self._files.reread()
        self._indexed(self.comparisons.reread)
        self._references.discard_strays(self._uses)
        return done

    def _inside(self, path: Path | str) -> Path:
        return inside(self.outputs, path, is_picture, "picture")

    def _name(self, path: Path) -> str:
        return path.relative_to(self.outputs).as_posix()
