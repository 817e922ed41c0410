"""A property fails on a fact, never because the machine is busy."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "patient",
    parent=settings(),  # what CI or the command line chose
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")
