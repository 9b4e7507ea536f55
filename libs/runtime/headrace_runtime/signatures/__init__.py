"""Signatures of versions: bundles of OpenSSF model signing, and the policy of whose are accepted where."""
