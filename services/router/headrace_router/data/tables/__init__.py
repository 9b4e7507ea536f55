"""The resolved route tables: in step with the control plane, on disk, with the contracts of their versions."""
