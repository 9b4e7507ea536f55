"""How answers came about: recorded for few requests, stored for an hour, returned to whoever asks any data plane."""
