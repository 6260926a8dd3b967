"""The explorer: a local web application over one model, for looking before counting."""

from retinoscope.app.limits import Limits
from retinoscope.app.server import create_app
from retinoscope.app.session import Session, open_session

__all__ = ["Limits", "Session", "create_app", "open_session"]
