"""Reads a chosen file's header in the browser, so that nothing of it has to be uploaded.

The page sends the header, at most ``MAX_HEADER`` bytes, and the hashes that the browser
computed. All of it comes from a stranger: whoever sends lies is answered about lies.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.contract.base import is_sha256
from studio.errors import HeaderError
from studio.inspection.header import LENGTH_FIELD, MAX_HEADER

HASHED = 1 << 30
"""Bytes of the largest file that is hashed in the browser: it holds it in memory."""

READ_HEADER = """
const input = element.querySelector('input[type=file]');
const hex = (buffer) =>
  Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');
const base64 = (blob) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1));
  reader.onerror = () => reject(reader.error);
  reader.readAsDataURL(blob);
});
const read = async (file) => {
  const start = new DataView(await file.slice(0, 8).arrayBuffer());
  const length = start.byteLength === 8 ? Number(start.getBigUint64(0, true)) : 0;
  const end = length <= MAX_HEADER ? 8 + length : 64;
  const found = {name: file.name, size: file.size, head: await base64(file.slice(0, end))};
  if (crypto.subtle && end > 64 && file.size <= HASHED) {
    const all = await file.arrayBuffer();
    found.sha256 = hex(await crypto.subtle.digest('SHA-256', all));
    found.data_sha256 = hex(await crypto.subtle.digest('SHA-256', new Uint8Array(all, end)));
  }
  return found;
};
input.addEventListener('change', async () => {
  const file = input.files[0];
  if (!file) return;
  let found;
  try {
    found = await read(file);
  } catch (error) {
    found = {name: file.name, size: 0, head: '', problem: String(error)};
  }
  trigger('header', found);
  input.value = '';
});
""".replace("MAX_HEADER", str(MAX_HEADER)).replace("HASHED", str(HASHED))
"""For ``gr.HTML(js_on_load=READ_HEADER)`` with a file input; tells the ``header`` event."""

_NAME = 200


@dataclass(frozen=True, slots=True)
class ChosenFile:
    """What the browser says of a file."""

    name: str
    size: int
    head: bytes
    sha256: str | None
    data_sha256: str | None


def chosen(event: gr.EventData) -> ChosenFile:
    """The event's data, checked.

    Raises:
        HeaderError: the browser could not read the file, or sent something else.
    """
    data: Any = event._data
    if not isinstance(data, dict) or data.get("problem"):
        raise HeaderError("your browser could not read it")
    name, size, head = data.get("name"), data.get("size"), data.get("head")
    if not isinstance(name, str) or type(size) is not int or not isinstance(head, str):
        raise HeaderError("your browser sent no header")
    if size < 0 or len(head) > (LENGTH_FIELD + MAX_HEADER + 2) * 4 // 3 + 4:
        raise HeaderError("your browser sent more than a header")
    try:
        raw = base64.b64decode(head, validate=True)
    except (binascii.Error, ValueError) as error:
        raise HeaderError("your browser sent no header") from error
    return ChosenFile(
        name[:_NAME], size, raw, _digits(data.get("sha256")), _digits(data.get("data_sha256"))
    )


def _digits(value: object) -> str | None:
    return value if isinstance(value, str) and is_sha256(value) else None
