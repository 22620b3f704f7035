"""The mark that says a picture was made by a generative model: XMP that any tool can read.

IPTC's ``DigitalSourceType`` is the property that sites, search engines and the EU's Code of
Practice name for it (https://cv.iptc.org/newscodes/digitalsourcetype/). The text follows from
the record, so that ``verify`` knows each byte of it.
"""

from xml.sax.saxutils import escape

from studio.contract.receipt import RunRecord, SourceType

XMP_KEY = "XML:com.adobe.xmp"
"""The keyword of XMP in a PNG's iTXt chunk (XMP specification, part 3, section 1.1.5)."""

_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
   xmlns:xmp="http://ns.adobe.com/xap/1.0/"
   xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
   <xmp:CreatorTool>{tool}</xmp:CreatorTool>
   <Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""
_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def xmp(source: SourceType, release: str | None) -> str:
    """The XMP text of a picture of this source, made by this release of the studio."""
    tool = "LoRA Studio" if release is None else f"LoRA Studio {release}"
    return _XMP.format(tool=escape(tool), source=_SOURCE + source.value)


def of_record(record: RunRecord) -> dict[str, str]:
    """Keyword → text of the marks that the picture of ``record`` carries."""
    if record.source_type is None:
        return {}
    return {XMP_KEY: xmp(record.source_type, record.plan.release)}
