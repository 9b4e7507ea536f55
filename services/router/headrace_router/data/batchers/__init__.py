"""Batchers as a data plane sees them: pools, the streams to them, and which one gets a request."""
