"""Where Redis is and as whom it is spoken to: the [redis] section, read as redis-py reads its addresses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from online.resp import Command, Refused, Unreachable
from shared.config import RedisConfig
from shared.errors import ConfigError

if TYPE_CHECKING:
    import ssl

CLUSTER_SCHEMES = ("redis+cluster", "rediss+cluster")
FORMS = "redis://[user:password@]host[:port][/db], rediss://… or unix:///path/to/socket[?db=…]"
DEFAULT_PORT = 6379
CLIENT_NAME = "marquee-online"
"""What CLIENT LIST shows for these connections, unless the address has a `client_name`."""

CERTIFICATE_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
OPTIONS = ("db", "username", "password", "client_name", *CERTIFICATE_OPTIONS)
POOL_OPTIONS = (
    "health_check_interval",
    "max_connections",
    "protocol",
    "retry_on_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
    "socket_timeout",
    "timeout",
)
"""Options of redis-py's that tune its own pools. Other parts of Marquee may heed them; connections of the request path don't."""
TRUE = ("1", "true", "yes", "on")
FALSE = ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Address:
    """One Redis server.

    Attributes
    ----------
    path : of its Unix socket; empty where it is reached over TCP.
    tls : what a TLS connection is made with; None is plain.
    """

    host: str
    port: int
    path: str
    tls: "ssl.SSLContext | None"
    username: str
    password: str
    db: int
    client_name: str

    @classmethod
    def parse(cls, config: RedisConfig) -> Self:
        """The address in a configuration; a password in the URL goes before the configured one.

        Raises
        ------
        ConfigError : it is no address of one Redis server; says what is wrong with it.
        """
        try:
            return cls._parse(config)
        except (ValueError, OSError) as error:  # ssl's errors are OSErrors
            raise ConfigError(f"[redis] url: {_without_secret(config.url)!r} is not a Redis address ({error})") from None

    @classmethod
    def _parse(cls, config: RedisConfig) -> Self:
        parts = urlsplit(config.url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError(f"{FORMS} is expected")
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        unknown = sorted(set(options) - {*OPTIONS, *POOL_OPTIONS})
        if unknown:
            raise ValueError(f"it has an unknown option {unknown[0]!r}; known are {', '.join(OPTIONS)}")
        path = unquote(parts.path)
        is_socket = parts.scheme == "unix"
        if is_socket and not path:
            raise ValueError("the path of the socket is missing")
        db = options.get("db") or ("" if is_socket else path.replace("/", "")) or "0"
        if not db.isdecimal():
            raise ValueError(f"{db!r} is no number of a database")
        return cls(
            host=unquote(parts.hostname or "localhost"),
            port=parts.port or DEFAULT_PORT,
            path=path if is_socket else "",
            tls=_tls(options) if parts.scheme == "rediss" else None,
            username=unquote(parts.username or "") or options.get("username", ""),
            password=unquote(parts.password or "") or options.get("password", "") or config.password or "",
            db=int(db),
            client_name=options.get("client_name", CLIENT_NAME),
        )

    def greeting(self) -> list[Command]:
        """What a new connection sends first, ahead of its first request."""
        commands: list[Command] = []
        if self.password:
            commands.append(("AUTH", self.username, self.password) if self.username else ("AUTH", self.password))
        if self.db:
            commands.append(("SELECT", self.db))
        commands.append(("CLIENT", "SETNAME", self.client_name))
        return commands

    def check_greeting(self, replies: list[Any]) -> None:
        """See that the greeting was accepted; a name for the connection is not insisted on.

        Raises
        ------
        Unreachable : the user, the password or the database was refused.
        """
        for command, reply in zip(self.greeting(), replies, strict=True):
            if isinstance(reply, Refused) and command[0] != "CLIENT":
                raise Unreachable(f"Redis at {self} refused {command[0]!s}: {reply}")

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


def is_cluster(url: str) -> bool:
    """Whether an address is that of a Redis Cluster, which `shared.sharding` reads."""
    return url.partition("://")[0] in CLUSTER_SCHEMES


def _tls(options: Mapping[str, str]) -> "ssl.SSLContext":
    import ssl  # takes long to load, and few need it

    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    context.check_hostname = _flag(options, "ssl_check_hostname", default=options.get("ssl_cert_reqs") != "none")
    required = options.get("ssl_cert_reqs", "required")
    levels = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
    if required not in levels:
        raise ValueError(f"ssl_cert_reqs is {required!r}; one of {', '.join(levels)} is expected")
    context.verify_mode = levels[required]
    if "ssl_certfile" in options:
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context


def _flag(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = options.get(name)
    if value is None:
        return default
    if value.lower() not in (*TRUE, *FALSE):
        raise ValueError(f"{name} is {value!r}; true or false is expected")
    return value.lower() in TRUE


def _without_secret(url: str) -> str:
    return re.sub(
        r"(://[^:@/]*:)[^@]*@|(\bpassword=)[^&]*", lambda found: f"{found[1]}***@" if found[1] else f"{found[2]}***", url
    )
