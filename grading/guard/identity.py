"""Who may use the course's JupyterLab: its own pages, and whoever knows its token.

A browser sends the login cookie along with requests that other pages cause. So a request counts as
the user's only if it comes from this server's own pages, was typed by the user, or has the token.
"""

import hmac
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from jupyter_server.auth import User
from jupyter_server.auth.identity import PasswordIdentityProvider
from tornado.web import HTTPError, RequestHandler
from traitlets import Int, List, Unicode

OURS = ("same-origin", "none")  # of Sec-Fetch-Site; "none" is an address that was typed


class OwnPages(PasswordIdentityProvider):
    """Jupyter's identity by token and cookie, for requests that no other page caused."""

    port = Int(0, help="The port that every request must name; any unless given.").tag(config=True)
    hosts = List(Unicode(), help="Names of the server other than this machine's.").tag(config=True)

    async def _get_user(self, handler: RequestHandler) -> User | None:
        """Return who asks.

        Raises:
            HTTPError: 403, the request is not from this server's pages.
        """
        if reason := self.refusal(handler):
            self.log.error("Refused %s: %s", handler.request.path[:200], reason)
            raise HTTPError(403, "%s", f"This request was refused: {reason}")
        return await super()._get_user(handler)

    def refusal(self, handler: RequestHandler) -> str:
        """Return why a request is nobody's, or "" if it may be the user's."""
        host = handler.request.host
        named = name_of(host) in map(str.lower, self.hosts)
        if not named and not is_loopback(host):
            return (
                f"it names the host {host[:100]!r}, and this server is for "
                f"{' and '.join(['127.0.0.1', *self.hosts])} alone: `gqa lab --host` names others."
            )
        if self.port and port_of(host) != self.port:
            return (
                f"it names {host[:100]!r}, and this server's port is {self.port}. Through a "
                "tunnel, use one port at both ends: `gqa lab --port` chooses it."
            )
        given = self.get_token(handler) or ""
        if self.token and hmac.compare_digest(given.encode(), self.token.encode()):
            return ""
        if named:  # where a link leads
            return foreign_behind_a_hub(handler.request.method, handler.request.headers)
        return foreign(handler.request.headers, host)


def foreign(headers: Mapping[str, str], host: str) -> str:
    """Return why a request comes from a page that is not this server's, or "" if it does not.

    Args:
        headers: the request's.
        host: the host and port that it names.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None and headers.get("Upgrade", "").lower() != "websocket":
        return "" if site in OURS else f"another page caused it (Sec-Fetch-Site: {site[:40]})."
    for name in ("Origin", "Referer"):  # of a browser that does not say, and of sockets
        if (came := headers.get(name)) and urlsplit(came).netloc != host:
            return f"another page caused it ({name}: {came[:100]})."
    return ""


def foreign_behind_a_hub(method: str | None, headers: Mapping[str, str]) -> str:
    """Return why a request comes from a page that is not this server's, or "" if it does not.

    A hub's login, or a link to a container, leads here from other addresses. So opening a page is
    allowed from anywhere: that changes nothing, and whoever caused it cannot read what comes.

    Args:
        method: the request's, such as "GET".
        headers: the request's.
    """
    opens = (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest"))
    if method == "GET" and opens == ("navigate", "document"):
        return ""
    return foreign(headers, headers.get("Host", ""))


def name_of(host: str) -> str:
    """Return the name in a Host header, in lower case, without its port; "" if there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Return whether a Host header names this machine to itself."""
    name = name_of(host)
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def port_of(host: str) -> int | None:
    """Return the port that a Host header names: 80 where it names none."""
    try:
        return urlsplit(f"//{host}").port or 80
    except ValueError:
        return None
