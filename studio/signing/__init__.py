"""C2PA signatures: made with a key of one's own, offline, and read back by the official library.

What a signature of a local key says is that a file is unchanged since this studio signed it. It
does not say who that was. The library is an optional extra, ``lora-studio[sign]``.
"""
