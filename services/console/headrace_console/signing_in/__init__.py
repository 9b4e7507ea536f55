"""How people sign in: at an OpenID provider, or by a one-time link of the development issuer."""
