"""Channels to the router from the processes of the engine."""

from __future__ import annotations

from pathlib import Path

import grpc
from headrace_servicekit.client import client_options
from headrace_servicekit.endpoints import present_target
from headrace_servicekit.tls import Tls, channel_credentials

from headrace_scorer.engine.publish_orders import Peers

MAX_MESSAGE_BYTES = 64 << 20


def channel(target: str, peers: Peers) -> grpc.Channel:
    """Return a channel to the replicas as they are, with certificates where there are some."""
    options, address = client_options(MAX_MESSAGE_BYTES), present_target(target)
    if peers.tls_cert is None:
        return grpc.insecure_channel(address, options=options)
    cert, key, ca = (Path(path) if path is not None else None for path in (peers.tls_cert, peers.tls_key, peers.tls_ca))
    return grpc.secure_channel(address, channel_credentials(Tls(cert, key, ca)), options=options)
