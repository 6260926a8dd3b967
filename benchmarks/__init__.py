"""The same work by Retinoscope and by the tools of the field: timed, and compared."""
