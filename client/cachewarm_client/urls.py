"""URLs in messages, without their passwords."""

import re

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_SECRET_PARAMETER = re.compile(
    r"(?i)([\w.-]*(?:password|passwd|pwd|passphrase|secret|token|key|credential|signature|sig|auth)[\w.-]*)"
    r"=('[^']*'|[^&\s]*)"
)


def redact_url(url: str) -> str:
    """The URL without user, password and secret-looking parameters, for messages, logs and the UI.

    Everything between ``://`` and the last ``@`` becomes ``***``, so that a password with an unescaped ``/``, ``#`` or
    ``@`` is hidden too. A string that is not a URL (a folder) stays as it is, except for ``user:password@`` at its
    beginning. Never raises.
    """
    scheme, separator, rest = url.partition("://")
    if not _SCHEME.fullmatch(scheme):
        scheme, separator, rest = "", "", url
    at = rest.rfind("@")
    if at >= 0 and (separator or (":" in rest[:at] and not rest.startswith(("/", ".", "~")))):
        # The @ can be inside a secret parameter: then the whole parameter is hidden.
        end = max((match.end() for match in _SECRET_PARAMETER.finditer(rest) if match.start() < at), default=0)
        rest = "***" + rest[max(at, end) :]
    return scheme + separator + _SECRET_PARAMETER.sub(r"\1=***", rest)
