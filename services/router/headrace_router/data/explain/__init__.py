"""How answers came about: noted for few requests, kept for an hour, told to whoever asks any data plane."""
