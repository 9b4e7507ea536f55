"""RegistryService: messages in, calls of the rooms beside it, messages out."""
