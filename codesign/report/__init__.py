"""Front tables, figures and the report."""
