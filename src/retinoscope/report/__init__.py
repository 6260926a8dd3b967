"""Tables, figures and pages of a run, drawn from its folder alone."""
