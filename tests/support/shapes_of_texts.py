"""Which texts do people send in place of a signed JWT?"""

import base64

from hello.sandbox.issuer import base64url
from support.real_shapes import API, GUID, Shape, instead

JWE = base64url(b'{"alg":"RSA-OAEP","enc":"A256CBC-HS512","kid":"a","typ":"at+jwt","cty":"JWT"}')
DIRECT = base64url(b'{"alg":"dir","enc":"A256GCM","iss":"https://dev-abc123.eu.auth0.com/"}')
COGNITO = base64url(b'{"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}')
AUTH_JS = base64url(b'{"alg":"dir","enc":"A256CBC-HS512","kid":"x"}')
DETACHED = base64url(b'{"alg":"RS256"}')
TWICE, NAN = base64url(b'{"sub":"a","sub":"b"}'), base64url(b'{"exp":NaN}')
FLASK = base64url(b'{"_fresh":true,"_user_id":"1"}')
LARAVEL = base64.b64encode(b'{"iv":"aaaa","value":"bbbb","mac":"cccc"}').decode()
SAML = '<saml2:Assertion xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion"></saml2:Assertion>'


def padded(token: str) -> str:
    return ".".join(part + "=" * (-len(part) % 4) for part in token.split("."))


def plain(token: str) -> str:
    """In base64 with + and /, which the signature of this key has for certain."""
    return padded(token).replace("-", "+").replace("_", "/")


def one_letter_more(token: str) -> str:
    header, claims, signature = token.split(".")
    return f"{header}.{claims}.{signature}AAA"


def one_length_wrong(token: str) -> str:
    header, claims, signature = token.split(".")
    return f"{header}.{claims}{'A' * ((1 - len(claims)) % 4)}.{signature}"


def of(advice: str, **texts: str) -> list[Shape]:
    return [Shape(name, f"malformed.{advice}", text=instead(t)) for name, t in texts.items()]


