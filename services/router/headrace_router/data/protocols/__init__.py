"""Faces of prediction: from the bytes of one protocol to a request, and from an answer back to bytes."""
