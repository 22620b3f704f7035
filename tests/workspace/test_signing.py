"""From SIGN=local to files that are signed: a picture, and a sheet that binds its arms."""

import shutil
import threading
from dataclasses import replace

from studio.architecture import Mode
from studio.comparison.axes import ComparisonPlan, four_arms
from studio.comparison.events import Compared
from studio.gallery.comparisons.files import JSON_SUFFIX, SHEET_SUFFIX
from studio.gallery.comparisons.verification import verify_comparison
from studio.gallery.verification import examine
from studio.imaging import png
from studio.workspace.comparing import Comparing
from studio.workspace.replaying import find
from studio.workspace.workspace import Workspace
from tests.workspace.test_workspace import request


def test_a_comparisons_sheet_binds_its_arms(workspace: Workspace) -> None:
    signing = Workspace.open(replace(workspace.settings, sign="local"))
    comparing, wanted = (
        Comparing(signing),
        four_arms(request("plain", mode=Mode.LORA_WITH_TRIGGER)),
    )
    plan = comparing.plan(wanted)
    assert isinstance(plan, ComparisonPlan)
    *_, done = comparing.run(plan, signing.open_session(), threading.Event())
    assert isinstance(done, Compared)
    serial = done.record.signer
    assert serial is not None
    found = verify_comparison(done.path)
    assert found.findings == ()
    assert found.signature is not None
    assert (found.signature.state, found.signature.serial) == ("valid", serial)
    outputs = signing.gallery.outputs
    again = find(signing, str(done.path)).pictures
    assert again == tuple(outputs / str(cell.picture) for cell in done.record.pictured)
    for cell in done.record.pictured:
        seen = examine((outputs / str(cell.picture)).read_bytes())
        assert (seen.judged, seen.record and seen.record.signer) == ("whole", serial)
    # One arm in the place of another: its own signature holds, the sheet's names another one.
    one, other = (outputs / str(cell.picture) for cell in done.record.pictured[:2])
    shutil.copy(one, other)
    assert {each.code for each in verify_comparison(done.path).findings} == {"cell", "verdict"}
    # Record and sheet written anew for it, as a forger would: the signature is not theirs.
    sheet = done.path.with_name(done.path.name.replace(JSON_SUFFIX, SHEET_SUFFIX))
    chunks = png.chunks(sheet.read_bytes())
    plain = [each for each in chunks if each.kind != "caBX"]
    sheet.write_bytes(png.SIGNATURE + b"".join(png.serialize(x.kind, x.data) for x in plain))
    codes = {each.code for each in verify_comparison(done.path).findings}
    assert codes == {"cell", "verdict", "signature"}
    signing.close()
