"""System."""

from audit import look

look.head("System")
