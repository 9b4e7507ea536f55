"""MonitorService: each method is that of the subject that has it."""

from __future__ import annotations

from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc
from headrace_servicekit.errors import Unimplemented

_METHODS = tuple(method.name for method in monitor_pb2.DESCRIPTOR.services_by_name["MonitorService"].methods)


class MonitorServicer(monitor_pb2_grpc.MonitorServiceServicer):
    """MonitorService of subjects: objects that have some of its methods. One that none has is UNIMPLEMENTED."""

    def __init__(self, *subjects: object) -> None:
        for subject in subjects:
            vars(self).update({name: getattr(subject, name) for name in _METHODS if hasattr(subject, name)})

    async def RenderReport(self, request, context):
        # Of 0.1.0, which made the page itself.
        raise Unimplemented(
            "a report is a page of the console: open /console/models/MODEL/report at the front door, or save it by "
            "`headrace monitor report` of headrace-client[observe] in this release",
            reason="REPORT_IN_CONSOLE",
        )
