"""Things that a configuration names: `package.module:name`."""

import pkgutil
from typing import Any

from shared.errors import ConfigError


def load_object(path: str, where: str) -> Any:
    """What `module:name` names, which must be callable.

    Raises
    ------
    ConfigError : it cannot be imported, or is not callable; begins with `where`.
    """
    if ":" not in path:
        raise ConfigError(f"{where}: {path!r} is not written package.module:name")
    try:
        found = pkgutil.resolve_name(path)
    except Exception as error:  # importing a team's module can raise anything
        raise ConfigError(f"{where}: {path!r} cannot be imported ({type(error).__name__}: {error})") from None
    if not callable(found):
        raise ConfigError(f"{where}: {path!r} is a {type(found).__name__}, which cannot be called")
    return found
