"""Claims of access tokens as identity providers document them, without issuer and times."""

from __future__ import annotations

from typing import Any

from headrace_client.issuer import AUDIENCE

# The scopes are those of an API that was registered there.
PROVIDERS: dict[str, dict[str, Any]] = {
    "Keycloak": {
        "auth_time": 1735689600, "jti": "onrtac:6a5c2c1e-8f42-4d21-9d5b-3a6b1a1d6f0e", "aud": [AUDIENCE, "account"],
        "sub": "f3c1d9a0-6f1a-4a37-9c55-0e7a5c9d2b11", "typ": "Bearer", "azp": "ranking", "sid": "b4a1",
        "acr": "1", "allowed-origins": ["*"], "realm_access": {"roles": ["offline_access", "ml"]},
        "resource_access": {"account": {"roles": ["view-profile"]}},
        "scope": "openid email profile predict registry.read", "email_verified": True,
        "preferred_username": "ada", "name": "Ada Łovelace",
    },
    "Microsoft Entra": {
        "aio": "E2NgYGhZ==", "azp": "2d4d11a2-f814-46a7-890a-274a72a7309e", "azpacr": "1", "name": "Ada Łovelace",
        "oid": "ebe9c9ad-0000-4000-8000-000000000000", "rh": "0.AQ4A.", "scp": "predict registry.read",
        "sub": "hKcb3xnHrm0dYsNQk-7xYtv2Ct0", "tid": "fa15d692-0000-4000-8000-000000000000", "ver": "2.0",
        "wids": ["b79fbf4d-3ef9-4689-8143-76b194e85509"], "xms_ftd": None,
    },
    "Auth0": {
        "sub": "9gQ2JkzR4e@clients", "aud": [AUDIENCE, "https://acme.eu.auth0.com/userinfo"], "azp": "9gQ2JkzR4e",
        "gty": "client-credentials", "scope": "predict registry.read", "permissions": ["predict", "registry.read"],
    },
    "Okta": {
        "ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "cid": "0oabskvc6442nkvQO0h7",
        "uid": "00u5t60iloOHN9pBi0h7", "scp": ["predict", "registry.read"], "sub": "ada@example.com",
    },
}  # fmt: skip
