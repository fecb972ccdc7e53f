"""Server settings."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dissect.errors import ConfigError

_SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class Settings:
    """How the app is served.

    Args:
        host, port: Where it listens.
        token: What a browser has to show; None asks for nothing.
        behind_proxy: A proxy in front of the app says who may come and under which name, so the
            ``Host`` header is left to it.
        models: A folder whose checkpoints runs may be started from; None leaves the zoo alone.
        open_runs: So many runs are kept open.
        max_request_bytes: Larger requests are refused before they are read.
    """

    host: str = "127.0.0.1"
    port: int = 8050
    token: str | None = None
    behind_proxy: bool = False
    models: Path | None = None
    open_runs: int = 8
    max_request_bytes: int = 8_000_000

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def url(self) -> str:
        """What to open, the token included."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        token = f"?token={quote(self.token, safe='')}" if self.token else ""
        return f"http://{host}:{self.port}/{token}"

    def check(self) -> None:
        """Refuse what would let anyone in.

        Raises:
            ConfigError: another machine may come and nothing is asked of it; a short token; no such
                folder of models.
        """
        if self.models is not None and not Path(self.models).is_dir():
            raise ConfigError(
                f"models is {str(self.models)!r}, which is no folder; expected one that holds "
                "checkpoints; check the path"
            )
        if not (self.is_local or self.token or self.behind_proxy):
            raise ConfigError(
                f"host is {self.host!r}, which other machines can reach; expected a token that "
                "they have to show (--token-file), or --behind-proxy where a proxy decides who "
                "may come"
            )
        if self.token is not None and len(self.token) < _SHORTEST_TOKEN:
            raise ConfigError(
                f"the token has {len(self.token)} characters; expected at least "
                f"{_SHORTEST_TOKEN}; python -c 'import secrets; print(secrets.token_urlsafe())' "
                "makes one"
            )
