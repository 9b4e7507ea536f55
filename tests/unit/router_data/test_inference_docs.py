"""docs/open-inference-protocol.md says what the code does."""

from pathlib import Path

from headrace_router.data.protocols.oip.catalog import Catalog
from headrace_router.data.protocols.oip.parameters import ATTRIBUTE, KNOWN
from headrace_router.data.protocols.oip.unsupported_methods import UNSUPPORTED
from headrace_router.data.tables.tables import Tables
from headrace_router.data.telemetry.counters import Counters
from headrace_router.data.transports.call_context import CONTEXT_HEADERS
from headrace_router.data.transports.grpc_aio.inference import InferenceReads

from tests.kit.rows import each

DOC = (Path(__file__).parents[3] / "docs" / "open-inference-protocol.md").read_text()
CATALOG = Catalog(Tables(), Counters(), serves=lambda pool, digest: True, ready=lambda: True, version="", max_rows=1)


@each("name", [*KNOWN, f"{ATTRIBUTE}NAME", *CONTEXT_HEADERS])
def test_every_parameter_and_header_is_explained(name: str):
    assert f"`{name}`" in DOC


@each("name", sorted({*InferenceReads.METHODS, "ModelInfer", "ModelStreamInfer"}))
def test_every_method_is_served_or_refused_as_the_document_says(name: str):
    served = f"`{name}`" in DOC.partition("All else")[0]
    assert served == (name not in UNSUPPORTED)
    if not served:
        assert InferenceReads(CATALOG).refusal(name).public_message
