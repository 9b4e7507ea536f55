"""The shared layer of stored answers: Valkey, by a client that costs a look-up a write and a call."""
