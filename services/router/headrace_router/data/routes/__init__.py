"""The resolved route tables: in step with the control plane, on disk, and which variant a unit gets."""
