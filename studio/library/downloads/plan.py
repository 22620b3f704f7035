"""What a download will do, decided before anything is fetched."""

from typing import Literal

from studio.contract.amounts import in_bytes
from studio.contract.base import Contract
from studio.presets.model_card import Published

Kind = Literal["lora", "checkpoint", "model"]


class RemoteFile(Contract):
    """One file to fetch.

    Attributes:
        name: below the plan's target folder, ``/``-separated; of a LoRA, as published.
        url: the interface's own address, without any key; redirects are followed by hand.
        size: bytes; None where the publisher does not say.
        sha256: of the whole file; None where the publisher does not say.
        git_sha1: git's name for a small file's content, which the Hub gives instead.
    """

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None


class DownloadPlan(Contract):
    """Everything a download is; only the metadata was asked for.

    Attributes:
        slug: the preset's, where there is one.
        kind: ``lora`` and ``checkpoint`` are one file and ``target`` its place; ``model`` is a
            folder.
        target: relative to MODEL_BASE_PATH, ``/``-separated.
        expected_sha256: the preset's or the pinned hash, which goes over the publisher's.
        notes: facts worth knowing before, a sentence each.
        conflict: where publisher and preset contradict each other, in one sentence.
    """

    slug: str | None
    label: str
    kind: Kind
    published: Published
    files: tuple[RemoteFile, ...]
    target: str
    expected_sha256: str | None = None
    notes: tuple[str, ...] = ()
    conflict: str | None = None

    @property
    def size(self) -> int | None:
        """Bytes in all; None where the size of a file is not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def sha256(self) -> str | None:
        """Of one file: the hash that is demanded."""
        if self.kind == "model":
            return None
        return self.expected_sha256 or self.files[0].sha256

    def describe(self) -> str:
        """ "218 MB from CivitAI, version 2636956, SHA-256 1f3a…" """
        said = [f"{in_bytes(self.size)} from {self.published.site}"]
        word = "version" if self.published.source == "civitai" else "revision"
        said.append(f"{word} {self.published.version[:12]}")
        if self.kind == "model":
            said.append(f"{len(self.files)} files, each checked by its hash")
        elif self.sha256 is not None:
            said.append(f"SHA-256 {self.sha256}")
        else:
            said.append("no SHA-256 published: it is pinned on first use")
        return ", ".join(said)
