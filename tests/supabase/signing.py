"""Keys that sign tokens as a project's, and the set of public ones that it shows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

SECRET = "the double's own secret, long enough for HS256"


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """One key of a project; an HMAC one has no public part and is never shown."""

    algorithm: str
    private: Any = field(repr=False)
    kid: str = field(default_factory=lambda: str(uuid4()))

    def sign(self, claims: dict[str, object], **header: object) -> str:
        """A token; `header` replaces or adds to kid and alg."""
        return jwt.encode(claims, self.private, self.algorithm, headers={"kid": self.kid, **header})

    def public(self) -> dict[str, object]:
        """As a JWKS shows it."""
        shape = ECAlgorithm if self.algorithm == "ES256" else RSAAlgorithm
        said = json.loads(shape.to_jwk(self.private.public_key()))
        return said | {"kid": self.kid, "alg": self.algorithm, "use": "sig", "key_ops": ["verify"]}


def new_key(algorithm: str, *, secret: str = SECRET) -> SigningKey:
    if algorithm == "ES256":
        return SigningKey(algorithm=algorithm, private=ec.generate_private_key(ec.SECP256R1()))
    if algorithm == "RS256":
        return SigningKey(algorithm=algorithm, private=rsa.generate_private_key(65537, 2048))
    return SigningKey(algorithm=algorithm, private=secret)


@lru_cache(maxsize=8)
def known_key(algorithm: str, number: int = 0) -> SigningKey:
    """The same key in every test of a run: making an RSA key takes a tenth of a second."""
    return new_key(algorithm)


def key_set(keys: list[SigningKey]) -> dict[str, object]:
    return {"keys": [key.public() for key in keys if key.algorithm != "HS256"]}
