"""What is sent to the code for workloads, and for proxies that log people in?"""

from dataclasses import replace
from typing import Any

from joserfc.jwk import Key

from hello.sandbox.issuer import OMIT

from .sending import (
    AUTHORIZATION,
    Provider,
    another_key,
    both,
    having,
    instead,
    jwk,
    sent_in,
    settings,
    unchanged,
    with_key,
)

PAGE = "hello/docs/workloads.md"
OTHER_REPOSITORY = having(
    {
        "repository": "somebody/else",
        "repository_owner": "somebody",
        "repository_owner_id": "98765",
        "sub": "repo:somebody/else:ref:refs/heads/main",
    }
)
OTHER_PROJECT = having(
    {
        "project_path": "somebody/else",
        "namespace_path": "somebody",
        "sub": "project_path:somebody/else:ref_type:branch:ref:main",
    }
)
OTHER_NAMESPACE = having(
    {"sub": "system:serviceaccount:default:nightly", "kubernetes.io": {"namespace": "default"}}
)
GITLAB_CLAIMS = '{"project_path": "my-group/my-project", "ref_protected": "true"}'
KUBERNETES_CLAIMS = '(claims={"sub": "system:serviceaccount:reporting:nightly"})'
PROGRAM = having(
    {
        "common_name": "e367826f93b8d71185e03fe518aff3b4.access",
        "email": OMIT,
        "identity_nonce": OMIT,
        "country": OMIT,
        "nbf": OMIT,
        "sub": "",
    }
)


def certificates_too(key: Key) -> Any:
    """What Access publishes: its keys, and the same as certificates, which nobody reads here."""
    certificate = {"kid": key.kid, "cert": "-----BEGIN CERTIFICATE-----\nMIIC\n-----END…"}
    return {
        "keys": [jwk(key, alg="RS256")],
        "public_cert": certificate,
        "public_certs": [certificate],
    }


WORKLOADS = {
    "github": Provider(
        page=PAGE,
        keys_at="https://token.actions.githubusercontent.com/.well-known/jwks",
        header={"x5t": "eBZ_cn3sXYAd0ch4THBKHIgOwOE"},
        sent={
            "good": unchanged,
            "other-repository": OTHER_REPOSITORY,
            "no-claims": both(OTHER_REPOSITORY, settings("(claims=DEPLOYS)", "")),
            "new-owner": having({"repository_owner_id": "98765"}),
            "other-branch": having({"ref": "refs/heads/try"}),
            "pull-request": having(
                {
                    "ref": "refs/pull/7/merge",
                    "event_name": "pull_request",
                    "sub": "repo:octo-org/octo-repo:pull_request",
                }
            ),
            "no-audience": having({"aud": "https://github.com/octo-org"}),
            "enterprise-server": having({"iss": "https://github.example.com/_services/token"}),
            "github-token": instead("ghs_2b7c4d1e5f6047182b7c4d1e5f604718"),
        },
    ),
    "gitlab": Provider(
        page=PAGE,
        keys_at="https://gitlab.com/oauth/discovery/keys",
        sent={
            "good": unchanged,
            "other-project": OTHER_PROJECT,
            "no-claims": both(OTHER_PROJECT, settings(f"(claims={GITLAB_CLAIMS})", "")),
            "unprotected": having({"ref": "try", "ref_protected": "false"}),
            "boolean": settings('"ref_protected": "true"', '"ref_protected": True'),
            "other-audience": having({"aud": "https://vault.example.com"}),
            "other-gitlab": having({"iss": "https://gitlab.example.com"}),
            "job-token": instead("glcbt-64_2b7c4d1e5f604718"),
        },
    ),
    "kubernetes": Provider(
        page=PAGE,
        keys_at="https://kubernetes.default.svc/openid/v1/jwks",
        asked=True,
        sent={
            "good": unchanged,
            "other-account": having({"sub": "system:serviceaccount:reporting:default"}),
            "other-namespace": OTHER_NAMESPACE,
            "no-claims": both(OTHER_NAMESPACE, settings(KUBERNETES_CLAIMS, "")),
            "default-token": having({"aud": ["https://kubernetes.default.svc.cluster.local"]}),
            "other-cluster": with_key(another_key),
            "secret": having(
                {"iss": "kubernetes/serviceaccount", "aud": OMIT, "exp": OMIT, "nbf": OMIT}
            ),
        },
    ),
    "google": Provider(
        page=PAGE,
        keys_at="https://www.googleapis.com/oauth2/v3/certs",
        sent={
            "good": unchanged,
            "other-account": having({"email": "nightly@other-654321.iam.gserviceaccount.com"}),
            "no-email": having({"email": OMIT, "email_verified": OMIT}),
            "access-token": instead("ya29.a0AfH6SMBx3kQ"),
            "person": having(
                {"aud": "407408718192-abc.apps.googleusercontent.com", "email": "ada@example.com"}
            ),
            "old-issuer": having({"iss": "accounts.google.com"}),
            "cloud-run": lambda sent: replace(
                sent,
                on_the_way=lambda token: token.rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE",
            ),
        },
    ),
    "cloudflare": Provider(
        page=PAGE,
        keys_at="https://hello.cloudflareaccess.com/cdn-cgi/access/certs",
        sent_in="Cf-Access-Jwt-Assertion",
        publish=certificates_too,
        sent={
            "good": unchanged,
            "service-token": PROGRAM,
            "other-application": having({"aud": ["9" * 64]}),
            "other-team": having({"iss": "https://other.cloudflareaccess.com"}),
            "session": having({"type": "org"}),
            "authorization": sent_in(AUTHORIZATION),
            "nothing": instead(""),
        },
    ),
    "iap": Provider(
        page=PAGE,
        keys_at="https://www.gstatic.com/iap/verify/public_key-jwk",
        alg="ES256",
        sent_in="X-Goog-IAP-JWT-Assertion",
        sent={
            "good": unchanged,
            "other-workspace": having({"hd": OMIT, "email": "ada@gmail.com"}),
            "other-backend": having({"aud": "/projects/123456789012/global/backendServices/9"}),
            "id-token": both(
                having({"iss": "https://accounts.google.com"}), with_key(another_key, alg="RS256")
            ),
            "no-algorithms": settings('        algorithms=["ES256"],\n', ""),
            "authorization": sent_in(AUTHORIZATION),
            "nothing": instead(""),
        },
    ),
}
