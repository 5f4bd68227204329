"""Nobody can be let in without a key: said before a service starts that would refuse everyone."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from service.address import CannotServe
from service.settings import Settings
from service.store.keys import Keys
from service.store.opening import opened


def check_keys(settings: Settings) -> None:
    """Make sure that there is a key where keys are demanded.

    Args:
        settings: How it is deployed.

    Raises:
        CannotServe: There is none, or the database does not say.
    """
    try:
        with opened(settings) as database:
            if Keys(database).exist():
                return
    except SQLAlchemyError as error:
        raise CannotServe(f"The database cannot be opened ({type(error).__name__}).") from error
    raise CannotServe(
        f"Only who has a key is answered at {settings.host}, and there is no key: make one with "
        f"`batchscout keys create NAME --data-dir {settings.data_dir}`, or listen on 127.0.0.1."
    )
