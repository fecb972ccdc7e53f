"""Server settings: address, access, and limits."""

import ipaddress
from pathlib import Path
from urllib.parse import quote

from dissect.errors import ConfigError, SettingError
from dissect.settings import Settings as DeclaredSettings
from dissect.settings import setting

_SHORTEST_TOKEN = 16


class Settings(DeclaredSettings):
    """Server settings.

    Raises:
        ConfigError: a setting of a wrong type or out of its range, an unknown name, no token
            although other machines can reach the app, or a folder of models that does not exist.
    """

    host: str = setting("address to listen at", default="127.0.0.1")
    port: int = setting(
        "port to listen at; 0: a free one", default=8050, at_least=0, at_most=2**16 - 1
    )
    token: str | None = setting(
        f"secret that browsers have to send, at least {_SHORTEST_TOKEN} characters",
        default=None, secret=True,
    )  # fmt: skip
    behind_proxy: bool = setting(
        "a proxy in front of the app decides who may use it", default=False,
        details="The ``Host`` header is left to it.",
    )  # fmt: skip
    models: Path | None = setting(
        "folder of checkpoints from which runs may be started, besides those of the zoo",
        default=None, metavar="FOLDER",
    )  # fmt: skip
    words: str | None = setting(
        "CLIP model with which units are searched by words: a folder that open_clip wrote, or "
        "ARCHITECTURE@FILE; default: scenes-clip, for runs of drawn scenes",
        default=None, metavar="MODEL",
    )  # fmt: skip
    open_runs: int = setting("most runs that are kept open", default=8, at_least=1)
    max_request_bytes: int = setting(
        "size of the largest request that is read", default=8_000_000, at_least=1
    )

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
        """The address to open, including the token."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        token = f"?token={quote(self.token, safe='')}" if self.token else ""
        return f"http://{host}:{self.port}/{token}"

    def check(self) -> None:
        if self.models is not None and not self.models.is_dir():
            raise SettingError(
                "models",
                f"is {str(self.models)!r}, which is not a folder; expected one that holds "
                "checkpoints; check the path",
            )
        if not (self.is_local or self.token or self.behind_proxy):
            raise SettingError(
                "host",
                f"is {self.host!r}, which other machines can reach; expected a token that they "
                "have to send (--token-file), or --behind-proxy where a proxy decides who may use "
                "it",
            )
        if self.token is not None and len(self.token) < _SHORTEST_TOKEN:
            raise ConfigError(
                f"the token has {len(self.token)} characters; expected at least "
                f"{_SHORTEST_TOKEN}; python -c 'import secrets; print(secrets.token_urlsafe())' "
                "makes one"
            )
