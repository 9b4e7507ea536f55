"""Policies of rollouts as release 0.1.0 sends and reads them: a message of the part that rolls out, today JSON.

Its fields are reserved in approval.proto, and translated here for one release by the descriptors that are installed:
without that part there are no such callers.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from google.protobuf import descriptor_pb2, json_format, message_factory
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from headrace.registry.v1 import approval_pb2 as pb
from headrace_servicekit.varint import varint

_POLICY = "headrace.rollout.v1.RolloutPolicy"
_IN_A_WISH, _IN_A_REQUEST = 6, 10
_BYTES = 2


def policy_in(wish: pb.RequestPromotionRequest) -> str:
    """Return the JSON of a policy in the former field, empty for none. Raises DecodeError, and as json_format."""
    found = [one.data for one in UnknownFieldSet(wish) if (one.field_number, one.wire_type) == (_IN_A_WISH, _BYTES)]
    kind = _policy() if found else None
    if kind is None:
        return ""
    # Parts of a message that came more than once are one message.
    return json_format.MessageToJson(kind.FromString(b"".join(found)), preserving_proto_field_name=True, indent=None)


def add_to(request: pb.PromotionRequest, policy: str) -> None:
    """Add a policy in the former field, where it is one."""
    kind = _policy()
    if kind is None:
        return
    try:
        message = json_format.Parse(policy, kind())
    except json_format.ParseError:
        return
    encoded = message.SerializeToString()
    request.MergeFromString(varint(_IN_A_REQUEST << 3 | _BYTES) + varint(len(encoded)) + encoded)


@cache
def _policy() -> type[Message] | None:
    encoded = resources.files("headrace").joinpath("descriptors.binpb").read_bytes()
    files = descriptor_pb2.FileDescriptorSet.FromString(encoded)
    return message_factory.GetMessages(files.file).get(_POLICY)
