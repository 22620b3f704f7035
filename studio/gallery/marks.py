"""The mark that says a picture was made by a generative model: XMP that any tool can read.

IPTC's ``DigitalSourceType`` is the property that sites, search engines and the EU's Code of
Practice name for it (https://cv.iptc.org/newscodes/digitalsourcetype/). The text follows from
the record, so that ``verify`` knows each byte of it.
"""

from xml.sax.saxutils import escape

from studio.contract.base import canonical_json
from studio.contract.marks import SourceType
from studio.contract.receipt import RunRecord
from studio.imaging import png

XMP_KEY = png.XMP_KEY

_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
   xmlns:xmp="http://ns.adobe.com/xap/1.0/"
   xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"{space}>
   <xmp:CreatorTool>{tool}</xmp:CreatorTool>
   <Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>{label}
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""
_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"


_TC260 = '\n   xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/"'


def xmp(
    source: SourceType, release: str | None, producer: str | None = None, number: str = ""
) -> str:
    """The XMP text of a picture of this source, made by this release of the studio.

    Args:
        producer: who GB 45438's label names as the producer; None leaves the label out.
        number: the producer's number of this picture.
    """
    tool = "LoRA Studio" if release is None else f"LoRA Studio {release}"
    space, label = "", ""
    if producer is not None:
        space, label = _TC260, f"\n   <TC260:AIGC>{escape(_aigc(producer, number))}</TC260:AIGC>"
    return _XMP.format(tool=escape(tool), source=_SOURCE + source.value, space=space, label=label)


def _aigc(producer: str, number: str) -> str:
    """GB 45438-2025, annex E: Label 1 says that a model made it. Nobody spread it yet, and the
    reserved fields, for signatures, stay empty."""
    empty = dict.fromkeys(
        ("ReservedCode1", "ContentPropagator", "PropagateID", "ReservedCode2"), ""
    )
    return canonical_json({"Label": "1", "ContentProducer": producer, "ProduceID": number} | empty)


def of_record(record: RunRecord) -> dict[str, str]:
    """Keyword → text of the marks that the picture of ``record`` carries."""
    if record.source_type is None:
        return {}
    number = f"{record.receipt.run_id}-{record.receipt.image.index}"
    return {XMP_KEY: xmp(record.source_type, record.plan.release, record.producer, number)}
