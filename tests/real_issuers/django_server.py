"""An issuer made of django-oauth-toolkit: a Django project in one file.

Its clients and its only person are made at the first start, and kept in the DATABASE.
"""

import os

import django
from django.conf import settings

PORT = os.environ["PORT"]

LOGIN_PAGE = "<form method=post>{% csrf_token %}{{ form }}<button>Log in</button></form>"

settings.configure(
    SECRET_KEY=os.urandom(20).hex(),
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    LOGIN_URL="/login",
    USE_TZ=True,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "context_processors": ["django.template.context_processors.request"],
                "loaders": [
                    ("django.template.loaders.locmem.Loader", {"login.html": LOGIN_PAGE}),
                    "django.template.loaders.app_directories.Loader",
                ],
            },
        }
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": os.environ["KEY"],
        "SCOPES": {"openid": "OpenID Connect", "read:reports": "Read reports"},
        "DEFAULT_SCOPES": ["openid"],
        "ACCESS_TOKEN_EXPIRE_SECONDS": int(os.environ["LIFETIME"]),
    },
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402 - Django wants its settings first
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.urls import metadata_urlpatterns  # noqa: E402

urlpatterns = [
    path("login", LoginView.as_view(template_name="login.html")),
    path("o/", include("oauth2_provider.urls")),
    path("", include((metadata_urlpatterns, "metadata"))),  # RFC 8414 has it there
]


def client(client_id, grant_type, **more):
    Application.objects.create(
        client_id=client_id,
        client_secret=f"{client_id}-secret",
        client_type="confidential",
        authorization_grant_type=grant_type,
        **more,
    )


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    if not User.objects.exists():
        User.objects.create_user("alice", password="password")
        for name in ("machine", "stranger", "my-api"):
            client(name, "client-credentials")
        client(
            "web",
            "authorization-code",
            redirect_uris=os.environ["CALLBACK"],
            algorithm="RS256",
        )
    call_command("runserver", f"127.0.0.1:{PORT}", use_reloader=False)
