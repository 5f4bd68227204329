"""Short ways to what a configuration says about one role."""

from __future__ import annotations

from batchscout.check.configuration import Configuration, Obstacle, Place, Role


def told(configuration: Configuration, role: Role) -> int | None:
    """Return the whole number that a role is told to be, or None."""
    setting = configuration.settings.get(role)
    return None if setting is None else int(setting.value)


def is_barred(configuration: Configuration, role: Role) -> bool:
    """Whether the file speaks of a role, but neither tells it nor leaves it to the rest."""
    found = configuration.untellable.get(role)
    return found is not None and found.obstacle is not Obstacle.AUTOMATIC


def silence(configuration: Configuration, role: Role) -> str:
    """Say that a role is not told, and the way out: that of what stands in its way, if it is."""
    if role in configuration.untellable:
        return f"The file does not tell {role}: see the verdict on that value."
    return f"The file does not tell {role}: name its key with --map {role}=KEY."


def place_of(configuration: Configuration, role: Role) -> Place | None:
    """Return where a role stands in the file, told or not."""
    setting = configuration.settings.get(role)
    if setting is not None:
        return setting.place
    untellable = configuration.untellable.get(role)
    return None if untellable is None else untellable.place
