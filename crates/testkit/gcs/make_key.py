#!/usr/bin/env python3
"""Makes a service account's key for tests: JSON like the file that Google's console gives, with a fresh RSA key.

    make_key.py --email recorder@test.iam.gserviceaccount.com --base-url http://127.0.0.1:1234 > key.json

The proxy verifies signatures with the public half, which it computes from the same file (--account key.json:create).
"""

import argparse
import json
import secrets

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def make_key(email, base_url=None, project="gillnet-test"):
    """The key as a dictionary."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    made = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": secrets.token_hex(20),
        "private_key": pem,
        "client_email": email,
        "client_id": str(secrets.randbelow(10**21)),
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "client_x509_cert_url": "https://www.googleapis.com/robot/v1/metadata/x509/" + email.replace("@", "%40"),
        "universe_domain": "googleapis.com",
    }
    if base_url:
        made["gcs_base_url"] = base_url
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--email", default="recorder@gillnet-test.iam.gserviceaccount.com")
    parser.add_argument("--project", default="gillnet-test")
    parser.add_argument("--base-url", help="written as gcs_base_url, which the client takes for the store's address")
    given = parser.parse_args()
    print(json.dumps(make_key(given.email, given.base_url, given.project), indent=2))
