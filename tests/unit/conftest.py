"""For these tests: examples of hypothesis may take their time, as machines of CI are shared."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
