"""Which versions made a result."""

from importlib.metadata import version

PACKAGES = ("projpipe", "torch", "timm", "numpy", "ray")


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that decide a result."""
    return {name: version(name) for name in PACKAGES}
