"""Who may use a JupyterLab that JupyterHub started: whoever the hub says, from its own pages."""

from jupyter_server.auth import User
from jupyterhub.singleuser.extension import JupyterHubIdentityProvider
from tornado.web import HTTPError, RequestHandler

from .identity import foreign_behind_a_hub


class HubsPages(JupyterHubIdentityProvider):
    """The hub's identity, for requests that no other page caused."""

    async def get_user(self, handler: RequestHandler) -> User | None:
        """Return who asks.

        Raises:
            HTTPError: 403, another page caused the request.
        """
        request = handler.request
        if reason := foreign_behind_a_hub(request.method, request.headers):
            self.log.error("Refused %s: %s", request.path[:200], reason)
            raise HTTPError(403, "%s", f"This request was refused: {reason}")
        return await super().get_user(handler)
