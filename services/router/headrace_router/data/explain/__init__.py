"""How answers came about: recorded for few requests, stored for an hour, returned by any data plane."""