TEXTS = [
    *of(
        "placeholder",
        javascript="undefined",
        json_null="null",
        python="None",
        an_object="[object Object]",
        shell="$ACCESS_TOKEN",
        postman="{{access_token}}",
        documentation="<your access token>",
        windows="%TOKEN%",
        words="YOUR_ACCESS_TOKEN",
    ),
    *of(
        "json",
        answer='{"access_token":"a.b.c","token_type":"Bearer"}',
        broken='{"access_token": ',
        error='{"error":"invalid_grant"}',
        indented='\n  {"token": "a"}',
        firebase='{"idToken":"a.b.c"}',
    ),
    *of(
        "xml",
        saml=SAML,
        saml_in_base64=base64.b64encode(SAML.encode()).decode(),
        response_in_base64=base64.b64encode(b'<?xml version="1.0"?><samlp:Response/>').decode(),
        login_page="<!DOCTYPE html><html></html>",
        html="<html><body>502 Bad Gateway</body></html>",
    ),
    Shape("zero width", "malformed.invisible", text=lambda t: f"\u200b{t}"),
    Shape("color", "malformed.invisible", text=lambda t: f"\x1b[32m{t}\x1b[0m"),
    Shape("byte order mark", "malformed.invisible", text=lambda t: f"\ufeff{t}"),
    Shape("no-break space", "malformed.invisible", text=lambda t: f"{t}\xa0"),
    Shape("dots", "malformed.invisible", text=lambda t: f"{t[:40]}\u2026"),
    Shape("quotes of a word processor", "malformed.invisible", text=lambda t: f"\u201c{t}\u201d"),
    Shape("a letter that only looks like k", "malformed.invisible", text=lambda t: f"\u212a{t}"),
    Shape("null bytes", "malformed.invisible", text=instead("\x00.\x00.\x00")),
    Shape("joined headers", "malformed.several", text=lambda t: f"{t}, Bearer {t}"),
    Shape("joined tokens", "malformed.several", text=lambda t: f"{t},{t}"),
    Shape("three", "malformed.several", text=lambda t: f"{t},{t},{t}"),
    Shape("with a space", "malformed.several", text=lambda t: f"{t}, {t}"),
    Shape("behind another text", "malformed.several", text=lambda t: f"undefined, {t}"),
    Shape("Bearer twice", "malformed.scheme", text=lambda t: f"Bearer {t}"),
    Shape("bearer twice", "malformed.scheme", text=lambda t: f"bearer {t}"),
    Shape("JWT", "malformed.scheme", text=lambda t: f"JWT {t}"),
    Shape("whole header", "malformed.scheme", text=lambda t: f"Authorization: Bearer {t}"),
    Shape("colon", "malformed.scheme", text=lambda t: f"Bearer: {t}"),
    Shape("Token", "malformed.scheme", text=lambda t: f"Token {t}"),
    Shape("quotes", "malformed.quoted", text=lambda t: f'"{t}"'),
    Shape("apostrophes", "malformed.quoted", text=lambda t: f"'{t}'"),
    Shape("one quote", "malformed.quoted", text=lambda t: f'{t}"'),
    Shape("backquotes", "malformed.quoted", text=lambda t: f"`{t}`"),
    Shape("escaped quotes", "malformed.quoted", text=lambda t: f'\\"{t}\\"'),
    Shape("encoded dots", "malformed.percent", text=lambda t: t.replace(".", "%2E")),
    Shape("encoded quotes", "malformed.percent", text=lambda t: f"%22{t}%22"),
    Shape("encoded padding", "malformed.percent", text=lambda t: f"{t}%3D"),
    Shape("encoded scheme", "malformed.percent", text=lambda t: f"Bearer%20{t}"),
    Shape("signed cookie", "malformed.percent", text=lambda t: f"s%3A{t}"),
    Shape("two spaces", "malformed.spaces", text=lambda t: f" {t}"),
    Shape("wrapped", "malformed.spaces", text=lambda t: f"{t[:76]}\n{t[76:]}"),
    Shape("wrapped on Windows", "malformed.spaces", text=lambda t: f"{t[:64]}\r\n{t[64:]}"),
    Shape("line break at the end", "malformed.spaces", text=lambda t: f"{t}\n"),
    Shape("tab", "malformed.spaces", text=lambda t: f"\t{t}"),
    Shape("words", "malformed.spaces", text=instead("a b c")),
    Shape("rest of a cookie", "malformed.stray", text=lambda t: f"{t};Path=/"),
    Shape("trailing comma", "malformed.stray", text=lambda t: f"{t},"),
    Shape("brackets", "malformed.stray", text=lambda t: f"[{t}]"),
    Shape("parameter", "malformed.stray", text=lambda t: f"?access_token={t}"),
    Shape("colon behind it", "malformed.stray", text=lambda t: f"{t}:"),
    *of(
        "foreign",
        github="ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        github_app="ghs_16C7e42F292c6912E7710c838347Ae178B4a",
        github_fine="github_pat_11ABCDEFG0_abcdefghijklmnop",
        google="ya29.a0AfB_byC-1234567890abcdef",
        google_dots="ya29.c.b0Aaekm1K.abc",
        google_key="AIzaSyA-1234567890abcdefghijklmnopqrst",
        gitlab="glpat-abcdefghij1234567890",
        slack="xoxb-123-456-abc",
        stripe="sk_live_51abcdefghijkl",
        supabase="sb_secret_abcdefghijkl",
        vault="hvs.CAESIJ0abc",
    ),
    *of(
        "paseto",
        v4="v4.public.eyJzdWIiOiJhIn0abc",
        local="v4.local.abcdef",
        v2="v2.public.eyJzdWIiOiJhIn0abc",
        v1="v1.local.abcdef",
        footer="v3.public.abcdef.ZWYx",
    ),
    Shape(
        "Kubernetes Secret",
        "malformed.base64",
        text=lambda t: base64.b64encode(t.encode()).decode(),
    ),
    Shape("base64url", "malformed.base64", text=lambda t: base64url(t.encode())),
    Shape(
        "header in base64",
        "malformed.base64",
        text=lambda t: base64.b64encode(f"Bearer {t}".encode()).decode(),
    ),
    *of(
        "base64",
        of_a_jwe=base64url(f"{JWE}.a.b.c.d".encode()),
        of_an_indented_header=base64url(base64url(b'{\n "alg": "RS256"}').encode()),
    ),
    Shape("disclosures", "malformed.sd_jwt", text=lambda t: f"{t}~WyJhIl0~WyJiIl0~"),
    Shape("no disclosure", "malformed.sd_jwt", text=lambda t: f"{t}~"),
    Shape("key binding", "malformed.sd_jwt", text=lambda t: f"{t}~WyJhIl0~{t}"),
    Shape("one disclosure", "malformed.sd_jwt", text=lambda t: f"{t}~WyJhIl0~"),
    Shape("two", "malformed.sd_jwt", text=lambda t: f"{t}~WyJhIl0~WyJiIl0"),
    *of(
        "no_header",
        flask=f"{FLASK}.ZVbXaA.c2lnbmF0dXJl",
        flask_alone=FLASK,
        laravel=LARAVEL,
        django=f"{base64url(b'{}')}.1abcde.signature",
        claims=base64url(b'{"sub":"alice"}'),
    ),
    Shape("padded", "malformed.padded", {"sub": "x"}, text=padded),
    Shape("padded twice", "malformed.padded", {"sub": "xy"}, text=padded),
    Shape("padded signature", "malformed.padded", text=lambda t: f"{t}=="),
    Shape("one sign", "malformed.padded", text=lambda t: f"{t}="),
    Shape("padded claims", "malformed.padded", {"sub": "xyz"}, text=lambda t: f"{t}===="),
    Shape("base64", "malformed.standard_base64", text=plain),
    Shape(
        "base64 without padding",
        "malformed.standard_base64",
        text=lambda t: plain(t).replace("=", ""),
    ),
    Shape(
        "claims in base64",
        "malformed.standard_base64",
        {"name": "\u00fb\u00ff\u00fe?>?>"},
        text=plain,
    ),
    Shape("longer", "malformed.standard_base64", {"sub": "alice"}, text=plain),
    Shape("shorter", "malformed.standard_base64", {"sub": "al"}, text=plain),
    Shape("no signature", "malformed.cut_off", text=lambda t: t.rpartition(".")[0]),
    Shape("in the claims", "malformed.cut_off", text=lambda t: t[: t.index(".") + 50]),
    Shape("behind the header", "malformed.cut_off", text=lambda t: t.partition(".")[0]),
    Shape("behind a dot", "malformed.cut_off", text=lambda t: t[: t.index(".") + 1]),
    Shape("in the signature", "malformed.cut_off", text=lambda t: t[: t.rindex(".") + 1 + 201]),
    Shape(
        "of ES256",
        "malformed.cut_off",
        header={"alg": "ES256"},
        text=lambda t: t[: t.rindex(".") + 1 + 41],
    ),
    Shape(
        "nested", "malformed.no_claims", text=lambda t: f"{DETACHED}.{base64url(t.encode())}.AAAA"
    ),
    *of(
        "no_claims",
        detached=f"{DETACHED}..AAAA",
        a_list=f"{DETACHED}.{base64url(b'[]')}.AAAA",
        a_word=f"{DETACHED}.{base64url(b'payload')}.AAAA",
        twice=f"{DETACHED}.{TWICE}.AAAA",
        not_a_number=f"{DETACHED}.{NAN}.AAAA",
    ),
    *of(
        "damaged",
        in_the_header="eyJhbGciOiJSUz",
        three_words="abcdefgh.b.c",
        header_and_claims="eyJh.eyJ.",
        discord="MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs",
        four_parts=f"{DETACHED}.e30.AAAA.AAAA",
    ),
    Shape("letters lost in front", "malformed.damaged", text=lambda t: t[3:]),
    Shape("letters too many", "malformed.damaged", text=one_letter_more),
    Shape("claims that are no base64", "malformed.damaged", text=one_length_wrong),
    *(
        Shape(name, "malformed.encrypted", text=instead(text), named=(API, "JWE"))
        for name, text in {
            "OpenIddict": f"{JWE}.aa.bb.cc.dd",
            "Auth0": f"{DIRECT}..aa.bb.cc",
            "Cognito's refresh token": f"{COGNITO}.aa.bb.cc.dd",
            "Auth.js": f"{AUTH_JS}..aa.bb.cc",
            "cut off": f"{JWE}.aa.bb",
        }.items()
    ),
    *(
        Shape(name, "malformed.opaque", text=instead(text), named=(API,))
        for name, text in {
            "Auth0": "V1StGXR8Z5jdHi6BmyT8Nq0aXkLpWc3e",
            "Ory Hydra": "ory_at_8ZkG3xq2b1.Xb7nq1QwErTy",
            "IdentityServer": "2C9E5E0C6F1D4B7A8E3F-1",
            "Okta's session": "20111DoFfWqzTf3xqe8i8oQ3kFh5gLqk2Q0HJ4rS3xEbXqwN3kf",
            "Zitadel": "Vc9R2k1tQxk0xGfL0v_1a2b3c4d",
            "Entra ID's refresh token": "1.AXkAabcdef.AgABAAEAAAD",
            "UUID": GUID,
            "user and password": "dXNlcjpwYXNzd29yZA==",
        }.items()
    ),
]
